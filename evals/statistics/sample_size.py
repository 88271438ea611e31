"""Sample sizes from a pilot's variance components: how many questions, and how many samples per question.

Each question has its own rate, and each answer to it is a draw at that rate. The variance of a question's measured rate
over k draws is then `between + within / k` (Miller 2024, "Adding error bars to evals", arXiv 2411.00640, on
resampling): more samples reduce only the second part, more questions both. For a paired effect the same holds for a
question's difference, with the within parts of both conditions added (ibid., on power, Eq. 9).

Questions are clusters. Wordings of one question (option orders) are strata: draws are spread evenly over them, so
differences between wordings are in neither part.
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.bounded_mean import Questions
from evals.statistics.intervals import (
    CONFIDENCE,
    Counts,
    Interval,
    drawn_out_interval,
    generalisation_interval,
    interval_of_questions,
)

Labels = npt.NDArray[np.int64]

SAFE = 0.95
"""The one-sided confidence of each bound in the safe version of a plan."""
_BINS = np.sin(np.linspace(0, np.pi / 2, 17)) ** 2
"""The edges of the bins of rates, narrow where rates vary least."""
_NORMAL_FREEDOM = 10_000
"""Above so many degrees of freedom the noncentral t is approximated by the normal."""

# The library has no types.
_scipy: Any = cast("Any", special)


class Parts(NamedTuple):
    """The variance between questions, and the mean variance of one draw within them; both at least 0."""

    between: float
    within: float

    @property
    def share(self) -> float:
        """The share of the variance between questions, in [0, 1]; 1 if there is no variance."""
        total = self.between + self.within
        return self.between / total if total > 0 else 1.0

    def variance(self, draws: float) -> float:
        """The variance of the measured rate (or effect) of one question with `draws` counted draws."""
        return self.between + self.within / draws


class Components(NamedTuple):
    """The variance components of one rate, or of one paired effect, in a pilot.

    `mean` is the rate in [0, 1] or the effect in [-1, 1]; `base` and `treated` are the two rates of an effect, or both
    the rate. `between` and `within` are unbiased, so `between` can be below 0. `separable` is False if no wording was
    drawn twice: `within` is then binomial at the pooled rate, as if questions did not differ, and the sum is right only
    for the pilot's number of draws. `no_spread`: all answers were equal and show no variance; the rates are then the
    ends of their 95% intervals towards 0.5, with the whole variance between questions. `bounds` are the Parts of the
    safe version, of which the one with the largest variance applies.
    """

    mean: float
    base: float
    treated: float
    questions: int
    between: float
    within: float
    separable: bool
    no_spread: bool
    bounds: tuple[Parts, ...]

    @property
    def parts(self) -> Parts:
        """The estimate to plan with."""
        return Parts(max(0.0, self.between), self.within)


def rate_components(hits: Counts, counted: Counts, questions: Labels) -> Components | None:
    """The variance components of a rate; each element is a wording of a question, which `questions` numbers.

    The analysis of variance of a one-way layout with unequal counts (Searle, Casella and McCulloch 1992, Sec. 3.6):
    unbiased for any distribution of the questions' rates. None with answers to fewer than two questions.
    """
    used = counted > 0
    hits, counted = hits[used], counted[used]
    _, label = np.unique(questions[used], return_inverse=True)
    k, n = _sums(label, hits), _sums(label, counted)
    number, total = len(n), float(counted.sum())
    if number < 2:
        return None
    rate = float(hits.sum()) / total
    mean_square = float((n * (k / n - rate) ** 2).sum()) / (number - 1)
    usual = (total - float((n**2).sum()) / total) / (number - 1)  # effective draws per question
    within, freedom = _within(hits, counted)
    separable = freedom > 0
    if not separable:
        within = min(usual * mean_square, _binomial(rate, total))
    between = (mean_square - within) / usual
    if rate in (0.0, 1.0):
        likely = _towards_half(_interval(k, n, CONFIDENCE))
        everything = Parts(likely * (1 - likely), 0.0)
        return Components(likely, likely, likely, number, everything.between, 0.0, separable, True, (everything,))
    high = _largest_variance(_interval(k, n, 2 * SAFE - 1))
    share = _share_bound(mean_square, within, number - 1, freedom, usual) if separable else 1.0
    bounds = (Parts(high * share, high * (1 - share)),)
    return Components(rate, rate, rate, number, between, within, separable, False, bounds)


def effect_components(
    hits: Counts, counted: Counts, base_hits: Counts, base_counted: Counts, questions: Labels
) -> Components | None:
    """The variance components of a paired effect; elements are those of `evals.statistics.intervals.paired_effect`.

    `within` is the sum of the two conditions' variances of one draw (Miller 2024, Eq. 9 with K_A = K_B). None with
    pairs of fewer than two questions.
    """
    used = (counted > 0) & (base_counted > 0)
    hits, counted, base_hits, base_counted = hits[used], counted[used], base_hits[used], base_counted[used]
    _, label = np.unique(questions[used], return_inverse=True)
    pairs = _sums(label, np.ones_like(hits))
    number = len(pairs)
    if number < 2:
        return None
    difference = _sums(label, hits / counted - base_hits / base_counted) / pairs
    rate, base = float(hits.sum() / counted.sum()), float(base_hits.sum() / base_counted.sum())
    effect, spread = float(difference.mean()), float(difference.var(ddof=1))
    sides = ((hits, counted), (base_hits, base_counted))
    # The variance of a question's difference per unit of a draw's variance, under either condition.
    weights = [float((_sums(label, 1 / n) / pairs**2).mean()) for _, n in sides]
    (treated_within, freedom), (base_within, base_freedom) = (_within(k, n) for k, n in sides)
    separable = freedom > 0 and base_freedom > 0
    if separable:
        within = treated_within + base_within
        between = spread - weights[0] * treated_within - weights[1] * base_within
    else:
        weight = sum(weights) / 2
        binomial = _binomial(rate, float(counted.sum())) + _binomial(base, float(base_counted.sum()))
        within = min(spread / weight, binomial)
        between = spread - weight * within
    clusters = [(_sums(label, k), _sums(label, n)) for k, n in sides]
    if rate in (0.0, 1.0) and base in (0.0, 1.0):
        rate, base = (_towards_half(_interval(k, n, CONFIDENCE)) for k, n in clusters)
        everything = Parts(rate * (1 - rate) + base * (1 - base), 0.0)
        return Components(effect, base, rate, number, everything.between, 0.0, separable, True, (everything,))
    found = Parts(max(0.0, between), within)
    chi_square = (number - 1) / float(_scipy.chdtri(number - 1, SAFE))
    highest = sum(_largest_variance(_interval(k, n, 2 * SAFE - 1)) for k, n in clusters)
    total = (found.between + within) * highest / (rate * (1 - rate) + base * (1 - base))
    usual = 2 / sum(weights)
    share = _share_bound(usual * spread, within, number - 1, min(freedom, base_freedom), usual) if separable else 1.0
    bounds = (
        _bounded(Parts(total * share, total * (1 - share))),
        _bounded(Parts(found.between * chi_square, within * chi_square)),
    )
    return Components(effect, base, rate, number, between, within, separable, False, bounds)


def _sums(label: npt.NDArray[np.intp], values: Counts) -> Counts:
    return np.bincount(label, weights=values).astype(np.float64)


def _within(hits: Counts, counted: Counts) -> tuple[float, float]:
    """The pooled variance of one draw within its wording, and its degrees of freedom (0: unknown)."""
    freedom = float((counted - 1).sum())
    return (float((hits * (counted - hits) / counted).sum()) / freedom if freedom else 0.0), freedom


def _binomial(rate: float, draws: float) -> float:
    """The unbiased variance estimate of one draw from independent draws."""
    return rate * (1 - rate) * draws / (draws - 1)


def _bounded(parts: Parts) -> Parts:
    """`parts`, scaled down to the largest variance of a difference in [-1, 1]."""
    factor = min(1.0, 1 / (parts.between + parts.within)) if parts.between + parts.within > 0 else 1.0
    return Parts(parts.between * factor, parts.within * factor)


def _interval(hits: Counts, counted: Counts, confidence: float) -> Interval:
    interval = generalisation_interval(hits, counted, confidence)
    assert interval is not None  # noqa: S101  there are two questions with answers
    return interval


def _towards_half(interval: Interval) -> float:
    """The rate in the interval with the largest variance."""
    return min(max(0.5, interval.low), interval.high)


def _largest_variance(interval: Interval) -> float:
    rate = _towards_half(interval)
    return rate * (1 - rate)


def _share_bound(mean_square: float, within: float, freedom: float, within_freedom: float, usual: float) -> float:
    """Upper bound of the share of the variance between questions, from the ratio of the two mean squares (F)."""
    if within <= 0:
        return 1.0
    least = float(_scipy.fdtri(freedom, within_freedom, 1 - SAFE))
    odds = max(0.0, (mean_square / within / least - 1) / usual)
    return odds / (1 + odds)


# --- the width of an interval ----------------------------------------------------------------------------------------


def expected_width(rate: float, parts: Parts, questions: int, draws: float) -> float:
    """The expected width of the generalisation interval over `questions` questions with `draws` counted draws each.

    It is that of a typical run, whose questions' measured rates are spread as a beta distribution with their variance
    spreads them. Requires at least two questions with at least one draw each.
    """
    rates, shares = _typical_rates(rate, min(1.0, parts.variance(draws) / (rate * (1 - rate))))
    interval = interval_of_questions(Questions(rates * draws, np.full_like(rates, draws), questions * shares))
    return interval.high - interval.low


def _typical_rates(rate: float, share: float) -> tuple[Counts, Counts]:
    """Measured rates around `rate`, and the share of questions that has each; `share` is that of their variance in the
    largest possible one, of rates of 0 and 1."""
    if share >= 1 - 1e-9:
        return np.array([0.0, 1.0]), np.array([1 - rate, rate])
    if share <= 1e-9:
        return np.array([rate]), np.ones(1)
    alpha, beta = rate * (1 / share - 1), (1 - rate) * (1 / share - 1)
    shares = np.diff(_scipy.betainc(alpha, beta, _BINS))
    means = rate * np.diff(_scipy.betainc(alpha + 1, beta, _BINS))
    some = shares > 1e-12
    return np.minimum(means[some] / shares[some], 1.0), shares[some]


@functools.lru_cache(maxsize=1024)
def questions_for_width(rate: float, parts: Parts, draws: float, width: float) -> int:
    """The fewest questions with `draws` counted draws each whose expected interval is at most `width` wide."""
    return fewest(lambda number: expected_width(rate, parts, number, draws) <= width)


def questions_for_width_without_hits(width: float) -> int:
    """The fewest questions whose interval is at most `width` wide if no answer is a hit (or all are)."""

    def enough(number: int) -> bool:
        interval = drawn_out_interval(0.0, number)
        return interval.high - interval.low <= width

    return fewest(enough)


# --- the power of a paired comparison --------------------------------------------------------------------------------


def parts_at_effect(found: Components, parts: Parts, effect: float, share: float) -> Parts:
    """`parts` of a pilot's differences, adjusted to the effect that is to be detected.

    A pilot without an effect shows the variance of two equal rates. If its effect is smaller than `effect` (a fraction,
    above 0), the rate under the condition is moved to that distance from the base rate, and the additional variance
    there is added, with the part `share` of it between questions. The variance is never reduced.
    """
    if abs(found.mean) >= effect:
        return parts
    up, down = found.base + effect, found.base - effect
    moved = up if (found.mean >= 0 and up <= 1) or down < 0 else down
    moved = min(max(moved, 0.0), 1.0)
    more = max(0.0, moved * (1 - moved) - found.treated * (1 - found.treated))
    return Parts(parts.between + share * more, parts.within + (1 - share) * more)


def power(effect: float, variance: float, questions: int) -> float:
    """The power of the two-sided t test over questions at 0.05; `variance` is that of one difference."""
    if variance <= 0:
        return 1.0
    freedom, shift = questions - 1, effect * math.sqrt(questions / variance)
    critical = float(_scipy.stdtrit(freedom, (1 + CONFIDENCE) / 2))
    # The other tail, an effect found with the wrong sign, is no success and left out.
    if freedom > _NORMAL_FREEDOM or shift > 30:
        return float(_scipy.ndtr(shift - critical))
    return 1 - float(_scipy.nctdtr(freedom, shift, critical))


def questions_for_effect(variance: float, effect: float, target_power: float) -> int:
    """The fewest questions that detect the effect with `target_power`."""
    return fewest(lambda number: power(effect, variance, number) >= target_power)


def detectable_effect(variance_at: Callable[[float], float], questions: int, target_power: float) -> float | None:
    """The smallest effect that `questions` questions detect with `target_power`, None if it is above 1.

    `variance_at` is the variance of a difference at an effect.
    """
    low, high = 0.0, 1.0
    if power(high, variance_at(high), questions) < target_power:
        return None
    while high - low > 1e-6:
        middle = (low + high) / 2
        if power(middle, variance_at(middle), questions) >= target_power:
            high = middle
        else:
            low = middle
    return high


def fewest(enough: Callable[[int], bool]) -> int:
    """The smallest number, from 2 on, for which `enough` is true; it must be monotonic."""
    high = 2
    while not enough(high):
        high *= 2
    low = high // 2
    if high == 2:
        return 2
    while high - low > 1:
        middle = (low + high) // 2
        if enough(middle):
            high = middle
        else:
            low = middle
    return high
