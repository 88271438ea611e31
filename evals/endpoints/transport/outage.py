"""A server that has replied and is away: it is waited for, for as long as one request may take with its retries."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

_FIRST_PAUSE_S = 0.5
_LONGEST_PAUSE_S = 5.0


class Problem(NamedTuple):
    """What is wrong with a server as a whole. `may_pass`: it may come back, as after a restart."""

    text: str
    may_pass: bool = False


class Outage:
    """Since when a server is away, by its replies and failures."""

    def __init__(self) -> None:
        self._has_replied = False
        self._failing_since: float | None = None
        self._told_at: float | None = None

    def note_reply(self) -> None:
        self._has_replied = True
        self._failing_since = None

    def note_failure(self) -> None:
        if self._failing_since is None:
            self._failing_since = time.monotonic()

    def left_s(self, max_total_s: float) -> float:
        """Seconds to wait for it still: 0 for a server that has never replied, whose URL may be wrong."""
        if not self._has_replied or self._failing_since is None:
            return 0.0
        return max_total_s - (time.monotonic() - self._failing_since)

    def begins(self) -> bool:
        """Whether people are yet to be told that it is away."""
        is_new = self._told_at is None
        self._told_at = self._told_at or time.monotonic()
        return is_new

    def ends(self) -> float | None:
        """Seconds since people were told that it is away, None where they know that it is back."""
        told_at, self._told_at = self._told_at, None
        return None if told_at is None else time.monotonic() - told_at


async def wait_until_back(
    problem: Problem, check: Callable[[], Awaitable[Problem | None]], left_s: Callable[[], float]
) -> Problem | None:
    """Call `check` now and then until it finds no problem; the last one, if it does not pass in the time left."""
    pause_s = _FIRST_PAUSE_S
    while problem.may_pass and (time_s := left_s()) > 0:
        await asyncio.sleep(min(pause_s, time_s))
        found = await check()
        if found is None:
            return None
        problem, pause_s = found, min(2 * pause_s, _LONGEST_PAUSE_S)
    return problem


class SharedCheck:
    """Runs a check at most once at a time: callers that come while it runs share its result."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._finished = 0
        self._result: Problem | None = None

    async def run(self, check: Callable[[], Awaitable[Problem | None]]) -> Problem | None:
        finished = self._finished
        async with self._lock:
            if self._finished == finished:
                self._result = await check()
                self._finished += 1
            return self._result


def span(seconds: float) -> str:
    """A time for people."""
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"
