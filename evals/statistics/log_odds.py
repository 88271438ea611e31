"""Means of log-odds over questions, with t intervals.

Rates far below 1% differ by factors, not by points, so they are averaged and compared as log-odds, whose spread over
questions is near normal where that of the rates is not.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.intervals import CONFIDENCE

_t_quantile: Any = special.stdtrit  # the library has no types


class MeanLogOdds(NamedTuple):
    """A mean of natural log-odds, or of their differences, over `questions`, and both ends of its interval: None for
    one question, which shows nothing of others."""

    mean: float
    low: float | None
    high: float | None
    questions: int


def mean_log_odds(values: Sequence[float], confidence: float = CONFIDENCE) -> MeanLogOdds | None:
    """The mean over questions, one value each, with its t interval for questions like these. None without a value."""
    if not values:
        return None
    mean = float(np.mean(values))
    if len(values) < 2:
        return MeanLogOdds(mean, None, None, 1)
    error = float(np.std(values, ddof=1)) / math.sqrt(len(values))
    reach = error * float(_t_quantile(len(values) - 1, (1 + confidence) / 2))
    return MeanLogOdds(mean, mean - reach, mean + reach, len(values))
