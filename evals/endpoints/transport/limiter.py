"""How many requests one server gets at a time: all that the user allows, until the server asks for less.

Servers queue by themselves, so the limit opens at the maximum. A 429, an overload error, a refused connection or a
timeout halves it, once for each batch that was in flight together. Each reply adds to it again, by an eighth in a round
trip and at least by one: from one request to 64 takes about 25 round trips.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Sequence
from typing import NamedTuple

_BACKOFF = 0.5
_GROWTH = 0.125


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
        self._limit = float(maximum)
        self._in_flight = 0
        self._waiting: deque[asyncio.Future[AdaptiveLimiter]] = deque()
        self._taken = 0  # tickets given out, to tell which requests started before the last backoff
        self._backoff_ticket = 0

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

    def release(self, ticket: int, *, replied: bool = False, overloaded: bool = False) -> None:
        """Give a place back. `replied`: the request succeeded; `overloaded`: the server asked for less."""
        if overloaded:
            self._back_off(ticket)
        elif replied:
            self._grow()
        self._in_flight -= 1
        self._wake()

    def reopen(self) -> None:
        """Open at the maximum, as at the start: nothing is known of a server that has just come back."""
        self._limit = float(self.maximum)
        self._backoff_ticket = self._taken
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

    def _grow(self) -> None:
        if self._in_flight >= self.limit:  # else the limit is not what bounds us, and the reply says nothing about it
            self._limit = min(float(self.maximum), self._limit + max(1.0 / self._limit, _GROWTH))
