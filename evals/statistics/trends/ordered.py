"""Is there a trend over ordered groups (steps, doses)? Two permutation tests, as there are two intervals of a rate.

On these questions the answers to a wording are permuted over the groups: without a trend, which of its answers hit is
chance. The statistic is the sum over hits of the group's place, 0, 1, 2, ... For hits and misses and equally many
answers in each group that is Jonckheere's and Terpstra's test, stratified by wording, and with any numbers Mantel's
extension of the Cochran-Armitage test; here with its exact distribution, or many random permutations.

For questions like these the order of the groups is reversed, or not, for each question: without a trend in questions of
the kind, a question that rises is as likely as one that falls by as much. A question may then wobble from one
checkpoint to the next, and have a trend of its own; other permutations of its groups would take that for a common one.
"""

from __future__ import annotations

import math
from typing import Any, Literal, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.these_questions import question_weights

Integers = npt.NDArray[np.int64]
Floats = npt.NDArray[np.float64]
PERMUTATIONS = 9_999
"""Random permutations where there are too many for all of them; the smallest p-value is then 1 / 10,000."""
_MOST_WORK = 5e7
_MOST_REVERSED = 18
"""Questions with a trend of their own up to which every combination of reversals is looked at."""
_ROUNDING = 1e-9
_LEAST_P = 5e-324

_log_gamma: Any = special.gammaln  # the library has no types

TrendMethod = Literal["exact", "permutations"]


class Ordered(NamedTuple):
    """Hits and answers, both of shape (wordings, groups); the groups are in their order. `questions` numbers the
    question of each wording."""

    hits: Integers
    counted: Integers
    questions: Integers

    def complete(self) -> Ordered:
        """The wordings with an answer in every group."""
        rows = (self.counted > 0).all(axis=1)
        return Ordered(self.hits[rows], self.counted[rows], self.questions[rows])


class Trend(NamedTuple):
    """A two-sided p-value in (0, 1] and how it was found. `sign` is 1 for hits that gather in late groups, -1 in early
    ones, 0 in neither."""

    p_value: float
    sign: int
    method: TrendMethod


def trend_on_these_questions(table: Ordered, seed: int = 0, permutations: int = PERMUTATIONS) -> Trend | None:
    """Of no trend in any wording, by permuting its answers over the groups; None with fewer than two groups or without
    answers in two of them. Random permutations depend on `seed` alone."""
    if table.counted.shape[1] < 2 or ((table.counted > 0).sum(axis=1) < 2).all():
        return None
    totals, hits = table.counted.sum(axis=1), table.hits.sum(axis=1)
    free = (hits > 0) & (hits < totals)
    counted, found, hits, totals = table.counted[free], table.hits[free], hits[free], totals[free]
    places = np.arange(counted.shape[1], dtype=np.int64)
    observed = float((found * places).sum())
    expected = float(((counted * places).sum(axis=1) * hits / np.maximum(totals, 1)).sum())
    distance = abs(observed - expected)
    sign = 0 if distance < _ROUNDING else 1 if observed > expected else -1
    if not free.any():
        return Trend(1.0, 0, "exact")
    rarer = np.minimum(hits, totals - hits)
    if _work(counted, rarer) <= _MOST_WORK:
        # The rarer of hits and misses tells the same: the two sums of a stratum add up to a constant.
        chances = np.ones(1)
        for stratum, number, is_swapped in zip(counted, rarer, rarer < hits, strict=True):
            kernel = _sum_of_places(stratum, int(number))
            chances = np.convolve(chances, kernel[::-1] if is_swapped else kernel)
        sums = np.arange(len(chances))
        as_far = np.abs(sums - (sums * chances).sum()) >= distance - 1e-6
        return Trend(min(1.0, max(_LEAST_P, float(chances[as_far].sum()))), sign, "exact")
    rng = np.random.default_rng(seed)
    sums = np.zeros(permutations)
    for stratum, number in zip(counted, hits, strict=True):
        drawn = rng.multivariate_hypergeometric(stratum, number, permutations, method="marginals")
        sums += (drawn * places).sum(axis=1)
    return Trend(_share_as_far(sums - expected, distance), sign, "permutations")


def trend_of_questions_like_these(table: Ordered, seed: int = 0, permutations: int = PERMUTATIONS) -> Trend | None:
    """Of no trend for questions like these, by reversing the groups of questions; None with fewer than two groups or
    than two questions with answers in every one."""
    rates = question_rates(table.complete())
    questions, groups = rates.shape
    if questions < 2 or groups < 2:
        return None
    places = np.arange(groups, dtype=np.float64) - (groups - 1) / 2
    observed = float((rates * places).sum())
    sign = 0 if abs(observed) < _ROUNDING else 1 if observed > 0 else -1
    slopes = (rates * places).sum(axis=1)
    slopes = slopes[np.abs(slopes) > _ROUNDING]
    if not len(slopes):
        return Trend(1.0, 0, "exact")
    if len(slopes) <= _MOST_REVERSED:
        sums = np.zeros(1)
        for slope in slopes:
            sums = np.concatenate([sums + slope, sums - slope])
        return Trend(float((np.abs(sums) >= abs(observed) - _ROUNDING).mean()), sign, "exact")
    signs = np.random.default_rng(seed).choice([-1.0, 1.0], (permutations, len(slopes)))
    return Trend(_share_as_far((signs * slopes).sum(axis=1), abs(observed)), sign, "permutations")


def question_rates(table: Ordered) -> Floats:
    """The rate of each question in each group, the mean over its wordings; every wording has answers."""
    rates = table.hits / table.counted
    names, place = np.unique(table.questions, return_inverse=True)
    means = np.zeros((len(names), table.hits.shape[1]))
    if len(names):
        shares = question_weights(table.questions) * len(names)
        np.add.at(means, place, rates * shares[:, None])
    return means


def _work(counted: Integers, rarer: Integers) -> float:
    groups = counted.shape[1]
    lengths = rarer * (groups - 1.0) + 1
    inside = np.minimum(counted, rarer[:, None]).sum(axis=1) * (rarer + 1.0) * lengths
    return float(inside.sum() + (lengths.cumsum() * lengths).sum())


def _sum_of_places(counted: Integers, number: int) -> Floats:
    """The distribution of the sum of the places of `number` answers drawn from these groups."""
    longest = number * (len(counted) - 1)
    # Any chance of an answer gives the same distribution, given the number; near this one it keeps its digits.
    share = number / int(counted.sum())
    chances = np.zeros((number + 1, longest + 1))
    chances[0, 0] = 1.0
    for place, size in enumerate(counted.tolist()):
        drawn = np.arange(min(size, number) + 1, dtype=np.int64)
        logs = _log_factorial(size) - _log_factorial(drawn) - _log_factorial(size - drawn)
        weights = np.exp(logs + drawn * math.log(share) + (size - drawn) * math.log1p(-share))
        after = np.zeros_like(chances)
        for taken in range(len(weights)):
            shift = place * taken
            after[taken:, shift:] += weights[taken] * chances[: number + 1 - taken, : longest + 1 - shift]
        chances = after
    found: Floats = chances[number] / chances[number].sum()
    return found


def _log_factorial(number: int | Integers) -> Floats:
    return np.asarray(_log_gamma(np.asarray(number) + 1.0), dtype=np.float64)


def _share_as_far(sums: Floats, distance: float) -> float:
    return (1 + int((np.abs(sums) >= distance - _ROUNDING).sum())) / (len(sums) + 1)
