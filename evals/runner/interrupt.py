"""Stop a run cleanly: requests are given up, what is recorded is counted, and a second Ctrl-C does no harm.

In the main thread a run is stopped by signals, and only the first one does something: a KeyboardInterrupt that is
raised at any place of an event loop can lose the callback that would wake a task, and then the loop never ends. In any
other thread, as in a notebook whose own event loop holds the main one, it is stopped by the `Stop` in its context.
"""

from __future__ import annotations

import asyncio
import signal
import threading
import time
from collections.abc import Callable, Coroutine, Generator
from contextlib import contextmanager
from contextvars import ContextVar
from types import FrameType
from typing import Any, TypeVar

_T = TypeVar("_T")

FORCE_AFTER_S = 10.0
"""Seconds after the first signal from which on a further one breaks off an event loop that does not end by itself."""


class Stop:
    """Ends, once requested, every `run_async` in the context in which it is `listening`, the next ones included."""

    def __init__(self) -> None:
        self._lock = threading.RLock()  # a signal may come while its own thread holds it
        self._requested = False
        self._cancel: Callable[[], object] | None = None

    @property
    def is_requested(self) -> bool:
        return self._requested

    @property
    def is_in_loop(self) -> bool:
        return self._cancel is not None

    def request(self) -> None:
        """May be called from any thread, from a signal handler, and more than once: only the first call does
        something."""
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
            if self._requested:
                main.close()
                raise asyncio.CancelledError
            self._cancel = lambda: loop.call_soon_threadsafe(task.cancel)
        try:
            return await main
        finally:
            with self._lock:
                self._cancel = None


@contextmanager
def stopped_by_signals() -> Generator[Callable[[], None]]:
    """While the block lasts, the first Ctrl-C stops it with KeyboardInterrupt, and further ones do nothing, so that
    what is recorded can be counted in peace. So do SIGTERM and SIGHUP where they raise SIGINT.

    Yields what makes signals do nothing from then on. Only the main thread has signals, and only Python's own handler
    is replaced; else nothing changes.
    """
    ours = threading.current_thread() is threading.main_thread()
    if not ours or signal.getsignal(signal.SIGINT) is not signal.default_int_handler:
        yield lambda: None
        return
    stop = _listening.get() or Stop()
    first: list[float] = []

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if not first:
            first.append(time.monotonic())
            stop.request()
            if not stop.is_in_loop:
                raise KeyboardInterrupt
        elif stop.is_in_loop and time.monotonic() - first[0] > FORCE_AFTER_S:
            raise KeyboardInterrupt

    signal.signal(signal.SIGINT, on_signal)
    try:
        with stop.listening():
            yield lambda: first.append(time.monotonic())
    finally:
        signal.signal(signal.SIGINT, signal.default_int_handler)


_listening: ContextVar[Stop | None] = ContextVar("_listening", default=None)


def run_async(main: Coroutine[Any, Any, _T]) -> _T:
    """As asyncio.run, and where a Stop is listening it can end it with KeyboardInterrupt."""
    stop = _listening.get()
    return asyncio.run(main) if stop is None else stop.run(main)
