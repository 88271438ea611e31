"""How many questions and how many samples a question: variance components of a pilot, and what they make of a plan.

A question drawn from those like it has a rate of its own, and each answer to it is a draw at that rate. The variance
of a question's measured rate over k draws is then `between + within / k` (Miller 2024, "Adding error bars to evals",
arXiv 2411.00640, on resampling): more samples take away the second part only, more questions both. For a paired effect
the same holds of a question's difference, with the within parts of both conditions added (ibid., on power, Eq. 9).

Questions are clusters. Wordings of one question that are asked alike (option orders) are strata in it: draws are spread
evenly over them, so how wordings differ is in neither part.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.intervals import CONFIDENCE, Counts, Interval, cluster_wilson_interval, drawn_out_interval

Labels = npt.NDArray[np.int64]

SAFE = 0.95
"""One-sided confidence of each of the bounds that the safe version of a plan is made of."""
_AS_GOOD_AS_NORMAL = 10_000
"""Degrees of freedom from which on the noncentral t is taken for normal."""

# The library comes without types.
_scipy: Any = cast("Any", special)


class Parts(NamedTuple):
    """Variance between questions, and the mean variance of one draw within them; neither is below 0."""

    between: float
    within: float

    @property
    def share(self) -> float:
        """The part that lies between questions, in [0, 1]; 1 where there is no variance."""
        total = self.between + self.within
        return self.between / total if total > 0 else 1.0

    def variance(self, draws: float) -> float:
        """Of what is measured at one question with so many counted draws."""
        return self.between + self.within / draws


class Components(NamedTuple):
    """What a pilot says of one rate, or of one paired effect.

    `mean` is the rate in [0, 1] or the effect in [-1, 1]; `base` and `treated` are the two rates of an effect, and of a
    rate both are that. `between` and `within` are unbiased estimates, so `between` can come out below 0. `separable` is
    False where no wording of any question was drawn twice: `within` is then that of the binomial distribution at the
    pooled rate, as if questions did not differ, and their sum is right for the pilot's own number of draws only.
    `no_spread` marks a pilot whose answers were all alike, which says nothing of a variance: the rates are then the
    ends of their 95% intervals that lie towards a half, and the whole variance is taken to lie between questions.
    `bounds` are the Parts of the safe version: the largest of their variances holds.
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
    """Variance components of a rate: one element for each wording of each question, `questions` numbers the latter.

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
    usual = (total - float((n**2).sum()) / total) / (number - 1)  # draws a question, as they count here
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
    """Variance components of a paired effect: one element a pair, as `evals.statistics.intervals.paired_effect` has it.

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
    # Of a question's difference: the variance that one unit of a draw's variance leaves under either condition.
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
        _at_most_one(Parts(total * share, total * (1 - share))),
        _at_most_one(Parts(found.between * chi_square, within * chi_square)),
    )
    return Components(effect, base, rate, number, between, within, separable, False, bounds)


def _sums(label: npt.NDArray[np.intp], values: Counts) -> Counts:
    return np.bincount(label, weights=values).astype(np.float64)


def _within(hits: Counts, counted: Counts) -> tuple[float, float]:
    """The pooled variance of one draw about the rate of its wording, and its degrees of freedom (0: not known)."""
    freedom = float((counted - 1).sum())
    return (float((hits * (counted - hits) / counted).sum()) / freedom if freedom else 0.0), freedom


def _binomial(rate: float, draws: float) -> float:
    """The variance of one draw, estimated from independent ones without bias."""
    return rate * (1 - rate) * draws / (draws - 1)


def _at_most_one(parts: Parts) -> Parts:
    """`parts`, scaled down to the largest variance that a difference of two answers, from -1 to 1, can have."""
    factor = min(1.0, 1 / (parts.between + parts.within)) if parts.between + parts.within > 0 else 1.0
    return Parts(parts.between * factor, parts.within * factor)


