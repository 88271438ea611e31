"""Stop a run from another thread as Ctrl-C stops it from its own: requests are given up, what is recorded is counted.

A signal reaches only the main thread. A run in any other, as in a notebook whose own event loop holds the main one,
is stopped by the `Stop` that stands in its context.
"""

from __future__ import annotations

import asyncio
import signal
import threading
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeVar

_T = TypeVar("_T")
_INTERRUPTING = tuple(getattr(signal, name) for name in ("SIGINT", "SIGTERM", "SIGHUP") if hasattr(signal, name))


class Stop:
    """Ends, once requested, every `run_async` in the context in which it is `listening`, the next ones included."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._requested = False
        self._cancel: Callable[[], object] | None = None

    def request(self) -> None:
        """May be called from any thread, and more than once: only the first call does something."""
        with self._lock:
            if not self._requested and self._cancel is not None:
                self._cancel()
            self._requested = True

    @contextmanager
    def listening(self) -> Generator[None]:
        token = _listening.set(self)
        try:
            yield
        finally:
            _listening.reset(token)

    def run(self, main: Coroutine[Any, Any, _T]) -> _T:
        """As asyncio.run. Raises KeyboardInterrupt when the stop is requested before or meanwhile."""
        if self._requested:
            main.close()
            raise KeyboardInterrupt
        try:
            return asyncio.run(self._cancellable(main))
        except asyncio.CancelledError:
            if self._requested:
                raise KeyboardInterrupt from None
            raise

    async def _cancellable(self, main: Coroutine[Any, Any, _T]) -> _T:
        loop, task = asyncio.get_running_loop(), asyncio.current_task()
        assert task is not None  # noqa: S101
        with self._lock:
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
            if self._requested:
                task.cancel()
        try:
            return await main
        finally:
            with self._lock:
                self._cancel = None


def uninterrupted(work: Callable[[], object]) -> None:
    """Do `work`, while a further Ctrl-C, SIGTERM or SIGHUP does nothing: the run is stopping, and its tables are being
    written. Only the main thread has signals; in any other, nothing changes."""
    if threading.current_thread() is not threading.main_thread():
        work()
        return
    handlers = {number: signal.getsignal(number) for number in _INTERRUPTING}
    _ignore_signals()
    try:
        work()
    finally:
        for number, handler in handlers.items():
            signal.signal(number, signal.SIG_DFL if handler is None else handler)


def _ignore_signals() -> None:
    while True:  # those that are waiting already are delivered first
        try:
            for number in _INTERRUPTING:
                signal.signal(number, signal.SIG_IGN)
        except KeyboardInterrupt:
            continue
        return


_listening: ContextVar[Stop | None] = ContextVar("_listening", default=None)


def run_async(main: Coroutine[Any, Any, _T]) -> _T:
    """As asyncio.run, and where a Stop is listening it can end it with KeyboardInterrupt."""
    stop = _listening.get()
    return asyncio.run(main) if stop is None else stop.run(main)
