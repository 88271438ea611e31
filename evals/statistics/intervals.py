"""Intervals and tests: plain numbers in and out, no tables.

Wilson for one prompt. For a rate pooled over prompts, Wilson on the effective sample size: repeats and option orders
of one prompt are a cluster, so the count is divided by the design effect (linearised between-prompt variance over the
binomial one) and by the t correction for few clusters (Korn and Graubard 1998; Franco et al. 2019 find Wilson in this
form to cover best). At 0 of n, or n of n, there is no between-prompt variance to see; the number of prompts is then
the sample size, which is safe.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from scipy import special  # pyright: ignore[reportMissingTypeStubs]
from statsmodels.stats import proportion  # pyright: ignore[reportMissingTypeStubs]

Counts = npt.NDArray[np.float64]
CONFIDENCE = 0.95

# Neither library comes with types.
_confint: Any = cast("Any", proportion).proportion_confint
_normal_quantile: Any = special.ndtri
_t_cdf: Any = special.stdtr
_t_quantile: Any = special.stdtrit


class Interval(NamedTuple):
    """Both ends, and the name of the method."""

    low: float
    high: float
    method: str


class Effect(NamedTuple):
    """A mean paired difference in [-1, 1], its interval, the two-sided p-value and the number of prompts in it."""

    effect: float
    interval: Interval
    p_value: float
    prompts: int


def wilson_interval(hits: float, counted: float, confidence: float = CONFIDENCE) -> Interval | None:
    """Wilson score interval for a proportion, both ends as fractions in [0, 1].

    None when counted is 0: nothing was asked, so there is no rate. Raises ValueError unless 0 <= hits <= counted.
    Preferred to the ± of Chua et al. 2025 (Tables 3-5), which leaves [0, 1] at small counts.
    """
    if not 0 <= hits <= counted:
        raise ValueError(f"{hits} hits of {counted}")
    if counted == 0:
        return None
    low, high = _confint(hits, counted, alpha=1 - confidence, method="wilson")
    rate = hits / counted
    return Interval(max(0.0, min(float(low), rate)), min(1.0, max(float(high), rate)), "wilson")


def cluster_wilson_interval(hits: Counts, counted: Counts, confidence: float = CONFIDENCE) -> Interval | None:
    """Interval of sum(hits) / sum(counted) where each element is one cluster; fractions in [0, 1].

    None when nothing was counted. With one cluster there is no telling how clusters differ: plain Wilson, so named.
    """
    used = counted > 0
    hits, counted = hits[used], counted[used]
    clusters, total = len(counted), float(counted.sum())
    if clusters < 2:
        return wilson_interval(float(hits.sum()), total, confidence)
    size = _effective_size(hits, counted, confidence)
    rate = float(hits.sum()) / total
    interval = wilson_interval(rate * size, size, confidence)
    return None if interval is None else interval._replace(method="wilson_cluster")


def _effective_size(hits: Counts, counted: Counts, confidence: float) -> float:
    clusters, total = len(counted), float(counted.sum())
    rate = float(hits.sum()) / total
    residuals = hits - rate * counted
    between = clusters / (clusters - 1) * float((residuals**2).sum()) / total**2
    binomial = rate * (1 - rate) / total
    if binomial <= 0 or between <= 1e-12 * binomial:  # equal rates leave a rounding error, not a variance
        return float(clusters)
    tail = (1 + confidence) / 2
    few_clusters = float(_normal_quantile(tail) / _t_quantile(clusters - 1, tail)) ** 2
    return min(total, total * binomial / between * few_clusters)


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
    """The mean over prompts of (rate - baseline rate), each prompt with the same weight.

    One element a pair: the same wording under both conditions. `prompts` numbers the prompt of each pair (each its
    own when None); a prompt's difference is the mean over its pairs. Only pairs with answers on both sides are used,
    so that an option order which went unanswered under one condition does not pass for an effect. t interval and test
    over prompts. Where every difference is the same there is no spread to measure: the interval is then Newcombe's,
    from the two cluster intervals, and the p-value that of the sign-flip test. None without pairs.
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
    if spread <= 1e-12:
        ours = cluster_wilson_interval(by_prompt(hits), by_prompt(counted), confidence)
        base = cluster_wilson_interval(by_prompt(base_hits), by_prompt(base_counted), confidence)
        assert ours is not None  # noqa: S101  every pair has answers
        assert base is not None  # noqa: S101
        rates = (float(hits.sum() / counted.sum()), float(base_hits.sum() / base_counted.sum()))
        p_value = min(1.0, 2 * 0.5**number) if effect else 1.0
        return Effect(effect, _newcombe(effect, rates, ours, base), p_value, number)
    error = spread / math.sqrt(number)
    reach = float(_t_quantile(number - 1, (1 + confidence) / 2)) * error
    p_value = 2 * float(_t_cdf(number - 1, -abs(effect) / error))
    return Effect(effect, Interval(max(-1.0, effect - reach), min(1.0, effect + reach), "paired_t"), p_value, number)


def _newcombe(effect: float, rates: tuple[float, float], ours: Interval, base: Interval) -> Interval:
    """The interval of a difference from those of its two rates, squared and added (Newcombe 1998)."""
    rate, base_rate = rates
    down = math.hypot(rate - ours.low, base.high - base_rate)
    up = math.hypot(ours.high - rate, base_rate - base.low)
    return Interval(max(-1.0, effect - down), min(1.0, effect + up), "newcombe")
