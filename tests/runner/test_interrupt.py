"""The first signal ends a run's event loop in order, and further ones reach neither the loop nor what comes after."""

from __future__ import annotations

import asyncio
import os
import signal
import threading
from collections.abc import Iterator

import pytest

from evals.runner.interrupt import Stop, run_async, stopped_by_signals

pytestmark = pytest.mark.skipif(
    threading.current_thread() is not threading.main_thread(), reason="only the main thread has signals"
)


@pytest.fixture(autouse=True)
def _pythons_own_handler() -> Iterator[None]:
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    yield
    signal.signal(signal.SIGINT, before)


def interrupt(times: int = 1) -> None:
    for _ in range(times):
        os.kill(os.getpid(), signal.SIGINT)


@pytest.mark.parametrize("times", [1, 2, 30])
def test_tasks_are_ended_in_order_however_often_the_run_is_interrupted(times: int) -> None:
    ended: list[int] = []

    async def work(number: int) -> None:
        try:
            await asyncio.sleep(60)
        finally:
            interrupt(times - 1)
            await asyncio.sleep(0.01)
            ended.append(number)

    async def main() -> None:
        async with asyncio.TaskGroup() as group:
            for number in range(5):
                group.create_task(work(number))
            await asyncio.sleep(0)
            interrupt(times)
            await asyncio.sleep(60)

    with stopped_by_signals():
        with pytest.raises(KeyboardInterrupt):
            run_async(main())
        interrupt(times)  # while the tables are written
    assert sorted(ended) == [0, 1, 2, 3, 4]
    assert signal.getsignal(signal.SIGINT) is signal.default_int_handler


def test_outside_a_loop_the_first_signal_is_raised_and_no_other() -> None:
    with stopped_by_signals():
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        interrupt(3)


def test_signals_can_be_switched_off() -> None:
    with stopped_by_signals() as ignore_signals:
        ignore_signals()
        interrupt(3)


def test_a_loop_is_not_begun_after_a_signal() -> None:
    async def main() -> None:
        pytest.fail("it was begun")

    with stopped_by_signals():
        with pytest.raises(KeyboardInterrupt):
            interrupt()
        with pytest.raises(KeyboardInterrupt):
            run_async(main())


def test_the_stop_of_another_thread_ends_it_too() -> None:
    async def main() -> None:
        asyncio.get_running_loop().call_later(0.01, stop.request)
        await asyncio.sleep(60)

    stop = Stop()
    with stop.listening(), stopped_by_signals(), pytest.raises(KeyboardInterrupt):
        run_async(main())


def test_a_handler_of_the_users_own_is_left_alone() -> None:
    seen: list[int] = []
    signal.signal(signal.SIGINT, lambda number, _frame: seen.append(number))
    with stopped_by_signals():
        interrupt()
    assert seen == [signal.SIGINT]
