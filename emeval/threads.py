"""Where a run works: in the caller's thread, or, where an event loop holds that one already, in one of its own.

evals.runner.run drives its own event loop, which a thread with a running loop (a notebook's) cannot hold. A run in a
thread of its own ends with its caller: a KeyboardInterrupt or a cancelled task stops it, and is passed on
once the run has written down what it has.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable
from contextlib import suppress
from contextvars import copy_context
from typing import Generic, TypeVar

from evals.runner.interrupt import Stop

_T = TypeVar("_T")
_POLL_S = 0.2
"""Polling interval of a waiting thread: an unbounded wait may miss signals, as does the loop of an ipykernel."""


def in_any_thread(work: Callable[[], _T]) -> _T:
    """The result of `work`, from a thread whose event loop may be running. A KeyboardInterrupt stops it."""
    try:
        asyncio.get_running_loop()
    except RuntimeError:
        return work()
    worker = _Worker(work)
    worker.start()
    try:
        while not worker.ended.wait(_POLL_S):
            task = asyncio.current_task()
            if task is not None and task.cancelling():  # what asyncio.run makes of the first Ctrl-C
                raise KeyboardInterrupt
    except BaseException:
        worker.stop.request()
        while not worker.ended.is_set():
            with suppress(KeyboardInterrupt):  # it is stopping already
                worker.ended.wait(_POLL_S)
        worker.join()
        if isinstance(worker.error, KeyboardInterrupt):  # it says how to go on
            raise worker.error from None
        raise
    return worker.result()


async def in_own_thread(work: Callable[[], _T]) -> _T:
    """The result of `work`, while the event loop goes on. When the task is cancelled, so is the work, and waited
    for.
    """
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def say_so() -> None:
        with suppress(RuntimeError):  # the loop was closed without waiting for its tasks
            loop.call_soon_threadsafe(ended.set_result, None)

    worker = _Worker(work, say_so)
    worker.start()
    try:
        while not ended.done():
            await asyncio.wait([ended], timeout=_POLL_S)
    except asyncio.CancelledError:
        worker.stop.request()
        while not ended.done():
            with suppress(asyncio.CancelledError):  # it is stopping already
                await asyncio.wait([ended], timeout=_POLL_S)
        worker.join()
        raise
    finally:
        worker.stop.request()  # a coroutine that is thrown away cannot wait
    return worker.result()


class _Worker(Generic[_T]):
    """One piece of work in a thread, in a copy of the caller's context: a notebook finds there which cell is
    speaking.
    """

    def __init__(self, work: Callable[[], _T], at_end: Callable[[], None] | None = None) -> None:
        self.stop = Stop()
        self.ended = threading.Event()
        self._work = work
        self._at_end = at_end
        self._results: list[_T] = []
        self.error: BaseException | None = None
        # A daemon: should nobody wait any more, the process may end, and what is recorded is safe.
        self._thread = threading.Thread(target=copy_context().run, args=(self._do,), name="emeval", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def join(self) -> None:
        """Join the thread of finished work, which has almost nothing left to do."""
        self._thread.join()

    def _do(self) -> None:
        try:
            with self.stop.listening():
                self._results.append(self._work())
        except BaseException as error:
            self.error = error
        finally:
            self.ended.set()
            if self._at_end is not None:
                self._at_end()

    def result(self) -> _T:
        self.join()
        if self.error is not None:
            raise self.error
        return self._results[0]
