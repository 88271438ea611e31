"""Wait for what another process, thread or page will do."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator


def looks(seconds: float, pause_s: float) -> Iterator[None]:
    """Time for one look after another, `pause_s` apart, for about `seconds`.

    Looks are counted, not the clock: a machine that stands still for minutes, or whose clock is set, costs one look.
    """
    for _ in range(round(seconds / pause_s)):
        yield
        time.sleep(pause_s)


def until(
    holds: Callable[[], object],
    *,
    seconds: float = 120.0,
    pause_s: float = 0.02,
    meanwhile: Callable[[], None] | None = None,
) -> None:
    """Return as soon as the condition holds. `meanwhile` is called after each look, and raises where it never will."""
    for _ in looks(seconds, pause_s):
        if holds():
            return
        if meanwhile is not None:
            meanwhile()
    raise AssertionError(f"it did not come in {seconds:g} s")