def _interval(hits: Counts, counted: Counts, confidence: float) -> Interval:
    interval = cluster_wilson_interval(hits, counted, confidence)
    assert interval is not None  # noqa: S101  every cluster has answers
    return interval


def _towards_half(interval: Interval) -> float:
    """The rate in the interval at which answers vary most."""
    return min(max(0.5, interval.low), interval.high)


def _largest_variance(interval: Interval) -> float:
    rate = _towards_half(interval)
    return rate * (1 - rate)


def _share_bound(mean_square: float, within: float, freedom: float, within_freedom: float, usual: float) -> float:
    """Upper bound of the part of the variance between questions, from the ratio of the two mean squares (F)."""
    if within <= 0:
        return 1.0
    least = float(_scipy.fdtri(freedom, within_freedom, 1 - SAFE))
    odds = max(0.0, (mean_square / within / least - 1) / usual)
    return odds / (1 + odds)


# --- the width of an interval ----------------------------------------------------------------------------------------


def expected_width(rate: float, parts: Parts, questions: int, draws: float) -> float:
    """The width to expect of `cluster_wilson_interval` over so many questions with so many counted draws each.

    Two things make it more than the width at the expected counts. Where hits are rare a run may well have none, and its
    interval is then that of as many answers as questions (likewise at all hits): both cases are weighed by how likely
    they are, with the beta distribution of the questions' rates that has their variance. And an interval is never
    narrower than one of independent answers, so where questions hardly differ it is wider by chance and never narrower.
    There are at least two questions with at least one draw each.
    """
    alone = drawn_out_interval(0.0, questions)
    none = _chance_of_none(rate, parts.share, draws) ** questions
    every = _chance_of_none(1 - rate, parts.share, draws) ** questions
    constant = none + every
    if constant >= 1 - 1e-9:
        return alone.high - alone.low
    seen = (rate - every) / (1 - constant)  # the rate to expect of a run that has both hits and misses
    size = questions * draws / _design_effect(rate, parts, questions, draws)
    size = max(size, questions / float(_few(questions - 1)))  # as many as questions at least, as rates lie in [0, 1]
    interval = drawn_out_interval(seen, size)
    return (1 - constant) * (interval.high - interval.low) + constant * (alone.high - alone.low)


def _design_effect(rate: float, parts: Parts, questions: int, draws: float) -> float:
    """By how much an interval counts too many answers: the square of the factor that it is wider by, on average.

    The factor of a run is the larger of 1 and the root of its estimated design effect, which is taken for log-normal,
    with the variance of an estimate over so many questions (none with one draw each: what is estimated is then known).
    """
    expected = parts.variance(draws) / (rate * (1 - rate) / draws) * _few_with_hits(rate, parts, questions, draws)
    if expected <= 0:
        return 1.0
    spread = math.sqrt(2 / (questions - 1) * (1 - 1 / draws))
    if spread < 1e-6:
        return max(1.0, expected)
    middle = math.log(expected) - spread**2 / 2
    factor = float(_scipy.ndtr(-middle / spread))
    factor += math.exp(middle / 2 + spread**2 / 8) * float(_scipy.ndtr(middle / spread + spread / 2))
    return factor**2


def _few(freedom: Any) -> Any:
    """By how much a variance that was estimated with so many degrees of freedom is made larger."""
    tail = (1 + CONFIDENCE) / 2
    return (_scipy.stdtrit(freedom, tail) / _scipy.ndtri(tail)) ** 2


def _few_with_hits(rate: float, parts: Parts, questions: int, draws: float) -> float:
    """`_few` to expect of an interval, whose degrees of freedom are those of the questions with hits (or misses, where
    these are rarer): the square of the mean of its root, over how many such questions a run may have."""
    share = 1 - _chance_of_none(min(rate, 1 - rate), parts.share, draws)
    mean, deviation = questions * share, math.sqrt(questions * share * (1 - share))
    with_any = np.arange(max(1, int(mean - 6 * deviation)), min(questions, int(mean + 6 * deviation) + 1) + 1)
    chances = np.exp(
        _scipy.xlogy(with_any, share)
        + _scipy.xlog1py(questions - with_any, -share)
        - _scipy.betaln(with_any + 1, questions - with_any + 1)
    )
    if chances.sum() <= 0:
        return float(_few(questions - 1))
    with np.errstate(divide="ignore"):
        freedom = np.clip(2 / (1 / with_any - 1 / questions), 1, questions - 1)
    return float(np.average(np.sqrt(_few(freedom)), weights=chances)) ** 2


