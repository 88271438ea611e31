"""Effects and rates on just the questions that were asked: what new answers to them would show.

The questions are fixed, so only the draw of answers is random. In emergent misalignment a few questions carry most of
the events. Whether other questions would show an effect is then unclear (`evals.statistics.intervals.paired_effect`),
and yet that these do may be beyond doubt.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.intervals import CONFIDENCE, Counts, Effect, Interval, drawn_out_interval, small_sample_factor

MANY_ANSWERS = 20
"""Answers per question from which on each question has an interval of its own; with fewer, those would be too wide."""
_GRID = 20_000
_LEAST_P = 5e-324

# The library has no types.
_log_factorial: Any = special.gammaln
_normal_quantile: Any = special.ndtri


class _Strata(NamedTuple):
    """The pairs with answers on both sides; `weights` are each pair's share of the mean over questions."""

    hits: Counts
    counted: Counts
    base_hits: Counts
    base_counted: Counts
    weights: Counts
    questions: int


def question_weights(questions: npt.NDArray[np.int64]) -> Counts:
    """The share of each stratum in a mean over questions, in which the strata of a question weigh alike; their sum
    is 1. `questions` numbers the question of each stratum."""
    _, place, strata = np.unique(questions, return_inverse=True, return_counts=True)
    return np.asarray(1.0 / (len(strata) * strata[place]), dtype=np.float64)


def effect_on_these_questions(
    hits: Counts,
    counted: Counts,
    base_hits: Counts,
    base_counted: Counts,
    questions: npt.NDArray[np.int64] | None = None,
    confidence: float = CONFIDENCE,
) -> Effect | None:
    """The mean over questions of (rate - baseline rate), for new answers to the same questions; None without pairs.

    Each element is a pair: the same wording under both conditions. `questions` numbers the question of each pair (each
    its own when None). Only pairs with answers on both sides are used.

    The test is exact, conditional on the number of hits in each pair: of no difference in any pair (the sum of
    hypergeometric counts; Mehta, Patel and Gray 1985). The interval combines Wilson's of each pair (MOVER; Newcombe
    1998; Zou and Donner 2008), with fewer than MANY_ANSWERS answers a question those of the two rates, slightly
    widened. The test decides whether 0 is in it, so that interval and p-value never contradict each other.
    """
    strata = _used(hits, counted, base_hits, base_counted, questions)
    if strata is None:
        return None
    effect, without_test = _combined(strata, confidence)
    p_value = exact_stratified_p(strata.hits, strata.counted, strata.base_hits, strata.base_counted, strata.weights)
    interval = in_line_with_test(without_test, effect, is_significant=p_value < 1 - confidence - 1e-12)
    return Effect(effect, interval, p_value, strata.questions)


def combined_interval(
    hits: Counts,
    counted: Counts,
    base_hits: Counts,
    base_counted: Counts,
    questions: npt.NDArray[np.int64],
    confidence: float = CONFIDENCE,
) -> tuple[float, Interval]:
    """The effect on these questions and its interval from those of the rates alone, without the test. There are pairs
    with answers on both sides."""
    strata = _used(hits, counted, base_hits, base_counted, questions)
    assert strata is not None  # noqa: S101
    return _combined(strata, confidence)


def _combined(strata: _Strata, confidence: float) -> tuple[float, Interval]:
    change = strata.hits / strata.counted - strata.base_hits / strata.base_counted
    effect = float((strata.weights * change).sum())
    answers = min(float(strata.counted.sum()), float(strata.base_counted.sum()))
    if answers < MANY_ANSWERS * strata.questions:
        return effect, Interval(*_from_two_rates(strata, effect, confidence), "mover_strata")
    return effect, Interval(*_from_each_pair(strata, effect, confidence), "mover_wilson")


def fixed_questions_interval(
    hits: Counts, counted: Counts, weights: Counts, confidence: float = CONFIDENCE
) -> Interval | None:
    """The interval around the weighted mean of rates, sum(weights * hits / counted), for new answers to the same
    questions; both ends as fractions in [0, 1]. Each element is a stratum with answers; the weights add up to 1.

    With equal counts and weights it is `evals.statistics.intervals.stratified_wilson_interval`. None without strata.
    """
    if len(counted) == 0:
        return None
    rate = min(1.0, float((weights * hits / counted).sum()))
    least = _least_size(rate, counted, weights)
    if len(counted) < 2:
        return drawn_out_interval(rate, least, confidence, "wilson_exact")
    # The variance in a stratum with half a hit and half a miss added, which is never biased downwards.
    within = float((weights**2 * (hits + 0.5) * (counted - hits + 0.5) / (counted * (counted + 1) * counted)).sum())
    factor = small_sample_factor(len(counted) - 1, confidence)
    size = max(least, rate * (1 - rate) / within * factor)
    return drawn_out_interval(rate, size, confidence, "wilson_strata" if size > least else "wilson_exact")


