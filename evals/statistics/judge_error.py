"""What a judge's errors do to a rate, learned from a sample of answers that people have labelled: numbers in and out.

The labelled answers are drawn with known, unequal probabilities: near the cut-off and where the judge says yes more
often than elsewhere. So every number here is weighted with the inverse of those probabilities, and uncertainty is built
from what was sampled: how many of the answers that the judge calls hits are hits, and how many of the others are. That
matters for sensitivity. Among a hundred labelled answers that the judge calls no hit there may be no missed one, yet if
they stand for two thousand, dozens can be missed; an interval that looks at the labelled hits alone does not know that.

Two corrections. Rogan-Gladen (1978) turns the share that the judge says into the true one by sensitivity and
specificity, which may come from other answers than these; interval of Lee et al. 2025 (arXiv 2511.21140; the same as
Lang and Reiczigel 2014). Prediction-powered inference, PPI++ (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453),
adds to the judge's share what it is off by on the labelled answers, weighted as in Chen et al. 2026 (arXiv 2601.05420);
it assumes nothing of the judge. A prompt's answers resemble each other, so prompts are clusters throughout.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.intervals import CONFIDENCE

Numbers = npt.NDArray[np.float64]
Indices = npt.NDArray[np.int64]

_LEAST_GAIN = 1e-6
"""Sensitivity and specificity together, above 1, below which nothing can be divided by it."""

# The library comes without types.
_normal_quantile: Any = special.ndtri
_t_quantile: Any = special.stdtrit
_chi2_tail: Any = special.chdtrc


@dataclass(frozen=True)
class JudgedSample:
    """Answers with what the judge says of each, and the truth of some.

    Of every answer: `said`, 1 where the judge calls it a hit, else 0; `counted`, 1 where its verdict is in the rate's
    denominator, else 0; `prompts`, the number of its prompt. Of the labelled ones, which are the elements at the
    positions `labelled`: `hits` and `answered`, the same by the label, and `weights`, the inverse of the probability
    with which the label came to be there.
    """

    said: Numbers
    counted: Numbers
    prompts: Indices
    labelled: Indices
    hits: Numbers
    answered: Numbers
    weights: Numbers


class ErrorRate(NamedTuple):
    """Sensitivity or specificity in [0, 1] with its interval.

    `size` is the number of independent labels, drawn from the true hits (or from the others) alone, whose Wilson
    interval would be as wide.
    """

    rate: float
    low: float
    high: float
    size: float


class Errors(NamedTuple):
    """How a judge errs. A part is None where no labelled answer tells of it: without true hits no sensitivity."""

    sensitivity: ErrorRate | None
    specificity: ErrorRate | None
    kappa: float | None


class Corrected(NamedTuple):
    """A corrected rate in [0, 1] with its interval.

    The square of half the interval's width is about `by_labels` + `by_answers`: the part that falls with the number of
    labels, and the part that does not.
    """

    rate: float
    low: float
    high: float
    by_labels: float
    by_answers: float


class _Share(NamedTuple):
    """A share of the answers with both ends of its interval."""

    value: float
    low: float
    high: float


class _Group(NamedTuple):
    """The answers of which the judge says one thing: their share, the rate of true hits among them (weighted) with its
    interval, and the linearised variance of that rate."""

    share: _Share
    hits: _Share
    variance: float


def effective_size(
    values: Numbers, weights: Numbers, prompts: Indices, *, correlation: float = 1.0, confidence: float = CONFIDENCE
) -> float:
    """How many independent answers tell as much of the weighted mean of `values` (0 or 1) as these.

    Never more than the weights allow (Kish 1965). Clusters and few of them count as in
    `evals.statistics.intervals.cluster_wilson_interval` (Korn and Graubard 1998). Where all values are the same they
    do not show how alike the answers to one prompt are; `correlation`, in [0, 1], then says it.
    """
    total = float(weights.sum())
    most = total**2 / float((weights**2).sum())
    rate, variance, clusters = _mean(values, weights, prompts)
    binomial = rate * (1 - rate)
    if binomial > 1e-12 and variance > 1e-12 * binomial:
        return min(most, binomial / variance * _few_clusters(clusters, confidence))
    alike = 1 + (most / clusters - 1) * correlation
    return min(most, most / alike)


def correlation_within_prompts(values: Numbers, prompts: Indices) -> float:
    """How alike the 0-or-1 values of one prompt are, from 0 to 1 (intra-class correlation); 1 where nothing tells."""
    rate, variance, clusters = _mean(values, np.ones_like(values), prompts)
    per_prompt = len(values) / clusters
    binomial = rate * (1 - rate) / len(values)
    if binomial <= 0 or clusters < 2 or per_prompt <= 1:
        return 1.0
    return min(1.0, max(0.0, (variance / binomial - 1) / (per_prompt - 1)))


def _mean(values: Numbers, weights: Numbers, prompts: Indices) -> tuple[float, float, int]:
    """The weighted mean, its variance between prompts (linearised), and the number of prompts."""
    total = float(weights.sum())
    mean = float((weights * values).sum()) / total
    return mean, _cluster_variance(weights * (values - mean) / total, prompts), _clusters(prompts)


def _cluster_variance(influence: Numbers, prompts: Indices) -> float:
    """Variance of the sum of `influence`, whose elements are independent between prompts and not within."""
    clusters = _clusters(prompts)
    if clusters < 2:  # one prompt cannot show how prompts differ: its answers are taken for independent
        return float((influence**2).sum())
    return clusters / (clusters - 1) * float((np.bincount(prompts, weights=influence) ** 2).sum())


def _clusters(prompts: Indices) -> int:
    return int(np.count_nonzero(np.bincount(prompts)))


def _few_clusters(clusters: int, confidence: float) -> float:
    tail = (1 + confidence) / 2
    return 1.0 if clusters < 2 else float(_normal_quantile(tail) / _t_quantile(clusters - 1, tail)) ** 2


def _group(judged: JudgedSample, said: int, confidence: float) -> _Group | None:
    """None where the judge says so of answers and none of them is labelled."""
    here = judged.said[judged.labelled] == said
    of_all = (judged.said == said).astype(np.float64)
    share = float(of_all.mean())
    if not here.any():
        return _Group(_Share(0.0, 0.0, 0.0), _Share(0.0, 0.0, 0.0), 0.0) if share == 0 else None
    hits, weights, prompts = judged.hits[here], judged.weights[here], judged.prompts[judged.labelled][here]
    rate, variance, _ = _mean(hits, weights, prompts)
    alike = correlation_within_prompts(judged.said, judged.prompts)
    size = effective_size(hits, weights, prompts, correlation=alike, confidence=confidence)
    size_of_all = effective_size(of_all, np.ones_like(of_all), judged.prompts, confidence=confidence)
    return _Group(_wilson(share, size_of_all, confidence), _wilson(rate, size, confidence), variance)


def _wilson(rate: float, size: float, confidence: float) -> _Share:
    """With Wilson's score interval, as `evals.statistics.intervals.wilson_interval`; `size` is above 0."""
    z2 = float(_normal_quantile((1 + confidence) / 2)) ** 2
    middle = (rate + z2 / (2 * size)) / (1 + z2 / size)
    reach = math.sqrt(z2 * (max(0.0, rate * (1 - rate)) + z2 / (4 * size)) / size) / (1 + z2 / size)
    return _Share(rate, max(0.0, min(rate, middle - reach)), min(1.0, max(rate, middle + reach)))


