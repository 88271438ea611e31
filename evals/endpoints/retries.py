"""The one retry layer: which errors pass, how long to wait, when to give up.

Transient: connection errors, timeouts, a 200 whose body does not parse or holds such an error, a reply that was broken
off, 408, 409, 429, 498 and 5xx. Everything else is final, an account that cannot pay included. Waits grow exponentially
with jitter; a server's Retry-After is honoured; attempts and total time are both bounded, and an attempt that runs when
the time is over is cut off. The SDK's own retries are off.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Generic, TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from evals.trials.response import Failure

_T = TypeVar("_T")
_Place = TypeVar("_Place")

_NEARLY = 1.01
"""By how much an attempt may end later than the time of its request, and needs no second timer."""


@dataclass(frozen=True, slots=True)
class RetryPolicy:
    """Bounds of one request: attempts in all, seconds in all, and the first and longest wait in seconds.

    The seconds are those of attempts and of waits between them. Those in our own queue for a place do not count: a
    request that was never sent has not failed.
    """

    max_attempts: int = 8
    max_total_s: float = 600.0
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0


class Transient(Exception):
    """One attempt failed in a way that may pass. `retry_after_s` is what the server asked for."""

    def __init__(self, failure: Failure, retry_after_s: float | None = None) -> None:
        super().__init__(failure.detail)
        self.failure = failure
        self.retry_after_s = retry_after_s


async def with_retries(
    attempt: Callable[[int, _Place], Awaitable[_T]],
    policy: RetryPolicy,
    acquire: Callable[[], Awaitable[_Place]],
    retried: Callable[[], None] | None = None,
    *,
    ends_within_s: float = math.inf,
) -> _T:
    """The result of `attempt(number, place)`, numbers from 1, retried while it raises Transient. An attempt ends by
    itself within `ends_within_s`.

    Each attempt first waits for a place from `acquire`, and has to give it back. Raises the last Transient when
    attempts or time are used up. A wait that would end past the time limit is not begun. `retried` is called for each
    attempt that is going to be followed by another, before the wait.
    """
    attempts = _Attempts(attempt, policy, acquire, ends_within_s)
    try:
        return await attempts.next()  # tenacity costs more than a whole request to a fast server: it is for the others
    except Transient as error:
        return await attempts.go_on_after(error, retried)


class _Attempts(Generic[_T, _Place]):
    """The attempts of one request, numbered from 1, within the time of their policy."""

    def __init__(
        self,
        attempt: Callable[[int, _Place], Awaitable[_T]],
        policy: RetryPolicy,
        acquire: Callable[[], Awaitable[_Place]],
        ends_within_s: float,
    ) -> None:
        self._ends_within_s = ends_within_s
        self._attempt = attempt
        self._policy = policy
        self._acquire = acquire
        self._started = time.monotonic()
        self._number = 0
        self._queued_s = 0.0
        self._cut_off = False

    async def next(self) -> _T:
        """The next attempt. Raises Transient."""
        self._number += 1
        queued_at = time.monotonic()
        place = await self._acquire()
        self._queued_s += time.monotonic() - queued_at
        left_s = self._left_s()
        if self._ends_within_s <= left_s * _NEARLY:
            return await self._attempt(self._number, place)
        limit = asyncio.timeout(left_s)
        try:
            async with limit:
                return await self._attempt(self._number, place)
        except TimeoutError:
            if not limit.expired():
                raise
            self._cut_off = True
            detail = f"no complete reply within {self._policy.max_total_s:g} s in all"
            raise Transient(Failure("timeout", detail, self._number)) from None

    async def go_on_after(self, first: Transient, retried: Callable[[], None] | None) -> _T:
        """The attempts that follow the first, which has failed with `first`. Raises the last Transient."""
        growing = wait_random_exponential(multiplier=self._policy.first_wait_s, max=self._policy.longest_wait_s)
        failed: list[Transient] = [first]

        def wait(state: RetryCallState) -> float:
            jittered = growing(state)
            error = state.outcome.exception() if state.outcome else None
            asked = error.retry_after_s if isinstance(error, Transient) else None
            # Jitter on top of what the server asked for: its clients must not all come back in the same moment.
            return jittered if asked is None else asked + min(jittered, 1.0)

        def stop(state: RetryCallState) -> bool:
            out_of_time = self._cut_off or state.upcoming_sleep >= self._left_s()
            return stop_after_attempt(self._policy.max_attempts)(state) or out_of_time

        async def numbered() -> _T:
            if failed:
                raise failed.pop()
            return await self.next()

        retrying = AsyncRetrying(
            retry=retry_if_exception_type(Transient),
            wait=wait,
            stop=stop,
            reraise=True,
            before_sleep=None if retried is None else lambda _state: retried(),
        )
        return await retrying(numbered)

    def _left_s(self) -> float:
        return self._policy.max_total_s - (time.monotonic() - self._started - self._queued_s)