def _least_size(rate: float, counted: Counts, weights: Counts) -> float:
    """The number of answers to one question that a weighted mean of rates is worth at least: that of the rates with
    this mean whose estimate varies most.

    If the counts are in proportion to the weights those are equal rates (Hoeffding 1956), and it is the number of
    answers. Else strata with few answers for their weight may be the ones near 1/2.
    """
    per_weight = counted / weights
    least = float(per_weight.min())
    mean = min(rate, 1 - rate)
    if mean <= 0 or float(per_weight.max()) <= least * (1 + 1e-9):
        return least
    # The variance is largest where its slopes are in proportion to the weights.
    low, high = 0.0, 1 / least
    for _ in range(60):
        slope = (low + high) / 2
        rates = np.maximum(0.0, (1 - slope * per_weight) / 2)
        low, high = (slope, high) if float((weights * rates).sum()) > mean else (low, slope)
    rates = np.maximum(0.0, (1 - low * per_weight) / 2)
    return mean * (1 - mean) / float((weights / per_weight * rates * (1 - rates)).sum())


def exact_stratified_p(
    hits: Counts, counted: Counts, base_hits: Counts, base_counted: Counts, weights: Counts
) -> float:
    """The two-sided p-value in (0, 1] for no difference in any stratum, given the number of hits in each.

    The statistic is the weighted mean of the differences in rate. Where every answer counts alike (equal counts and
    weights) results as likely as the observed one or less are summed, as Fisher's test does, which it is for one
    stratum; else those as far from the expected one or further. The weights of answers are then rounded to a grid,
    which leaves the test exact.
    """
    both = hits + base_hits
    free = (both > 0) & (both < counted + base_counted)
    if not free.any():
        return 1.0
    hits, counted, base_counted, both = hits[free], counted[free], base_counted[free], both[free]
    per_hit = weights[free] * (1 / counted + 1 / base_counted)
    low, high = np.maximum(0, both - base_counted), np.minimum(both, counted)
    alike = bool(per_hit.max() <= per_hit.min() * (1 + 1e-9))
    steps = np.ones(len(hits), dtype=np.int64)
    if not alike:
        steps = np.maximum(1, np.rint(per_hit * _GRID / float((per_hit * (high - low)).sum()))).astype(np.int64)
    chances = np.ones(1)
    for stratum, step in enumerate(steps):
        kernel = _hypergeometric(*(float(values[stratum]) for values in (counted, base_counted, both, low, high)))
        chances = _added(chances, kernel, int(step))
    observed = int(((hits - low) * steps).sum())
    if alike:
        as_extreme = chances <= chances[observed] * (1 + 1e-7)
    else:
        places = np.arange(len(chances))
        middle = float((places * chances).sum() / chances.sum())
        as_extreme = np.abs(places - middle) >= abs(observed - middle) - 1e-6
    return min(1.0, max(_LEAST_P, float(chances[as_extreme].sum() / chances.sum())))


def _added(chances: npt.NDArray[np.float64], kernel: npt.NDArray[np.float64], step: int) -> npt.NDArray[np.float64]:
    """The distribution of a sum, where the second term counts in steps. Sums of positive terms keep their digits even
    in the far tails, which those of a Fourier transform do not."""
    if step == 1:
        return np.convolve(chances, kernel)
    found = np.zeros(len(chances) + (len(kernel) - 1) * step)
    for place, chance in enumerate(kernel):
        found[place * step : place * step + len(chances)] += chance * chances
    return found


def _hypergeometric(
    counted: float, base_counted: float, both: float, low: float, high: float
) -> npt.NDArray[np.float64]:
    """The chances of low to high hits on the first side, given the hits on both."""
    places = np.arange(low, high + 1)
    logs = (
        _log_choose(counted, places)
        + _log_choose(base_counted, both - places)
        - _log_choose(counted + base_counted, np.asarray(both))
    )
    return np.exp(logs)