# --- how the judge errs ----------------------------------------------------------------------------------------------


def error_rates(judged: JudgedSample, confidence: float = CONFIDENCE) -> Errors:
    """Sensitivity, specificity and Cohen's kappa of the judge on all of these answers, weighted.

    Sensitivity is found / (found + missed). Both are shares of all answers, each with an interval of its own, and the
    interval of their ratio is recovered from those (MOVER-R, Donner and Zou 2012). Specificity likewise.
    """
    yes, no = _group(judged, 1, confidence), _group(judged, 0, confidence)
    if yes is None or no is None:
        return Errors(None, None, None)
    found, false = _part(yes, of_hits=True), _part(yes, of_hits=False)
    missed, right = _part(no, of_hits=True), _part(no, of_hits=False)
    by_chance = yes.share.value * (found.value + missed.value) + no.share.value * (false.value + right.value)
    return Errors(
        _error_rate(found, missed, confidence),
        _error_rate(right, false, confidence),
        None if by_chance >= 1 else (found.value + right.value - by_chance) / (1 - by_chance),
    )


def _part(group: _Group, *, of_hits: bool) -> _Share:
    """The share of all answers that are in the group and true hits (or are not): a product of two shares."""
    (share, share_low, share_high), (rate, low, high) = group.share, group.hits
    if not of_hits:
        rate, low, high = 1 - rate, 1 - high, 1 - low
    down = math.hypot((share - share_low) * rate, share * (rate - low))
    up = math.hypot((share_high - share) * rate, share * (high - rate))
    return _Share(share * rate, max(0.0, share * rate - down), share * rate + up)


