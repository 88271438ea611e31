"""Intervals and tests: plain numbers in and out, no tables.

A rate pooled over prompts has two intervals (Miller 2024, arXiv 2411.00640, decomposes the variance of a score
likewise):

- the generalisation interval, for questions like these: each question is one observation, a rate in [0, 1] that
  repeats and option orders only measure better, and the interval is one for the mean of such observations
  (`evals.statistics.bounded_mean`);
- the these-questions interval, for new answers to the same questions: Wilson's on an effective sample size, the count
  times the ratio of the total variance to that within a prompt and option order.

Wilson's ends are too narrow with few hits or few misses, and are extended to the exact ones there. The two rates of a
paired effect have the cluster interval: Wilson's on the count divided by the design effect (linearised between-prompt
variance over the binomial one) and by a t correction for few clusters (Korn and Graubard 1998; Franco et al. 2019).
"""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.bounded_mean import Counts, Questions, bound_of_mean, group_questions, upper_bound

CONFIDENCE = 0.95
FEW_DIFFERENCES = 10
"""With fewer differing prompts, a t interval of paired differences alone misses up to three times too often."""

_LEAST_P, _MOST_P = 1e-13, 0.99
"""p-values below the first are not told apart; those above the second are 1."""

# The library has no types.
_normal_quantile: Any = special.ndtri
_t_cdf: Any = special.stdtr
_t_quantile: Any = special.stdtrit
_beta_quantile: Any = special.betaincinv


class Interval(NamedTuple):
    """An interval, and the name of its method."""

    low: float
    high: float
    method: str


class Effect(NamedTuple):
    """A mean paired difference in [-1, 1], its interval, the two-sided p-value and the number of prompts."""

    effect: float
    interval: Interval
    p_value: float
    prompts: int


def wilson_interval(hits: float, counted: float, confidence: float = CONFIDENCE) -> Interval | None:
    """Wilson score interval for a proportion, both ends as fractions in [0, 1].

    None when counted is 0, as there is no rate. Raises ValueError unless 0 <= hits <= counted.
    Wilson 1927, in the form of Brown, Cai and DasGupta 2001, eq. 4. Preferred to the ± of Chua et al. 2025
    (Tables 3-5), which leaves [0, 1] at small counts.
    """
    if not 0 <= hits <= counted:
        raise ValueError(f"{hits} hits of {counted}")
    if counted == 0:
        return None
    rate = hits / counted
    z2 = float(_normal_quantile((1 + confidence) / 2)) ** 2
    middle = (hits + z2 / 2) / (counted + z2)
    reach = math.sqrt(z2 * (rate * (1 - rate) * counted + z2 / 4)) / (counted + z2)
    return Interval(max(0.0, min(middle - reach, rate)), min(1.0, max(middle + reach, rate)), "wilson")


def generalisation_interval(hits: Counts, counted: Counts, confidence: float = CONFIDENCE) -> Interval | None:
    """The generalisation interval around sum(hits) / sum(counted); each element is one question.

    Both ends are fractions in [0, 1]. None with answers to fewer than two questions: one does not show how others are.
    Another hit never lowers an end, and hits and misses are treated alike: swapping them mirrors the interval.
    """
    used = counted > 0
    if np.count_nonzero(used) < 2:
        return None
    questions = group_questions(hits[used], counted[used])
    return _generalisation_interval(*(tuple(map(float, values)) for values in questions), confidence)


@functools.lru_cache(maxsize=4096)
def _generalisation_interval(
    hits: tuple[float, ...], counted: tuple[float, ...], number: tuple[float, ...], confidence: float
) -> Interval:
    return interval_of_questions(Questions(np.array(hits), np.array(counted), np.array(number)), confidence)


def interval_of_questions(questions: Questions, confidence: float = CONFIDENCE) -> Interval:
    """The generalisation interval of grouped questions.

    Each end is the widest of four bounds, of which each moves outwards with every hit (or miss): that of the mean of
    rates whatever their distribution, exact and one-sided at `confidence`; the same with Jeffreys's prior, two-sided;
    the binomial interval of all answers; and that of as many answers as questions without a hit (or miss).
    """
    misses = questions._replace(hits=questions.counted - questions.hits)
    return Interval(1 - _upper_end(misses, confidence), _upper_end(questions, confidence), "gaffke")


def _upper_end(questions: Questions, confidence: float) -> float:
    hits, counted, number = questions
    answers = float((number * counted).sum())
    binomial = drawn_out_interval(float((number * hits).sum()) / answers, answers, confidence)
    without_hits = drawn_out_interval(0.0, answers / questions.size, confidence)
    least = max(binomial.high, without_hits.high)
    exact = upper_bound(questions, 1 - confidence, least=least)
    return upper_bound(questions, (1 - confidence) / 2, hit=0.5, miss=0.5, least=exact)


