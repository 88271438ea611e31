"""What missing answers could do to a rate, with the sampling error of the answers that are there.

Bounds count every missing answer as a miss, then as a hit. They say what the questions' own missing answers could
change, and nothing of chance: the rate that a model has is outside such bounds in a third of runs where few answers
are missing. Imbens and Manski (2004) add the error: each bound is drawn outwards, by less than two intervals would be,
since the rate cannot be at both bounds.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.intervals import CONFIDENCE, Counts, Interval, generalisation_interval, stratified_wilson_interval

IntervalMethod = Callable[[Counts, Counts, float], Interval | None]
"""From hits, counted answers and the confidence; each element is one question."""

# The library has no types.
_normal_cdf: Any = special.ndtr
_normal_quantile: Any = special.ndtri


def missing_answers_interval(
    hits: Counts,
    counted: Counts,
    asked: Counts,
    confidence: float = CONFIDENCE,
    method: IntervalMethod | None = None,
) -> Interval | None:
    """The interval of the rate among all `asked` answers, whatever the missing ones would have been; both ends as
    fractions in [0, 1].

    Each element is a question with `hits` among `counted` answers, and `asked - counted` missing ones. None if nothing
    was asked. With nothing missing it is the interval that `method` gives, and it never ends within that interval of
    the counted answers. By default that is the interval for questions like these, or of one question for new answers to
    it.
    """
    if method is None:
        method = generalisation_interval if (asked > 0).sum() > 1 else stratified_wilson_interval
    lowest = method(hits, asked, confidence)
    highest = method(hits + asked - counted, asked, confidence)
    if lowest is None or highest is None:
        return None
    width = float((asked - counted).sum() / asked.sum())
    if width <= 0:
        return lowest
    error = max(_standard_error(lowest, confidence), _standard_error(highest, confidence))
    outwards = 2 * float(_normal_cdf(critical_value(width / error, confidence))) - 1
    ends = [method(hits, asked, outwards), method(hits + asked - counted, asked, outwards)]
    # Answers missing at random leave the rate where it is, with an error of its own.
    ends.append(method(hits, counted, confidence))
    found = [interval for interval in ends if interval is not None]
    return Interval(min(interval.low for interval in found), max(interval.high for interval in found), "imbens_manski")


def critical_value(width: float, confidence: float = CONFIDENCE) -> float:
    """The number of standard errors by which each of two bounds is drawn outwards, `width` standard errors apart
    (Imbens and Manski 2004, eq. 6): the two-sided quantile where they are one, the one-sided where they are far apart.
    """
    low, high = float(_normal_quantile(confidence)), float(_normal_quantile((1 + confidence) / 2))
    for _ in range(50):
        middle = (low + high) / 2
        if _normal_cdf(middle + width) - _normal_cdf(-middle) < confidence:
            low = middle
        else:
            high = middle
    return high


def _standard_error(interval: Interval, confidence: float) -> float:
    """That of a normal estimate whose interval is as wide, which near 0 and 1 is more than that of the variance."""
    return (interval.high - interval.low) / (2 * float(_normal_quantile((1 + confidence) / 2)))
