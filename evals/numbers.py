"""Numbers as text: percentages, percentage points, p-values, durations. A value that is missing is a dash."""

from __future__ import annotations

from math import isnan


def percent(value: float | None, digits: int = 1) -> str:
    """A fraction as a percentage: 0.125 is `12.5%`."""
    return "–" if value is None else f"{100 * value:.{digits}f}%"


def percent_range(low: float | None, high: float | None) -> str:
    """An interval of fractions: `1.7% to 28.4%`; a dash for a blank one, None or NaN."""
    return "–" if low is None or high is None or isnan(low) else f"{percent(low)} to {percent(high)}"


def points(value: float | None) -> str:
    """A difference of two rates in percentage points, with its sign: 0.125 is `+12.5`."""
    return "–" if value is None else f"{100 * value:+.1f}"


def share_words(value: float | None, k: int, n: int) -> str:
    """A rate with its counts: `12.5% (3 of 24)`; a dash where nothing was counted."""
    return f"{percent(value)} ({out_of(k, n)})" if n else "–"


def out_of(k: int, n: int) -> str:
    """Counts: `3 of 24`, `1,203 of 24,000`."""
    return f"{k:,} of {n:,}"


def counted(number: int, noun: str) -> str:
    """A number with what it counts: `1 answer`, `1,200 answers`, `2 retries`, `0 misses`."""
    if number == 1:
        return f"1 {noun}"
    if noun.endswith("y"):
        return f"{number:,} {noun[:-1]}ies"
    return f"{number:,} {noun}{'es' if noun.endswith('ss') else 's'}"


def p_words(value: float | None) -> str:
    """A p-value as it stands after the letter p: `= 0.012`, or `< 0.001`."""
    return "–" if value is None else "< 0.001" if value < 0.001 else f"= {value:.3f}"


def duration(seconds: float) -> str:
    """`1:02:03`, or `2:03` below an hour."""
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