def cluster_wilson_interval(hits: Counts, counted: Counts, confidence: float = CONFIDENCE) -> Interval | None:
    """The interval of one of the two rates of an effect, sum(hits) / sum(counted); each element is one question.

    Both ends are fractions in [0, 1]. None when nothing was counted. A single cluster does not show how clusters
    differ, so it gets the interval of a binomial rate (`wilson_exact`).
    """
    used = counted > 0
    hits, counted = hits[used], counted[used]
    if len(counted) == 0:
        return None
    rate, total = float(hits.sum() / counted.sum()), float(counted.sum())
    if len(counted) < 2:
        return drawn_out_interval(rate, total, confidence, "wilson_exact")
    return drawn_out_interval(rate, _size_in_clusters(hits, counted, confidence), confidence, "wilson_cluster")


def stratified_wilson_interval(hits: Counts, counted: Counts, confidence: float = CONFIDENCE) -> Interval | None:
    """The these-questions interval around sum(hits) / sum(counted); fractions in [0, 1].

    Each element is a stratum: the answers to one wording of one prompt, which give its weight. None when nothing was
    counted. Never wider than the binomial interval of all answers (`wilson_exact`), since answers to different
    questions vary less than answers to one (Hoeffding 1956), and narrower only if the strata visibly differ
    (`wilson_strata`).
    """
    used = counted > 0
    hits, counted = hits[used], counted[used]
    if len(counted) == 0:
        return None
    rate, total = float(hits.sum() / counted.sum()), float(counted.sum())
    size = _size_in_strata(hits, counted, confidence)
    return drawn_out_interval(rate, size, confidence, "wilson_strata" if size > total else "wilson_exact")


def drawn_out_interval(
    rate: float, size: float, confidence: float = CONFIDENCE, method: str = "wilson_exact"
) -> Interval:
    """Wilson's interval, with each end extended to the exact one-sided bound at `confidence` if that is wider.

    Near 0 and 1 Wilson's inner end excludes true rates far too often: one hit in n excludes all rates below 0.18/n, and
    at that rate one run in six has a hit (Brown, Cai and DasGupta 2001 correct it with the Poisson bound). At 0 hits
    the upper end is never below the exact 1 - (1 - confidence)^(1/size), at 95% about 3/size: the rule of three.
    """
    hits, misses = rate * size, (1 - rate) * size
    wilson = wilson_interval(min(hits, size), size, confidence)
    assert wilson is not None  # noqa: S101  size is above 0
    low = float(_beta_quantile(hits, misses + 1, 1 - confidence)) if hits > 0 else 0.0
    high = float(_beta_quantile(hits + 1, misses, confidence)) if misses > 0 else 1.0
    return Interval(min(low, wilson.low), max(high, wilson.high), method)


def _size_in_clusters(hits: Counts, counted: Counts, confidence: float) -> float:
    """The effective number of independent answers in the clusters.

    The variance of each cluster's residual is corrected for the cluster's own weight in the rate. With few clusters, or
    few with hits, the variance is uncertain: the t correction takes the degrees of freedom from the residuals' fourth
    moment (Satterthwaite 1946), at most those of clusters of equal weight. Rates lie in [0, 1], so clusters of equal
    weight are worth at least one answer each.
    """
    clusters, total = len(counted), float(counted.sum())
    rate, weights = float(hits.sum()) / total, counted / total
    sum_of_squares = float((weights**2).sum())  # 1 / clusters if all weights are equal
    squares = (hits - rate * counted) ** 2 / (1 - 2 * weights + sum_of_squares)
    between = float(squares.sum()) / total**2
    binomial = rate * (1 - rate) / total
    if binomial <= 0 or between <= 1e-12 * binomial:  # equal rates leave a rounding error, not a variance
        return float(clusters)
    most = max(1 / sum_of_squares - 1, 1.0)
    spread = float((squares**2).sum() / squares.sum() ** 2) - 1 / clusters
    freedom = min(most, max(1.0, 2 / spread)) if spread > 0 else most
    least = min(1.0 / sum_of_squares, total) * small_sample_factor(most, confidence)
    return min(total, max(total * binomial / between * small_sample_factor(freedom, confidence), least))


def _size_in_strata(hits: Counts, counted: Counts, confidence: float) -> float:
    """The effective number of independent answers to one question: at least the number of answers.

    The variance within a stratum is estimated with half a hit and half a miss added; the estimate is never biased
    downwards, at any rate and even with one answer. Few strata get a t correction.
    """
    strata, total = len(counted), float(counted.sum())
    rate = float(hits.sum()) / total
    within = float(((hits + 0.5) * (counted - hits + 0.5) / (counted + 1)).sum())
    if strata < 2:
        return total
    return total * max(1.0, total * rate * (1 - rate) / within * small_sample_factor(strata - 1, confidence))


def small_sample_factor(freedom: float, confidence: float) -> float:
    """The factor for a sample size whose variance was estimated with `freedom` degrees of freedom."""
    tail = (1 + confidence) / 2
    return float(_normal_quantile(tail) / _t_quantile(freedom, tail)) ** 2


def paper_plus_minus(hits: int, counted: int) -> float | None:
    """The ± of Chua et al. 2025 (Tables 3-5), as a fraction: 1.96 s / sqrt(n), s with n - 1. None below two answers."""
    if counted < 2:
        return None
    rate = hits / counted
    return 1.96 * math.sqrt(rate * (1 - rate) / (counted - 1))


