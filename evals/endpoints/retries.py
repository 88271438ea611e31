"""The one retry layer: which errors pass, how long to wait, when to give up.

Transient: connection errors, timeouts, a 200 whose body does not parse or holds such an error, a reply that was broken
off, 408, 409, 429, 498 and 5xx. Everything else is final, an account that cannot pay included. Waits grow exponentially
with jitter; a server's Retry-After is honoured; attempts and total time are both bounded, and an attempt that runs when
the time is over is cut off. The SDK's own retries are off.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import TypeVar

from tenacity import AsyncRetrying, RetryCallState, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from evals.trials.response import Failure

_T = TypeVar("_T")
_Place = TypeVar("_Place")


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
) -> _T:
    """The result of `attempt(number, place)`, numbers from 1, retried while it raises Transient.

    Each attempt first waits for a place from `acquire`, and has to give it back. Raises the last Transient when
    attempts or time are used up. A wait that would end past the time limit is not begun. `retried` is called for each
    attempt that is going to be followed by another, before the wait.
    """
    growing = wait_random_exponential(multiplier=policy.first_wait_s, max=policy.longest_wait_s)
    started = time.monotonic()
    number = 0
    queued_s = 0.0
    cut_off = False

    def left_s() -> float:
        return policy.max_total_s - (time.monotonic() - started - queued_s)

    def wait(state: RetryCallState) -> float:
        jittered = growing(state)
        error = state.outcome.exception() if state.outcome else None
        asked = error.retry_after_s if isinstance(error, Transient) else None
        # Jitter on top of what the server asked for: its clients must not all come back in the same moment.
        return jittered if asked is None else asked + min(jittered, 1.0)

    def out_of_time(state: RetryCallState) -> bool:
        return cut_off or state.upcoming_sleep >= left_s()

    retrying = AsyncRetrying(
        retry=retry_if_exception_type(Transient),
        wait=wait,
        stop=lambda state: stop_after_attempt(policy.max_attempts)(state) or out_of_time(state),
        reraise=True,
        before_sleep=None if retried is None else lambda _state: retried(),
    )

    async def numbered() -> _T:
        nonlocal number, queued_s, cut_off
        number += 1
        queued_at = time.monotonic()
        place = await acquire()
        queued_s += time.monotonic() - queued_at
        limit = asyncio.timeout(left_s())
        try:
            async with limit:
                return await attempt(number, place)
        except TimeoutError:
            if not limit.expired():
                raise
            cut_off = True
            detail = f"no complete reply within {policy.max_total_s:g} s in all"
            raise Transient(Failure("timeout", detail, number)) from None

    return await retrying(numbered)