def _chance_of_none(rate: float, share: float, draws: float) -> float:
    """That no draw of one question is a hit."""
    if not 0 < rate < 1:
        return 1.0 if rate <= 0 else 0.0
    if share >= 1:
        return 1 - rate
    if share <= 1e-9:
        return (1 - rate) ** draws
    alpha, beta = rate * (1 / share - 1), (1 - rate) * (1 / share - 1)
    return math.exp(float(_scipy.betaln(alpha, beta + draws) - _scipy.betaln(alpha, beta)))


def questions_for_width(rate: float, parts: Parts, draws: float, width: float) -> int:
    """The fewest questions with so many counted draws each whose interval is expected to be at most `width` wide."""
    return _fewest(lambda number: expected_width(rate, parts, number, draws) <= width)


def questions_for_width_without_hits(width: float) -> int:
    """The fewest questions whose interval is at most `width` wide where no answer is a hit (or every one)."""

    def enough(number: int) -> bool:
        interval = drawn_out_interval(0.0, number)
        return interval.high - interval.low <= width

    return _fewest(enough)


# --- the power of a paired comparison --------------------------------------------------------------------------------


def parts_at_effect(found: Components, parts: Parts, effect: float, share: float) -> Parts:
    """`parts` of a pilot's differences where the condition has the effect that is to be found.

    A pilot in which it did next to nothing shows the variance of two equal rates. Where its effect is smaller than
    `effect` (a fraction, above 0), the rate under the condition is moved to that distance from the base rate, and the
    variance that answers have more there is added, the part `share` of it between questions. It is never taken away.
    """
    if abs(found.mean) >= effect:
        return parts
    up, down = found.base + effect, found.base - effect
    moved = up if (found.mean >= 0 and up <= 1) or down < 0 else down
    moved = min(max(moved, 0.0), 1.0)
    more = max(0.0, moved * (1 - moved) - found.treated * (1 - found.treated))
    return Parts(parts.between + share * more, parts.within + (1 - share) * more)


def power(effect: float, variance: float, questions: int) -> float:
    """That the two-sided t test over questions finds the effect at 0.05, `variance` being that of one difference."""
    if variance <= 0:
        return 1.0
    freedom, shift = questions - 1, effect * math.sqrt(questions / variance)
    critical = float(_scipy.stdtrit(freedom, (1 + CONFIDENCE) / 2))
    # The other tail, an effect found with the wrong sign, is left out: it is no success.
    if freedom > _AS_GOOD_AS_NORMAL or shift > 30:
        return float(_scipy.ndtr(shift - critical))
    return 1 - float(_scipy.nctdtr(freedom, shift, critical))


def questions_for_effect(variance: float, effect: float, wanted: float) -> int:
    """The fewest questions that find the effect with the power wanted."""
    return _fewest(lambda number: power(effect, variance, number) >= wanted)


def detectable_effect(variance_at: Callable[[float], float], questions: int, wanted: float) -> float | None:
    """The smallest effect that so many questions find with the power wanted, `variance_at` being that of a difference
    at an effect. None where not even an effect of 1 is found."""
    low, high = 0.0, 1.0
    if power(high, variance_at(high), questions) < wanted:
        return None
    while high - low > 1e-6:
        middle = (low + high) / 2
        if power(middle, variance_at(middle), questions) >= wanted:
            high = middle
        else:
            low = middle
    return high


def _fewest(enough: Callable[[int], bool]) -> int:
    """The smallest number from 2 on that is enough, of a claim that stays true once it is."""
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
