"""The chance that at least one of several answers to a question is a hit, from answers that were drawn already.

Of n answers to a question with c hits, a choice of k has none with probability C(n - c, k) / C(n, k); one minus that is
unbiased for 1 - (1 - p)^k at any rate p, as is pass@k of Chen et al. 2021 (arXiv 2107.03374). Its mean over questions
is not that of one question with the mean rate: where a few questions carry the hits, asking again finds less new.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.intervals import CONFIDENCE, Interval, drawn_out_interval, generalisation_interval

Counts = npt.NDArray[np.int64]
Chances = npt.NDArray[np.float64]


class AnyOf(NamedTuple):
    """The mean over questions of the chance of a hit among `draws` answers, a fraction in [0, 1]; its interval for new
    answers to the same questions, and the one for questions like these, None with one question."""

    draws: int
    chance: float
    same_questions: Interval
    new_questions: Interval | None


def any_of(hits: Counts, counted: Counts, draws: int, confidence: float = CONFIDENCE) -> AnyOf | None:
    """The chance of at least one hit among `draws` answers to a question; each element is one question.

    None without questions, and where one has fewer answers than `draws`: no unbiased estimate exists then. Raises
    ValueError for draws below 1.

    Each end of the interval for the same questions is the wider of two, one for questions with many hits and one for
    hits that are rare: Wilson's intervals of each question, carried over by 1 - (1 - p)^k and combined (MOVER; Zou and
    Donner 2008), and the gamma interval of a weighted sum of rare counts (Fay and Feuer 1997). The interval for
    questions like these is one for the mean of chances, whatever their distribution.
    """
    if draws < 1:
        raise ValueError(f"{draws} draws")
    if len(counted) == 0 or int(counted.min()) < draws:
        return None
    chances = np.array([_chance(int(k), int(n), draws) for k, n in zip(hits, counted, strict=True)])
    chance = float(chances.mean())
    ones = np.ones(len(chances))
    like_these = generalisation_interval(chances, ones, confidence)
    return AnyOf(draws, chance, _same_questions(hits, counted, chances, draws, confidence), like_these)


def _chance(hits: int, counted: int, draws: int) -> float:
    return 1 - math.comb(counted - hits, draws) / math.comb(counted, draws)


def _same_questions(hits: Counts, counted: Counts, chances: Chances, draws: int, confidence: float) -> Interval:
    chance = float(chances.mean())
    ends = [drawn_out_interval(k / n, float(n), confidence) for k, n in zip(hits, counted, strict=True)]
    lows = np.array([_of_several(end.low, draws) for end in ends])
    highs = np.array([_of_several(end.high, draws) for end in ends])
    # An estimate from few answers may lie outside what its own rate's interval allows.
    below, above = np.maximum(chances - lows, 0), np.maximum(highs - chances, 0)
    low = chance - math.sqrt(float((below**2).sum())) / len(chances)
    high = chance + math.sqrt(float((above**2).sum())) / len(chances) if hits.any() else 0.0
    rare_low, rare_high = _of_rare_hits(hits, counted, chances, draws, confidence)
    return Interval(max(0.0, min(low, rare_low)), min(1.0, max(high, rare_high)), "mover_gamma")


def _of_rare_hits(
    hits: Counts, counted: Counts, chances: Chances, draws: int, confidence: float
) -> tuple[float, float]:
    """The gamma interval: each hit weighs what the chance would be lower without it, and a first one at most `most`."""
    without = np.array([_chance(max(int(k) - 1, 0), int(n), draws) for k, n in zip(hits, counted, strict=True)])
    weights = (chances - without) / len(chances)
    chance, variance = float(chances.mean()), float((hits * (1 - hits / counted) * weights**2).sum())
    most = draws / float(counted.min()) / len(chances)
    tail = (1 - confidence) / 2
    low = chance if variance <= 0 else variance / chance * float(special.gammaincinv(chance**2 / variance, tail))
    above, variance = chance + most, variance + most**2
    return low, variance / above * float(special.gammaincinv(above**2 / variance, 1 - tail))


def _of_several(rate: float, draws: int) -> float:
    """The chance of a hit among independent answers, each with this rate."""
    return -math.expm1(draws * math.log1p(-rate)) if rate < 1 else 1.0
