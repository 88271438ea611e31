"""The retry layer by itself: what a server's wait means, and when retrying ends. Against a server: test_endpoints."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.endpoints.retries import RetryPolicy, Transient, with_retries
from evals.io.web.retry_after import is_transient_status, retry_after_s
from evals.trials.response import Failure

IN_ALL = "no complete reply within 0.1 s in all"
NO_WAIT = RetryPolicy(max_attempts=4, first_wait_s=0.0, longest_wait_s=0.0)


def transient(number: int, asked_s: float | None = None) -> Transient:
    return Transient(Failure("server_error", f"attempt {number}", number), asked_s)


class Attempts:
    """Fails `failures` times, then succeeds; keeps the numbers it was called with and when."""

    def __init__(self, failures: int, asked_s: float | None = None, takes_s: float = 0.0) -> None:
        self.failures = failures
        self.asked_s = asked_s
        self.takes_s = takes_s
        self.numbers: list[int] = []
        self.at: list[float] = []

    async def __call__(self, number: int) -> str:
        self.numbers.append(number)
        self.at.append(time.monotonic())
        time.sleep(self.takes_s)  # noqa: ASYNC251 the clock is what is tested
        if number <= self.failures:
            raise transient(number, self.asked_s)
        return f"answer {number}"


async def at_once() -> None:
    """No queue: the place is free."""


async def retried(attempt: Callable[[int], Awaitable[str]], policy: RetryPolicy) -> str:
    return await with_retries(lambda number, _: attempt(number), policy, at_once)


@pytest.mark.anyio
async def test_attempts_are_numbered_from_one_until_one_succeeds() -> None:
    attempts = Attempts(failures=2)
    assert await retried(attempts, NO_WAIT) == "answer 3"
    assert attempts.numbers == [1, 2, 3]


@pytest.mark.anyio
async def test_the_last_failure_is_raised_when_attempts_are_used_up() -> None:
    attempts = Attempts(failures=99)
    with pytest.raises(Transient) as caught:
        await retried(attempts, NO_WAIT)
    assert attempts.numbers == [1, 2, 3, 4]
    assert caught.value.failure.attempts == 4


@pytest.mark.anyio
async def test_any_other_error_is_not_retried() -> None:
    calls: list[int] = []

    async def broken(number: int) -> str:
        calls.append(number)
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await retried(broken, NO_WAIT)
    assert calls == [1]


@pytest.mark.anyio
async def test_time_used_up_ends_retries_before_attempts_do() -> None:
    attempts = Attempts(failures=10**6, takes_s=0.02)
    with pytest.raises(Transient):
        await retried(attempts, RetryPolicy(10**6, max_total_s=0.1, first_wait_s=0.0, longest_wait_s=0.0))
    assert 1 <= len(attempts.numbers) <= 5


@pytest.mark.anyio
async def test_an_attempt_that_still_runs_when_the_time_is_over_is_cut_off_as_a_timeout() -> None:
    ended: list[int] = []

    async def slow_at_the_third(number: int) -> str:
        if number < 3:
            raise transient(number)
        try:
            await asyncio.sleep(30)
        finally:
            ended.append(number)
        return "too late"

    with pytest.raises(Transient) as caught:
        await retried(slow_at_the_third, RetryPolicy(10**6, max_total_s=0.1, first_wait_s=0.0, longest_wait_s=0.0))
    assert caught.value.failure == Failure("timeout", IN_ALL, 3)
    assert ended == [3]


@pytest.mark.anyio
async def test_a_time_limit_of_the_attempts_own_is_not_taken_for_the_whole() -> None:
    async def gives_up(number: int) -> str:
        raise TimeoutError

    with pytest.raises(TimeoutError):
        await retried(gives_up, NO_WAIT)


@pytest.mark.anyio
async def test_time_in_the_queue_for_a_place_counts_for_nothing() -> None:
    async def queue() -> str:
        await asyncio.sleep(0.4)
        return "place"

    async def third(number: int, place: str) -> str:
        if number < 3:
            raise transient(number)
        return f"{place} {number}"

    policy = RetryPolicy(10, max_total_s=1.0, first_wait_s=0.0, longest_wait_s=0.0)
    assert await with_retries(third, policy, queue) == "place 3"


@pytest.mark.anyio
async def test_a_wait_that_would_end_past_the_time_limit_is_not_begun() -> None:
    attempts = Attempts(failures=1, asked_s=3600.0)
    with pytest.raises(Transient):
        await retried(attempts, RetryPolicy(max_total_s=60.0))
    assert attempts.numbers == [1]


@pytest.mark.anyio
async def test_the_wait_is_never_shorter_than_the_server_asked_for() -> None:
    attempts = Attempts(failures=2, asked_s=0.15)
    await retried(attempts, NO_WAIT)
    gaps = [later - earlier for earlier, later in zip(attempts.at, attempts.at[1:], strict=False)]
    assert len(gaps) == 2
    assert min(gaps) >= 0.15


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "7"}, 7.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after": "-3"}, 0.0),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after-ms": "soon", "retry-after": "9"}, 9.0),
        ({"retry-after": "soon"}, None),
        ({"retry-after": "nan"}, None),
        ({"retry-after": "inf"}, None),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00 GMT"}, 0.0),
        ({"retry-after": "Wed, 21 Oct 2015 07:28:00"}, None),
        ({"retry-after": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}, None),
    ],
)
def test_retry_after_is_read_in_each_of_its_forms(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after_s(headers) == seconds


def test_retry_after_as_a_date_is_the_time_until_then() -> None:
    date = format_datetime(datetime.now(UTC) + timedelta(seconds=90), usegmt=True)
    seconds = retry_after_s({"retry-after": date})
    assert seconds is not None
    assert 60 < seconds <= 90


@given(st.text() | st.from_regex(r"\w{3}, \d+ Jan \d+ \d+:\d+:\d+ (GMT|[+-]\d+)?", fullmatch=True))
def test_no_retry_after_text_breaks_the_client(value: str) -> None:
    seconds = retry_after_s({"retry-after": value})
    assert seconds is None or 0.0 <= seconds < float("inf")


def test_only_timeouts_conflicts_rate_limits_and_server_errors_are_retried() -> None:
    retried = {status for status in range(400, 600) if is_transient_status(status)}
    assert retried == {408, 409, 429, 498, *range(500, 600)}