def _error_rate(correct: _Share, wrong: _Share, confidence: float) -> ErrorRate | None:
    """The share of what the judge gets right, None where there is nothing of the kind."""
    total = correct.value + wrong.value
    if total <= 0:
        return None
    rate = correct.value / total
    low, high = _one_of_two(correct, wrong), 1 - _one_of_two(wrong, correct)
    low, high = min(rate, low), max(rate, high)
    return ErrorRate(rate, low, high, _size_of_width(rate, high - low, confidence))


def _one_of_two(one: _Share, other: _Share) -> float:
    """Lower end of one / (one + other)."""
    product = one.value * other.value
    below, above = one.low * (2 * one.value - one.low), other.high * (2 * other.value - other.high)
    if below <= 0:
        return 0.0
    odds = (product + math.sqrt(max(0.0, product**2 - above * below))) / below
    return 1 / (1 + odds)


def _size_of_width(rate: float, width: float, confidence: float) -> float:
    """The number of independent answers whose Wilson interval at `rate` is as wide."""
    z2 = float(_normal_quantile((1 + confidence) / 2)) ** 2
    half2 = min(width / 2, 0.4999) ** 2
    if half2 <= 0:
        return math.inf
    a, b = z2**2 * (0.25 - half2), z2 * (rate * (1 - rate) - 2 * half2)
    return 2 * a / (math.sqrt(b**2 + 4 * a * half2) - b)


def chance_of_difference(rates: Sequence[ErrorRate]) -> float:
    """p-value of the hypothesis that these error rates, of separate answers, are one: Cochran's Q on their log-odds."""
    smoothed = np.array([_lee_smoothed(rate) for rate in rates if not math.isinf(rate.size)]).reshape(-1, 2)
    if len(smoothed) < 2:
        return 1.0
    odds = special.logit(smoothed[:, 0])
    precision = (smoothed[:, 0] * (1 - smoothed[:, 0])) ** 2 / smoothed[:, 1]
    mean = float((precision * odds).sum() / precision.sum())
    return float(_chi2_tail(len(odds) - 1, float((precision * (odds - mean) ** 2).sum())))


# --- corrected rates -------------------------------------------------------------------------------------------------


def rogan_gladen(
    share: float, size: float, sensitivity: ErrorRate, specificity: ErrorRate, confidence: float = CONFIDENCE
) -> Corrected | None:
    """The true rate behind the `share` of `size` (effective) answers that the judge calls hits.

    None where sensitivity and specificity together are 1 or less: such a judge is no better than chance, and what it
    says tells nothing of the truth. Where the labels cannot exclude that, the interval is all of [0, 1].
    """
    gain = sensitivity.rate + specificity.rate - 1
    if gain <= 0:
        return None
    rate = min(1.0, max(0.0, (share + specificity.rate - 1) / gain))
    z = float(_normal_quantile((1 + confidence) / 2))
    share, size = (size * share + z**2 / 2) / (size + z**2), size + z**2
    (finds, finds_variance), (rejects, rejects_variance) = (_lee_smoothed(one) for one in (sensitivity, specificity))
    gain = max(finds + rejects - 1, _LEAST_GAIN)
    middle = (share + rejects - 1) / gain if gain > _LEAST_GAIN else 0.5
    by_labels = ((1 - middle) ** 2 * rejects_variance + middle**2 * finds_variance) * (z / gain) ** 2
    by_answers = share * (1 - share) / size * (z / gain) ** 2
    unsure = math.hypot(sensitivity.rate - sensitivity.low, specificity.rate - specificity.low)
    if gain == _LEAST_GAIN or sensitivity.rate + specificity.rate - 1 <= unsure:
        return Corrected(rate, 0.0, 1.0, by_labels, by_answers)
    middle += 2 * z**2 * (middle * finds_variance - (1 - middle) * rejects_variance)
    reach = math.sqrt(by_labels + by_answers)
    low, high = (min(1.0, max(0.0, end)) for end in (middle - reach, middle + reach))
    return Corrected(rate, min(rate, low), max(rate, high), by_labels, by_answers)


def _lee_smoothed(error: ErrorRate) -> tuple[float, float]:
    """The rate with one success and one failure added, and its variance."""
    if math.isinf(error.size):
        return error.rate, 0.0
    rate = (error.size * error.rate + 1) / (error.size + 2)
    return rate, rate * (1 - rate) / (error.size + 2)


