"""The effect of a judge's errors on a rate, estimated from a sample of human labels: numbers in and out.

The labelled answers are drawn with known, unequal probabilities: more near the cut-off and where the judge says yes. So
every number here is weighted by the inverse of those probabilities, and uncertainty comes from what was sampled: the
share of hits among the answers that the judge calls hits, and among the others. That matters for sensitivity. A hundred
labelled answers that the judge calls misses may include no missed hit, yet if they represent two thousand answers,
dozens can be missed; an interval from the labelled hits alone would ignore that.

Two corrections. Rogan-Gladen (1978) corrects the judge's share by sensitivity and specificity, which may come from
other answers than these; with the interval of Lee et al. 2025 (arXiv 2511.21140; the same as Lang and Reiczigel 2014).
Prediction-powered inference, PPI++ (Angelopoulos, Duchi and Zrnic 2023, arXiv 2311.01453), adds to the judge's share
its error on the labelled answers, weighted as in Chen et al. 2026 (arXiv 2601.05420); it assumes nothing about the
judge. The answers to a prompt are correlated, so prompts are clusters throughout.
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
"""The smallest sensitivity + specificity - 1 that can be divided by."""

# The library has no types.
_normal_quantile: Any = special.ndtri
_t_quantile: Any = special.stdtrit
_chi2_tail: Any = special.chdtrc


@dataclass(frozen=True)
class JudgedSample:
    """Answers with the judge's verdicts, and human labels of some.

    For every answer: `said`, 1 if the judge calls it a hit, else 0; `counted`, 1 if its verdict is in the rate's
    denominator, else 0; `prompts`, the number of its prompt. For the labelled answers, at the positions `labelled`:
    `hits` and `answered`, the same by the label, and `weights`, the inverse of their inclusion probability.
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

    `size` is the number of independent labels of true hits (or misses) whose Wilson interval would be as wide.
    """

    rate: float
    low: float
    high: float
    size: float


class Errors(NamedTuple):
    """The error rates of a judge. A field is None without labelled answers for it, as sensitivity without true hits."""

    sensitivity: ErrorRate | None
    specificity: ErrorRate | None
    kappa: float | None


class Corrected(NamedTuple):
    """A corrected rate in [0, 1] with its interval.

    The squared half-width of the interval is about `by_labels` + `by_answers`: the part that shrinks with the number
    of labels, and the part that does not.
    """

    rate: float
    low: float
    high: float
    by_labels: float
    by_answers: float


class Share(NamedTuple):
    """A share of the answers with its interval."""

    value: float
    low: float
    high: float


class VerdictGroup(NamedTuple):
    """The answers with one verdict: their share, their weighted rate of true hits, and its linearised variance."""

    share: Share
    hits: Share
    variance: float


def effective_size(
    values: Numbers, weights: Numbers, prompts: Indices, *, correlation: float = 1.0, confidence: float = CONFIDENCE
) -> float:
    """The effective number of independent answers for the weighted mean of `values` (0 or 1).

    Never more than the weights allow (Kish 1965). Clusters, and few of them, are treated as in
    `evals.statistics.intervals.cluster_wilson_interval` (Korn and Graubard 1998). If all values are equal, they do not
    show the correlation of answers to one prompt, and `correlation`, in [0, 1], is used.
    """
    total = float(weights.sum())
    most = total**2 / float((weights**2).sum())
    rate, variance, clusters = _mean(values, weights, prompts)
    binomial = rate * (1 - rate)
    if binomial > 1e-12 and variance > 1e-12 * binomial:
        return min(most, binomial / variance * _small_sample_factor(clusters, confidence))
    alike = 1 + (most / clusters - 1) * correlation
    return min(most, most / alike)


def correlation_within_prompts(values: Numbers, prompts: Indices) -> float:
    """The intra-class correlation, in [0, 1], of the 0-or-1 values of one prompt; 1 if it cannot be estimated."""
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
    """The variance of the sum of `influence`, whose elements are independent between prompts but not within."""
    clusters = _clusters(prompts)
    if clusters < 2:  # one prompt cannot show how prompts differ, so its answers count as independent
        return float((influence**2).sum())
    return clusters / (clusters - 1) * float((np.bincount(prompts, weights=influence) ** 2).sum())


def _clusters(prompts: Indices) -> int:
    return int(np.count_nonzero(np.bincount(prompts)))


def _small_sample_factor(clusters: int, confidence: float) -> float:
    tail = (1 + confidence) / 2
    return 1.0 if clusters < 2 else float(_normal_quantile(tail) / _t_quantile(clusters - 1, tail)) ** 2


def verdict_group(judged: JudgedSample, said: int, confidence: float) -> VerdictGroup | None:
    """The group with the verdict `said`, None if it has answers and none of them is labelled."""
    selected = judged.said[judged.labelled] == said
    saying_so = (judged.said == said).astype(np.float64)
    share = float(saying_so.mean())
    if not selected.any():
        return VerdictGroup(Share(0.0, 0.0, 0.0), Share(0.0, 0.0, 0.0), 0.0) if share == 0 else None
    hits, weights, prompts = judged.hits[selected], judged.weights[selected], judged.prompts[judged.labelled][selected]
    rate, variance, _ = _mean(hits, weights, prompts)
    correlation = correlation_within_prompts(judged.said, judged.prompts)
    size = effective_size(hits, weights, prompts, correlation=correlation, confidence=confidence)
    total_size = effective_size(saying_so, np.ones_like(saying_so), judged.prompts, confidence=confidence)
    return VerdictGroup(_wilson(share, total_size, confidence), _wilson(rate, size, confidence), variance)


def _wilson(rate: float, size: float, confidence: float) -> Share:
    """The share `rate` with its Wilson interval, as in `evals.statistics.intervals.wilson_interval`; `size` > 0."""
    z2 = float(_normal_quantile((1 + confidence) / 2)) ** 2
    middle = (rate + z2 / (2 * size)) / (1 + z2 / size)
    reach = math.sqrt(z2 * (max(0.0, rate * (1 - rate)) + z2 / (4 * size)) / size) / (1 + z2 / size)
    return Share(rate, max(0.0, min(rate, middle - reach)), min(1.0, max(rate, middle + reach)))


# --- error rates of the judge ----------------------------------------------------------------------------------------


def error_rates(judged: JudgedSample, confidence: float = CONFIDENCE) -> Errors:
    """Weighted sensitivity, specificity and Cohen's kappa of the judge on these answers.

    Sensitivity is found / (found + missed). Both are shares of all answers with their own intervals, from which the
    interval of the ratio is recovered (MOVER-R, Donner and Zou 2012). Likewise specificity.
    """
    yes, no = verdict_group(judged, 1, confidence), verdict_group(judged, 0, confidence)
    if yes is None or no is None:
        return Errors(None, None, None)
    found, false = _part(yes, hits=True), _part(yes, hits=False)
    missed, right = _part(no, hits=True), _part(no, hits=False)
    by_chance = yes.share.value * (found.value + missed.value) + no.share.value * (false.value + right.value)
    return Errors(
        _error_rate(found, missed, confidence),
        _error_rate(right, false, confidence),
        None if by_chance >= 1 else (found.value + right.value - by_chance) / (1 - by_chance),
    )


def _part(group: VerdictGroup, *, hits: bool) -> Share:
    """The share of all answers that are in the group and are true hits (or misses): a product of two shares."""
    (share, share_low, share_high), (rate, low, high) = group.share, group.hits
    if not hits:
        rate, low, high = 1 - rate, 1 - high, 1 - low
    down = math.hypot((share - share_low) * rate, share * (rate - low))
    up = math.hypot((share_high - share) * rate, share * (high - rate))
    return Share(share * rate, max(0.0, share * rate - down), share * rate + up)


def _error_rate(correct: Share, wrong: Share, confidence: float) -> ErrorRate | None:
    """The share that the judge gets right, None if it is a share of nothing."""
    total = correct.value + wrong.value
    if total <= 0:
        return None
    rate = correct.value / total
    low, high = _ratio_low(correct, wrong), 1 - _ratio_low(wrong, correct)
    low, high = min(rate, low), max(rate, high)
    return ErrorRate(rate, low, high, _size_of_width(rate, high - low, confidence))


def _ratio_low(part: Share, other: Share) -> float:
    """The lower end of part / (part + other)."""
    product = part.value * other.value
    below, above = part.low * (2 * part.value - part.low), other.high * (2 * other.value - other.high)
    if below <= 0:
        return 0.0
    odds = (product + math.sqrt(max(0.0, product**2 - above * below))) / below
    return 1 / (1 + odds)


def _size_of_width(rate: float, width: float, confidence: float) -> float:
    """The number of independent answers whose Wilson interval at `rate` has this width."""
    z2 = float(_normal_quantile((1 + confidence) / 2)) ** 2
    half2 = min(width / 2, 0.4999) ** 2
    if half2 <= 0:
        return math.inf
    a, b = z2**2 * (0.25 - half2), z2 * (rate * (1 - rate) - 2 * half2)
    return 2 * a / (math.sqrt(b**2 + 4 * a * half2) - b)


def chance_of_difference(rates: Sequence[ErrorRate]) -> float:
    """The p-value for equal error rates of separate answers: Cochran's Q on their log-odds."""
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

    None if sensitivity + specificity is 1 or less: the judge is then no better than chance. If the labels cannot
    exclude that, the interval is [0, 1].
    """
    gain = sensitivity.rate + specificity.rate - 1
    if gain <= 0:
        return None
    rate = min(1.0, max(0.0, (share + specificity.rate - 1) / gain))
    z = float(_normal_quantile((1 + confidence) / 2))
    share, size = (size * share + z**2 / 2) / (size + z**2), size + z**2
    (finds, finds_variance), (rejects, rejects_variance) = (
        _lee_smoothed(error) for error in (sensitivity, specificity)
    )
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

    `answer_variance` is the part of the variance due to the judge's share of all answers, `influence` what each answer
    adds to the estimate's error.
    """

    rate: float
    power: float
    variance: float
    answer_variance: float
    influence: Numbers