def _log_choose(number: float, chosen: npt.NDArray[np.float64]) -> npt.NDArray[np.float64]:
    return _log_factorial(number + 1) - _log_factorial(chosen + 1) - _log_factorial(number - chosen + 1)


def _used(
    hits: Counts, counted: Counts, base_hits: Counts, base_counted: Counts, questions: npt.NDArray[np.int64] | None
) -> _Strata | None:
    used = (counted > 0) & (base_counted > 0)
    if not used.any():
        return None
    numbers = (np.arange(len(used)) if questions is None else questions)[used]
    weights = question_weights(numbers)
    return _Strata(hits[used], counted[used], base_hits[used], base_counted[used], weights, len(np.unique(numbers)))


def _from_each_pair(strata: _Strata, effect: float, confidence: float) -> tuple[float, float]:
    """MOVER: the distances of each rate from the ends of its own interval, as independent errors."""
    rate, low, high = wilson_ends(strata.hits, strata.counted, confidence)
    base_rate, base_low, base_high = wilson_ends(strata.base_hits, strata.base_counted, confidence)
    widened, base_widened = (
        widening(rate, strata.counted, confidence),
        widening(base_rate, strata.base_counted, confidence),
    )
    down = strata.weights**2 * (widened * (rate - low) ** 2 + base_widened * (base_high - base_rate) ** 2)
    up = strata.weights**2 * (widened * (high - rate) ** 2 + base_widened * (base_rate - base_low) ** 2)
    return max(-1.0, effect - math.sqrt(down.sum())), min(1.0, effect + math.sqrt(up.sum()))


def wilson_ends(hits: Counts, counted: Counts, confidence: float = CONFIDENCE) -> tuple[Counts, Counts, Counts]:
    """Rates, and the two ends of Wilson's interval of each."""
    z2 = _squared_quantile(confidence)
    rate = hits / counted
    middle = (hits + z2 / 2) / (counted + z2)
    reach = np.sqrt(z2 * (rate * (1 - rate) * counted + z2 / 4)) / (counted + z2)
    return rate, np.clip(middle - reach, 0.0, rate), np.clip(middle + reach, rate, 1.0)


def widening(rate: Counts, counted: Counts, confidence: float = CONFIDENCE) -> Counts:
    """The factor for the square of a distance from a rate to an end of Wilson's interval.

    At rates near a half the interval is narrower than its standard errors, which suits one rate; in a sum of many
    distances it makes an end too near (up to 4.6% of errors where 2.5% are meant, with 20 answers per question).
    """
    return 1 + 4 * rate * (1 - rate) * (1 + _squared_quantile(confidence)) / counted


def _squared_quantile(confidence: float) -> float:
    return float(_normal_quantile((1 + confidence) / 2)) ** 2


def _from_two_rates(strata: _Strata, effect: float, confidence: float) -> tuple[float, float]:
    """MOVER from the intervals of the two mean rates."""
    treated = fixed_questions_interval(strata.hits, strata.counted, strata.weights, confidence)
    base = fixed_questions_interval(strata.base_hits, strata.base_counted, strata.weights, confidence)
    assert treated is not None  # noqa: S101  every pair has answers
    assert base is not None  # noqa: S101
    rate = float((strata.weights * strata.hits / strata.counted).sum())
    base_rate = float((strata.weights * strata.base_hits / strata.base_counted).sum())
    totals = np.array([strata.counted.sum(), strata.base_counted.sum()])
    widened, base_widened = np.sqrt(widening(np.array([rate, base_rate]), totals, confidence)).tolist()
    down = math.hypot(widened * (rate - treated.low), base_widened * (base.high - base_rate))
    up = math.hypot(widened * (treated.high - rate), base_widened * (base_rate - base.low))
    return max(-1.0, effect - down), min(1.0, effect + up)


def in_line_with_test(interval: Interval, effect: float, *, is_significant: bool) -> Interval:
    """The interval with 0 in it, or not, as the test has it."""
    low, high, method = interval
    if not is_significant:
        return Interval(min(low, 0.0), max(high, 0.0), method)
    # What is next to 0 remains: the test says which side the effect is on and not how large it is.
    nearest = abs(effect) / 1000
    return Interval(max(low, nearest), high, method) if effect > 0 else Interval(low, min(high, -nearest), method)
