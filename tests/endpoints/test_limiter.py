"""The limiter against servers simulated on a virtual clock, and its places under random orders of events."""

from __future__ import annotations

import asyncio
import random
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

import pytest
from hypothesis import given, seed, settings
from hypothesis import strategies as st

from evals.endpoints.transport.limiter import AdaptiveLimiter, LookAgain, Slot

_T = TypeVar("_T")
Draw = Callable[[random.Random], float]


class _VirtualClock(asyncio.SelectorEventLoop):
    """A loop whose time jumps to the next timer when nothing else is ready, so that sleeping takes no time."""

    _now = 0.0

    def time(self) -> float:
        return self._now

    def _run_once(self) -> None:
        if not self._ready and self._scheduled:  # type: ignore[attr-defined]
            self._now = max(self._now, self._scheduled[0]._when)  # type: ignore[attr-defined]
        super()._run_once()  # type: ignore[misc]


def in_virtual_time(work: Coroutine[Any, Any, _T]) -> _T:
    with asyncio.Runner(loop_factory=_VirtualClock) as runner:
        return runner.run(work)


class Simulation:
    """A server that works on `capacity` requests at a time, and `maximum` workers that send to it through a limiter."""

    def __init__(self, maximum: int, capacity: int = 10**9) -> None:
        self.limiter = AdaptiveLimiter(maximum)
        self._capacity = asyncio.Semaphore(capacity)
        self._rng = random.Random(20250613)  # noqa: S311
        self.in_flight = 0
        self.most_in_flight = 0
        self.limits: list[int] = []

    async def send(self, requests: int, takes: Draw) -> float:
        """Send `requests`; requests for each second of the whole."""
        begun = asyncio.get_running_loop().time()
        remaining = iter(range(requests))
        self.limits.clear()

        async def work() -> None:
            for _ in remaining:
                await self._one(takes)

        async with asyncio.TaskGroup() as group:
            for _ in range(self.limiter.maximum):
                group.create_task(work())
        return requests / (asyncio.get_running_loop().time() - begun)

    async def _one(self, takes: Draw) -> None:
        ticket = await self.limiter.acquire()
        self.in_flight += 1
        self.most_in_flight = max(self.most_in_flight, self.in_flight)
        async with self._capacity:
            await asyncio.sleep(takes(self._rng))
        self.in_flight -= 1
        self.limiter.release(ticket, replied=True)
        self.limits.append(self.limiter.limit)


def short(rng: random.Random) -> float:
    return rng.uniform(0.04, 0.06)


def test_the_first_wave_is_all_that_the_user_allows() -> None:
    async def work() -> None:
        simulation = Simulation(maximum=100)
        await simulation.send(100, short)
        assert simulation.most_in_flight == 100

    in_virtual_time(work())


@pytest.mark.anyio
async def test_a_batch_of_overload_errors_halves_the_limit_once() -> None:
    limiter = AdaptiveLimiter(32)
    tickets = [await limiter.acquire() for _ in range(limiter.limit)]
    for ticket in tickets:
        limiter.release(ticket, overloaded=True)
    assert limiter.limit == 16


@pytest.mark.anyio
async def test_the_next_batch_halves_it_again() -> None:
    limiter = AdaptiveLimiter(100)
    for expected in (50, 25, 12):
        tickets = [await limiter.acquire() for _ in range(limiter.limit)]
        for ticket in tickets:
            limiter.release(ticket, overloaded=True)
        assert limiter.limit == expected


@pytest.mark.anyio
async def test_limit_never_falls_below_one() -> None:
    limiter = AdaptiveLimiter(1)
    for _ in range(20):
        limiter.release(await limiter.acquire(), overloaded=True)
    assert limiter.limit == 1
    limiter.release(await asyncio.wait_for(limiter.acquire(), 1))


@pytest.mark.parametrize("maximum", [8, 64, 256, 1000])
def test_after_a_storm_the_limit_is_back_within_tens_of_round_trips(maximum: int) -> None:
    async def work() -> None:
        simulation = Simulation(maximum)
        for _ in range(12):
            simulation.limiter.release(await simulation.limiter.acquire(), overloaded=True)
        assert simulation.limiter.limit == 1
        begun = asyncio.get_running_loop().time()
        trips = 0.0
        while simulation.limiter.limit < maximum:
            await simulation.send(2 * maximum, lambda _rng: 1.0)
            trips = asyncio.get_running_loop().time() - begun
        assert trips <= 60

    in_virtual_time(work())