def power_tuned(judged: JudgedSample, power: float | None = None) -> PowerTuned | None:
    """PPI++ for the rate of hits among counted answers, with weights normalised to the number of answers (Hájek).

    `power` None tunes it: covariance of truth and verdict over the variance of the verdict, clipped to [0, 1]. Here the
    labelled answers are among all answers, so it is the paper's value for two separate sets times
    1 + labelled / unlabelled. None if no labelled answer is counted.
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
    answer_influence = (verdicts - verdicts.mean()) / len(verdicts)
    residuals = judged.hits - rate * judged.answered - power * (said - rate * counted)
    influence = answer_influence.copy()
    influence[judged.labelled] += weights * (residuals - (weights * residuals).sum())
    return PowerTuned(
        rate,
        power,
        _cluster_variance(influence, judged.prompts) / answered**2,
        _cluster_variance(answer_influence, judged.prompts) / answered**2,
        influence / answered,
    )


def prediction_powered(
    judged: JudgedSample, confidence: float = CONFIDENCE, by: JudgedSample | None = None
) -> Corrected | None:
    """The PPI++ rate with an interval that is valid for rare hits and few labels.

    The variance over prompts is split. The part from the labels is recovered from the Wilson intervals of the rate of
    true hits among the judge's hits and among its misses, the part from the answers from that of a rate with the
    remaining variance (MOVER, Zou and Donner 2008), so that zero missed hits among a hundred labels do not count as
    zero in all answers. None if a group (judge's hits or misses) has answers and none of them is labelled. `by` has the
    verdicts that make the groups, where `judged.said` are shares of several judges.
    """
    yes, no = (verdict_group(judged if by is None else by, said, confidence) for said in (1, 0))
    tuned = power_tuned(judged) if len(judged.labelled) else None
    if tuned is None or yes is None or no is None:
        return None
    answered = float((judged.weights * judged.answered).sum() / judged.weights.sum())
    down = up = label_variance = 0.0
    for group in (yes, no):
        scale = (group.share.value / answered) ** 2
        down += scale * (group.hits.value - group.hits.low) ** 2
        up += scale * (group.hits.high - group.hits.value) ** 2
        label_variance += scale * group.variance
    rate = min(1.0, max(0.0, tuned.rate))
    variance = max(tuned.variance - label_variance, tuned.answer_variance)
    answers_down = answers_up = 0.0
    if rate * (1 - rate) > 0 and variance > 1e-12 * rate * (1 - rate):
        size = rate * (1 - rate) / variance * _small_sample_factor(_clusters(judged.prompts), confidence)
        interval = _wilson(rate, size, confidence)
        answers_down, answers_up = (rate - interval.low) ** 2, (interval.high - rate) ** 2
    low, high = rate - math.sqrt(down + answers_down), rate + math.sqrt(up + answers_up)
    return Corrected(rate, max(0.0, low), min(1.0, high), (down + up) / 2, (answers_down + answers_up) / 2)


def labels_to_halve(corrected: Corrected, labels: int, unlabelled: int) -> int | None:
    """The number of further labels, drawn likewise, that would halve the interval.

    None if labels cannot halve it: the part from the answers is too wide, or too few answers are left.
    """
    left = corrected.by_labels - 3 * corrected.by_answers
    if left <= 0:
        return None
    more = math.ceil(labels * 3 * (corrected.by_labels + corrected.by_answers) / left)
    return more if more <= unlabelled else None