class PowerTuned(NamedTuple):
    """The PPI++ estimate, the weight in [0, 1] that it gives to the judge, and its variance over prompts.

    `of_answers` is the part of the variance that the judge's share of all answers has.
    """

    rate: float
    power: float
    variance: float
    of_answers: float


def power_tuned(judged: JudgedSample, power: float | None = None) -> PowerTuned | None:
    """PPI++ for the rate of hits among what is answered, with weights that add up to the number of answers (Hájek).

    `power` None tunes it: covariance of truth and verdict over the variance of the verdict, clipped to [0, 1]. The
    labelled answers are among all answers here, so it is that of two separate sets, as the paper has them, times
    1 + labelled / unlabelled. None where no labelled answer is answered.
    """
    weights = judged.weights / judged.weights.sum()
    said, counted = judged.said[judged.labelled], judged.counted[judged.labelled]

    def estimate(power: float) -> tuple[float, float]:
        hits = power * float(judged.said.mean()) + float((weights * (judged.hits - power * said)).sum())
        answered = power * float(judged.counted.mean()) + float((weights * (judged.answered - power * counted)).sum())
        return (hits / answered if answered > 0 else math.nan), answered

    if power is None:
        rate, answered = estimate(1.0)
        if answered <= 0:
            rate, answered = estimate(0.0)
        truth, verdict = judged.hits - rate * judged.answered, said - rate * counted
        covariance = float((weights * (truth - (weights * truth).sum()) * verdict).sum())
        spread = float((judged.said - rate * judged.counted).var(ddof=1)) if len(judged.said) > 1 else 0.0
        power = min(1.0, max(0.0, covariance / spread)) if spread > 0 else 0.0
    rate, answered = estimate(power)
    if answered <= 0:
        return None
    verdicts = power * (judged.said - rate * judged.counted)
    of_answers = (verdicts - verdicts.mean()) / len(verdicts)
    residuals = judged.hits - rate * judged.answered - power * (said - rate * counted)
    influence = of_answers.copy()
    influence[judged.labelled] += weights * (residuals - (weights * residuals).sum())
    return PowerTuned(
        rate,
        power,
        _cluster_variance(influence, judged.prompts) / answered**2,
        _cluster_variance(of_answers, judged.prompts) / answered**2,
    )


def prediction_powered(judged: JudgedSample, confidence: float = CONFIDENCE) -> Corrected | None:
    """The PPI++ rate with an interval that holds where hits are rare and labels few.

    The variance over prompts is split. What comes from the labels is recovered from the Wilson intervals of the rate of
    true hits among what the judge calls hits and among the rest, what comes from the answers from that of a rate with
    the variance that is left (MOVER, Zou and Donner 2008): so no missed hit among a hundred labels is not taken for
    none at all. None where there are answers that the judge calls hits (or others) and none of them is labelled.
    """
    yes, no = _group(judged, 1, confidence), _group(judged, 0, confidence)
    tuned = power_tuned(judged) if len(judged.labelled) else None
    if tuned is None or yes is None or no is None:
        return None
    answered = float((judged.weights * judged.answered).sum() / judged.weights.sum())
    down = up = of_labels = 0.0
    for group in (yes, no):
        scale = (group.share.value / answered) ** 2
        down += scale * (group.hits.value - group.hits.low) ** 2
        up += scale * (group.hits.high - group.hits.value) ** 2
        of_labels += scale * group.variance
    rate = min(1.0, max(0.0, tuned.rate))
    variance = max(tuned.variance - of_labels, tuned.of_answers)
    answers_down = answers_up = 0.0
    if rate * (1 - rate) > 0 and variance > 1e-12 * rate * (1 - rate):
        size = rate * (1 - rate) / variance * _few_clusters(_clusters(judged.prompts), confidence)
        interval = _wilson(rate, size, confidence)
        answers_down, answers_up = (rate - interval.low) ** 2, (interval.high - rate) ** 2
    low, high = rate - math.sqrt(down + answers_down), rate + math.sqrt(up + answers_up)
    return Corrected(rate, max(0.0, low), min(1.0, high), (down + up) / 2, (answers_down + answers_up) / 2)


def labels_to_halve(corrected: Corrected, labels: int, unlabelled: int) -> int | None:
    """How many more labels, drawn as those there are, would halve the interval.

    None where they cannot: what comes from the answers alone is too wide, or there are not as many answers left.
    """
    left = corrected.by_labels - 3 * corrected.by_answers
    if left <= 0:
        return None
    more = math.ceil(labels * 3 * (corrected.by_labels + corrected.by_answers) / left)
    return more if more <= unlabelled else None