@pytest.mark.parametrize("capacity", [4, 7, 30, 63])
def test_a_server_that_turns_away_what_is_above_its_capacity_is_kept_busy(capacity: int) -> None:
    async def work() -> None:
        limiter, in_flight = AdaptiveLimiter(64), 0
        served = turned_away = 0

        async def ask_on() -> None:
            nonlocal in_flight, served, turned_away
            while served < 60 * capacity:
                ticket = await limiter.acquire()
                has_room = in_flight < capacity
                in_flight += has_room
                await asyncio.sleep(1.0 if has_room else 0.01)
                in_flight -= has_room
                served, turned_away = served + has_room, turned_away + (not has_room)
                limiter.release(ticket, replied=has_room, overloaded=not has_room)
                if not has_room:
                    await asyncio.sleep(1.0)

        begun = asyncio.get_running_loop().time()
        async with asyncio.TaskGroup() as group:
            for _ in range(80):
                group.create_task(ask_on())
        assert served / (asyncio.get_running_loop().time() - begun) > 0.6 * capacity
        assert turned_away < 0.35 * served + 130

    in_virtual_time(work())


@pytest.mark.anyio
async def test_a_server_that_is_back_gets_all_at_once() -> None:
    limiter = AdaptiveLimiter(64)
    for _ in range(5):
        limiter.release(await limiter.acquire(), overloaded=True)
    assert limiter.limit == 2
    limiter.reopen()
    assert limiter.limit == 64


@pytest.mark.anyio
async def test_replies_that_failed_say_nothing_about_the_load() -> None:
    limiter = AdaptiveLimiter(64)
    before = limiter.limit
    for _ in range(5):
        tickets = [await limiter.acquire() for _ in range(limiter.limit)]
        for ticket in tickets:
            limiter.release(ticket)
    assert limiter.limit == before


def test_a_limiter_of_nothing_is_refused() -> None:
    with pytest.raises(ValueError, match="at least one"):
        AdaptiveLimiter(0)


@pytest.mark.anyio
async def test_waiters_are_served_in_the_order_they_came() -> None:
    limiter = AdaptiveLimiter(1)
    first = await limiter.acquire()
    order: list[int] = []

    async def wait(number: int) -> None:
        ticket = await limiter.acquire()
        order.append(number)
        limiter.release(ticket)

    async with asyncio.TaskGroup() as group:
        for number in range(5):
            group.create_task(wait(number))
        await asyncio.sleep(0)
        limiter.release(first)
    assert order == [0, 1, 2, 3, 4]


@pytest.mark.anyio
async def test_a_waiter_cancelled_as_its_place_comes_passes_the_place_on() -> None:
    limiter = AdaptiveLimiter(1)
    held = await limiter.acquire()
    unlucky, lucky = asyncio.create_task(limiter.acquire()), asyncio.create_task(limiter.acquire())
    await asyncio.sleep(0)
    limiter.release(held)
    unlucky.cancel()
    limiter.release(await asyncio.wait_for(lucky, 1))
    with pytest.raises(asyncio.CancelledError):
        await unlucky


@pytest.mark.anyio
async def test_of_those_who_wait_who_would_rather_be_here_comes_first_and_nobody_waits_for_nothing() -> None:
    one, two = AdaptiveLimiter(1), AdaptiveLimiter(1)
    held = [await AdaptiveLimiter.acquire_any([one, two]), await AdaptiveLimiter.acquire_any([one, two])]
    assert [slot.limiter for slot in held] == [one, two], "the first choice, and the other where that has no room"
    came: list[str] = []

    async def wait(name: str, *limiters: AdaptiveLimiter) -> None:
        slot = await AdaptiveLimiter.acquire_any(limiters)
        came.append(name)
        slot.limiter.release(slot.ticket)

    async with asyncio.TaskGroup() as group:
        for name, limiters in (("a", (two, one)), ("b", (one, two)), ("c", (one, two)), ("d", (two, one))):
            group.create_task(wait(name, *limiters))
        await asyncio.sleep(0)
        one.release(held[0].ticket)
        while len(came) < 4:  # noqa: ASYNC110  the place at `one` is passed on
            await asyncio.sleep(0)
    assert came == ["b", "c", "a", "d"]
    assert two.limit == 1


