"""How many requests one server gets at a time: starts low, grows while it helps, backs off when it hurts.

Every success in slow start adds four to the limit; a 429 or an overload error multiplies it by 0.7 (once for each batch
that was in flight together) and turns growth to one a round. Latency that rises without more throughput means that
requests only queue: the limit steps back towards what carried the same load. Where throughput falls with the limit they
did not queue, they were longer (reasoning after one-letter answers), and the limit returns. Never above the user's
maximum.
"""

from __future__ import annotations

import asyncio
import math
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

_BACKOFF = 0.7
_QUEUEING_STEP = 0.85
_USEFUL_GAIN = 1.05
_LATENCY_RISE = 2.0
_RAMP = 4.0
_CLEAR_STEP = 0.9


class _Load(NamedTuple):
    limit: float
    throughput: float


class Slot(NamedTuple):
    """A place at a limiter, to give back with its `release(ticket)`."""

    limiter: AdaptiveLimiter
    ticket: int


class AdaptiveLimiter:
    """A semaphore whose size follows the server. Take with `acquire`, give back with `release`; one event loop only."""

    def __init__(self, maximum: int) -> None:
        if maximum < 1:
            raise ValueError("a limiter lets at least one request through")
        self.maximum = maximum
        self.start = max(min(maximum, 8), maximum // 4)
        self._limit = float(self.start)
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[AdaptiveLimiter]] = deque()
        self._slow_start = True
        self._taken = 0  # tickets given out, to tell which requests started before the last backoff
        self._backoff_ticket = 0
        self._round_latencies: list[float] = []
        self._best_latency = float("inf")
        self._last_throughput = 0.0
        self._before_steps: _Load | None = None  # what was carried before the limit stepped back, while it does
        self._settling = 0  # replies to come that were asked for under an older limit, so their latency is of that

    @property
    def limit(self) -> int:
        return max(1, int(self._limit))

    @property
    def has_room(self) -> bool:
        """Whether `acquire` would not wait."""
        return self._in_flight < self.limit and not self._waiting

    async def acquire(self) -> int:
        """Wait for a place. The ticket returned goes back with `release`."""
        if self.has_room:
            self._in_flight += 1
            self._taken += 1
            return self._taken
        return (await self._first_of([self])).ticket

    @classmethod
    async def acquire_any(cls, limiters: Sequence[AdaptiveLimiter]) -> Slot:
        """Wait for a place at any of the limiters: where the fewest are in flight, else where one is free first."""
        free = [limiter for limiter in limiters if limiter.has_room]
        if not free:
            return await cls._first_of(limiters)
        limiter = min(free, key=lambda limiter: limiter._in_flight)
        return Slot(limiter, await limiter.acquire())

    @classmethod
    async def _first_of(cls, limiters: Sequence[AdaptiveLimiter]) -> Slot:
        place: asyncio.Future[AdaptiveLimiter] = asyncio.get_running_loop().create_future()
        for limiter in limiters:
            limiter._waiting.append(place)
        try:
            limiter = await place
        except asyncio.CancelledError:
            if place.done() and not place.cancelled():  # given a place in the same moment: pass it on
                place.result()._in_flight -= 1
                place.result()._wake()
            raise
        limiter._taken += 1
        return Slot(limiter, limiter._taken)

    def release(self, ticket: int, *, latency_s: float | None = None, overloaded: bool = False) -> None:
        """Give a place back. `latency_s` is the time of a success; `overloaded` that the server asked for less."""
        if overloaded:
            self._back_off(ticket)
        elif latency_s is not None:
            self._grow(latency_s)
        self._in_flight -= 1
        self._wake()

    def _wake(self) -> None:
        while self._waiting and self._in_flight < self.limit:
            place = self._waiting.popleft()
            if not place.done():
                self._in_flight += 1
                place.set_result(self)

    def _back_off(self, ticket: int) -> None:
        if ticket <= self._backoff_ticket:
            return
        self._backoff_ticket = self._taken
        self._limit = max(1.0, self._limit * _BACKOFF)
        self._end_slow_start()

    def _end_slow_start(self) -> None:
        self._slow_start = False
        self._round_latencies.clear()
        self._last_throughput = 0.0
        self._before_steps = None

    def _grow(self, latency_s: float) -> None:
        if self._in_flight < self.limit:
            return  # the limit is not what bounds us, so this says nothing about it
        self._limit = min(float(self.maximum), self._limit + (_RAMP if self._slow_start else 1.0 / self._limit))
        if self._settling:
            self._settling -= 1
            return
        self._round_latencies.append(latency_s)
        if len(self._round_latencies) >= max(16, self.limit):
            self._end_round()

    def _end_round(self) -> None:
        latency = sum(self._round_latencies) / len(self._round_latencies)
        self._round_latencies.clear()
        throughput = self._limit / max(latency, 1e-6)  # Little's law
        self._best_latency = min(self._best_latency, latency)
        gained = throughput > self._last_throughput * _USEFUL_GAIN
        self._last_throughput = throughput
        if self._before_steps is not None and _fell_with_limit(self._before_steps, _Load(self._limit, throughput)):
            self._step_to(self._before_steps.limit)
            self._before_steps = None
            self._best_latency = latency
        elif latency <= _LATENCY_RISE * self._best_latency:
            self._before_steps = None
        elif not gained:
            self._before_steps = self._before_steps or _Load(self._limit, throughput)
            # Below the start it is the server's word (429) that counts, not our reading of its clock.
            self._step_to(max(float(min(self.start, self.limit)), self._limit * _QUEUEING_STEP))

    def _step_to(self, limit: float) -> None:
        self._limit = limit
        self._slow_start = False
        self._settling = self._in_flight


def _fell_with_limit(before: _Load, now: _Load) -> bool:
    """Whether throughput followed the limit down rather than stayed: nearer to their common fall than to none."""
    step = now.limit / before.limit
    return step < _CLEAR_STEP and now.throughput / before.throughput < math.sqrt(step)
