"""Means of log-odds over questions, with intervals for questions like these.

Rates far below 1% differ by factors, not by points, so they are averaged and compared as log-odds. Without thinking
these are read and not sampled: on the questions asked their mean is known, and only other questions are uncertain. A
t interval would take them to be like those seen, and miss the few that carry an effect.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.bounded_mean import bound_of_mean
from evals.statistics.intervals import CONFIDENCE

REACH = math.log(1e5)
"""How far from 0 the log-odds of unseen questions, or their differences, are taken to be at most: a probability of
1e-5, or odds that change by a factor of 100,000. More where more was seen."""

_t_quantile: Any = special.stdtrit  # the library has no types


class MeanLogOdds(NamedTuple):
    """A mean of natural log-odds, or of their differences, over `questions`, and the ends of its intervals for
    questions like these: `low` and `high` whatever their distribution, and Student's t. None for one question, which
    shows nothing of others. `least` and `most` are the values of single questions."""

    mean: float
    low: float | None
    high: float | None
    t_low: float | None
    t_high: float | None
    questions: int
    least: float
    most: float


def mean_log_odds(values: Sequence[float], confidence: float = CONFIDENCE) -> MeanLogOdds | None:
    """The mean over questions, one value each, with its intervals for questions like these. None without a value.

    `low` and `high` are Student's t interval, each end drawn out to what questions of another kind could add whatever
    the distribution (Gaffke 2005), if none is further from 0 than REACH or the furthest seen.
    """
    if not values:
        return None
    mean = float(np.mean(values))
    if len(values) < 2:
        return MeanLogOdds(mean, None, None, None, None, 1, mean, mean)
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = error * float(_t_quantile(len(values) - 1, (1 + confidence) / 2))
    found = np.array(values, dtype=np.float64)
    furthest = max(REACH, float(np.abs(found).max()))
    low = min(mean - reach, -bound_of_mean(-found, furthest, confidence))
    high = max(mean + reach, bound_of_mean(found, furthest, confidence))
    return MeanLogOdds(mean, low, high, mean - reach, mean + reach, len(values), min(values), max(values))