class AnyPlaces:
    """Several limiters, and waiters for a place at any of them, who may be made to look again."""

    def __init__(self, maxima: list[int]) -> None:
        self.limiters = [AdaptiveLimiter(maximum) for maximum in maxima]
        self.waiting: set[asyncio.Future[AdaptiveLimiter]] = set()
        self.tasks: list[asyncio.Task[Slot]] = []
        self.held: list[Slot] = []

    async def ask(self, which: int) -> Slot:
        while True:
            ordered = self.limiters[which % len(self.limiters) :] + self.limiters[: which % len(self.limiters)]
            try:
                return await AdaptiveLimiter.acquire_any(ordered, self.waiting)
            except LookAgain:
                continue

    async def settle(self) -> None:
        for _ in range(6):
            await asyncio.sleep(0)
        for task in [task for task in self.tasks if task.done()]:
            self.tasks.remove(task)
            if not task.cancelled():
                self.held.append(task.result())
        in_use = [sum(slot.limiter is limiter for slot in self.held) for limiter in self.limiters]
        assert all(used <= limiter.maximum for used, limiter in zip(in_use, self.limiters, strict=True))
        is_full = all(used >= limiter.limit for used, limiter in zip(in_use, self.limiters, strict=True))
        assert is_full or not self.tasks, "a place is free and somebody waits"

    async def step(self, action: str, which: int) -> None:
        match action:
            case "ask":
                self.tasks.append(asyncio.create_task(self.ask(which)))
            case "run":
                await self.settle()
            case "again":
                for place in self.waiting:
                    if not place.done():
                        place.set_exception(LookAgain())
            case "cancel" if self.tasks:
                self.tasks[which % len(self.tasks)].cancel()
            case "succeed" | "overload" if self.held:
                slot = self.held.pop(which % len(self.held))
                slot.limiter.release(slot.ticket, replied=action == "succeed", overloaded=action == "overload")
            case _:
                pass


@seed(20251129)
@settings(max_examples=300, deadline=None)
@given(
    st.lists(st.integers(1, 4), min_size=1, max_size=3),
    st.lists(
        st.tuples(
            st.sampled_from(["ask", "ask", "ask", "run", "run", "again", "cancel", "succeed", "overload"]),
            st.integers(0, 50),
        ),
        max_size=80,
    ),
)
def test_no_place_at_any_of_several_is_lost(maxima: list[int], steps: list[tuple[str, int]]) -> None:
    async def work() -> None:
        places = AnyPlaces(maxima)
        for action, which in steps:
            await places.step(action, which)
        await places.settle()
        for task in places.tasks:
            task.cancel()
        await places.settle()
        while places.held:
            slot = places.held.pop()
            slot.limiter.release(slot.ticket)
        assert not places.waiting
        for limiter in places.limiters:
            assert limiter.has_room, "a place was lost"
            for _ in range(limiter.limit):
                assert limiter.has_room
                await limiter.acquire()
            assert not limiter.has_room, "a place was made up"

    asyncio.run(work())


class Places:
    """Waiters and holders driven one step at a time, with no time for the loop to run but where a step says so."""

    def __init__(self, maximum: int) -> None:
        self.limiter = AdaptiveLimiter(maximum)
        self.tasks: list[asyncio.Task[int]] = []
        self.held: list[asyncio.Task[int]] = []

    async def settle(self) -> None:
        for _ in range(4):
            await asyncio.sleep(0)
        self._notice()
        waiting = [task for task in self.tasks if not task.done()]
        assert len(self.held) <= self.limiter.maximum
        assert not waiting or len(self.held) >= self.limiter.limit, "a place is free and somebody waits"

    def _notice(self) -> None:
        for task in [task for task in self.tasks if task.done()]:
            self.tasks.remove(task)
            if not task.cancelled():
                self.held.append(task)

    async def step(self, action: str, which: int) -> None:
        match action:
            case "ask":
                self.tasks.append(asyncio.create_task(self.limiter.acquire()))
            case "run":
                await self.settle()
            case "cancel" if self.tasks:
                self.tasks[which % len(self.tasks)].cancel()
            case "succeed" | "fail" | "overload" if self.held:
                ticket = self.held.pop(which % len(self.held)).result()
                self.limiter.release(ticket, replied=action == "succeed", overloaded=action == "overload")
            case _:
                pass

    async def finish(self) -> None:
        await self.settle()
        for task in self.tasks:
            task.cancel()
        await self.settle()
        while self.held:
            self.limiter.release(self.held.pop().result())
        expected = self.limiter.limit
        self.tasks = [asyncio.create_task(self.limiter.acquire()) for _ in range(expected + 1)]
        await self.settle()
        assert len(self.held) == expected, "a place was lost or made up"
        self.tasks[0].cancel()
        await self.settle()


ACTIONS = st.sampled_from(["ask", "ask", "ask", "run", "run", "cancel", "succeed", "fail", "overload"])


@seed(20250613)
@settings(max_examples=300, deadline=None)
@given(st.integers(1, 12), st.lists(st.tuples(ACTIONS, st.integers(0, 50)), max_size=80))
def test_no_order_of_cancelling_and_releasing_loses_a_place(maximum: int, steps: list[tuple[str, int]]) -> None:
    async def work() -> None:
        places = Places(maximum)
        for action, which in steps:
            await places.step(action, which)
        await places.finish()

    asyncio.run(work())