def paired_effect(
    hits: Counts,
    counted: Counts,
    base_hits: Counts,
    base_counted: Counts,
    prompts: npt.NDArray[np.int64] | None = None,
    confidence: float = CONFIDENCE,
) -> Effect | None:
    """The mean over prompts of (rate - baseline rate), with equal weights; None without pairs.

    Each element is a pair: the same wording under both conditions. `prompts` numbers the prompt of each pair (each its
    own when None); a prompt's difference is the mean over its pairs. Only pairs with answers on both sides are used, so
    that an option order unanswered under one condition is not mistaken for an effect. Interval and test are the t ones
    over prompts. If fewer than FEW_DIFFERENCES prompts, and fewer than half, differ at all, their spread says too
    little about the others, and the interval also covers Newcombe's from the two cluster intervals. If all differences
    are equal, the interval is Newcombe's alone. The end away from 0, or both ends where 0 is in between, are drawn out
    to what unseen questions could add. The p-value is that of the interval: the widest without 0 in it has confidence
    1 - p.
    """
    used = (counted > 0) & (base_counted > 0)
    hits, counted, base_hits, base_counted = hits[used], counted[used], base_hits[used], base_counted[used]
    _, prompt = np.unique(np.arange(len(used))[used] if prompts is None else prompts[used], return_inverse=True)

    number = int(prompt.max(initial=-1)) + 1
    if number == 0:
        return None

    def by_prompt(values: Counts) -> Counts:
        return np.bincount(prompt, weights=values).astype(np.float64)

    differences = by_prompt(hits / counted - base_hits / base_counted) / by_prompt(np.ones_like(hits))
    effect = float(differences.mean())
    spread = float(differences.std(ddof=1)) if number > 1 else 0.0
    error = spread / math.sqrt(number)
    differing = int(np.count_nonzero(np.abs(differences) > 1e-12))
    is_t_enough = spread > 1e-12 and differing >= min(FEW_DIFFERENCES, number / 2)
    sides = [(by_prompt(k), by_prompt(n)) for k, n in ((hits, counted), (base_hits, base_counted))]
    rates = (float(hits.sum() / counted.sum()), float(base_hits.sum() / base_counted.sum()))

    def newcombe(confidence: float) -> Interval:
        treated, base = (cluster_wilson_interval(k, n, confidence) for k, n in sides)
        assert treated is not None  # noqa: S101  every pair has answers
        assert base is not None  # noqa: S101
        return _newcombe(effect, rates, treated, base)

    if spread <= 1e-12:
        interval = with_unseen_questions(newcombe(confidence), differences, confidence)
        return Effect(effect, interval, p_value_of(newcombe), number)
    reach = float(_t_quantile(number - 1, (1 + confidence) / 2)) * error
    p_value = 2 * float(_t_cdf(number - 1, -abs(effect) / error))
    interval = Interval(max(-1.0, effect - reach), min(1.0, effect + reach), "paired_t")
    if not is_t_enough:
        wider = newcombe(confidence)
        low, high = min(interval.low, wider.low), max(interval.high, wider.high)
        interval = Interval(low, high, "paired_t_newcombe")
        p_value = max(p_value, p_value_of(newcombe))
    return Effect(effect, with_unseen_questions(interval, differences, confidence), p_value, number)


def with_unseen_questions(interval: Interval, differences: Counts, confidence: float) -> Interval:
    """The interval with the end away from 0 drawn out to what questions of another kind could add to the mean, whatever
    the distribution of the differences (Gaffke 2005): the few that carry an effect may not be among those asked.

    The end towards 0 is left as it is: seen questions without an effect already count there. Where 0 is in the
    interval, the sign of what was found is noise, and both ends are drawn out.
    """
    low, high, method = interval
    if high >= 0:
        high = max(high, bound_of_mean(differences, 1.0, confidence))
    if interval.low <= 0:
        low = min(low, -bound_of_mean(-differences, 1.0, confidence))
    return interval if (low, high) == interval[:2] else Interval(low, high, f"{method}_gaffke")


def p_value_of(interval_at: Callable[[float], Interval]) -> float:
    """The p-value of no effect for an interval that grows with its confidence: 1 - the largest without 0 in it."""

    def holds_0(p_value: float) -> bool:
        interval = interval_at(1 - p_value)
        return interval.low <= 0 <= interval.high

    if holds_0(_MOST_P):
        return 1.0
    low, high = math.log(_LEAST_P), math.log(_MOST_P)
    for _ in range(40):
        middle = (low + high) / 2
        low, high = (middle, high) if holds_0(math.exp(middle)) else (low, middle)
    return math.exp(high)


def _newcombe(effect: float, rates: tuple[float, float], treated: Interval, base: Interval) -> Interval:
    """The interval of a difference, from the squared distances of the two rates' intervals (Newcombe 1998)."""
    rate, base_rate = rates
    down = math.hypot(rate - treated.low, base.high - base_rate)
    up = math.hypot(treated.high - rate, base_rate - base.low)
    return Interval(max(-1.0, effect - down), min(1.0, effect + up), "newcombe")
