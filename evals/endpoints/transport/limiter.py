"""How many requests one server gets at a time: all that the user allows, until the server asks for less.

Servers queue by themselves, so the limit opens at the maximum. A 429, an overload error, a refused connection or a
timeout halves it, once for each batch that was in flight together. Each reply adds to it again, by an eighth in a round
trip and at least by one: from one request to 64 takes about 25 round trips.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from typing import NamedTuple

from evals.endpoints.transport.line import Line

_BACKOFF = 0.5
_GROWTH = 0.125


class LookAgain(Exception):
    """There are other limiters to wait for by now."""


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
        self._waiting: Line[AdaptiveLimiter] = Line()
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
    async def acquire_any(
        cls, limiters: Sequence[AdaptiveLimiter], waiting: set[asyncio.Future[AdaptiveLimiter]] | None = None
    ) -> Slot:
        """Wait for a place at any of the limiters, which stand in the order of preference: at the first that has room,
        else where one is free first; who would rather have a place comes before those who take any.

        Who waits is in `waiting` meanwhile; an exception set there, such as LookAgain, ends the wait.
        """
        for limiter in limiters:
            if limiter.has_room:
                return Slot(limiter, await limiter.acquire())
        return await cls._first_of(limiters, waiting)

    @classmethod
    async def _first_of(
        cls, limiters: Sequence[AdaptiveLimiter], waiting: set[asyncio.Future[AdaptiveLimiter]] | None = None
    ) -> Slot:
        place: asyncio.Future[AdaptiveLimiter] = asyncio.get_running_loop().create_future()
        for limiter in limiters:
            limiter._waiting.join(place, rather_here=limiter is limiters[0])
        if waiting is not None:
            waiting.add(place)
        try:
            limiter = await place
        except asyncio.CancelledError:
            # Given a place in the same moment: pass it on.
            if place.done() and not place.cancelled() and place.exception() is None:
                place.result()._in_flight -= 1
                place.result()._wake()
            raise
        finally:
            for limiter_left in limiters:
                limiter_left._waiting.leave(place)
            if waiting is not None:
                waiting.discard(place)
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
        while self._in_flight < self.limit and (place := self._waiting.call()) is not None:
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
