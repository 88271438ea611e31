"""What several judges of the same answers say together: with labels of some, and without.

With labels the panel's mean (of an answer, the share of judges that call it a hit) takes the place of one judge in
PPI++, which assumes nothing of it. Without labels a latent class model (Dawid and Skene 1979; two populations with two
tests: Hui and Walter 1980) finds the rate under each condition, and the sensitivity and specificity of each judge, that
make what they say together most likely. It rests on an assumption that nothing in the verdicts can check: that judges
err independently of each other, and equally often under every condition. Judges with a blind spot in common are taken
for right.
"""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.intervals import CONFIDENCE
from evals.statistics.judge_error import Corrected, Indices, JudgedSample, Numbers, prediction_powered

_ITERATIONS, _RESAMPLES, _SEED = 300, 499, 20251128
_START = 0.9
"""The sensitivity and specificity that all judges begin with: they are better than guessing."""
_LEAST = 1e-6

Floats = npt.NDArray[np.float64]

# The library has no types.
_normal_cdf: Any = special.ndtr
_t_quantile: Any = special.stdtrit


class LatentRate(NamedTuple):
    """The rate of hits under a condition, if judges err independently, with its interval."""

    rate: float
    low: float
    high: float


class LatentClasses(NamedTuple):
    """The rate under each condition, and each judge's sensitivity and specificity, all in [0, 1]."""

    rates: list[LatentRate]
    sensitivity: list[float]
    specificity: list[float]


def panel_rate(judged: JudgedSample, confidence: float = CONFIDENCE) -> Corrected | None:
    """The PPI++ rate with the panel's mean as `judged.said`, in [0, 1]; its labels are grouped by the majority. None
    if answers of a majority are there and none of them is labelled."""
    majority = replace(judged, said=(judged.said >= 0.5).astype(np.float64))
    return prediction_powered(judged, confidence, by=majority)


def latent_classes(
    verdicts: Numbers, conditions: Indices, questions: Indices, confidence: float = CONFIDENCE
) -> LatentClasses | None:
    """The rates and error rates that are most likely, by EM, with intervals from a bootstrap of questions.

    `verdicts` has shape (judges, answers): 1 for a hit, 0 for none, NaN for a missing one; `conditions` and `questions`
    number those of each answer, from 0. None where the verdicts cannot tell the two classes apart: with two judges
    under one condition, with fewer than two judges or two questions, or where a judge comes out no better than
    chance. The interval is of expanded percentiles (Hesterberg 2015), as few questions resample too much alike.
    """
    given = (~np.isnan(verdicts)).sum(axis=0) > 0
    verdicts, conditions, questions = verdicts[:, given], conditions[given], questions[given]
    judges, number = len(verdicts), int(conditions.max(initial=-1)) + 1
    _, asked = np.unique(questions, return_inverse=True)
    count = int(asked.max(initial=-1)) + 1
    if judges < 2 or count < 2 or (judges == 2 and len(np.unique(conditions)) < 2):
        return None
    patterns, which = np.unique(np.nan_to_num(verdicts, nan=-1.0), axis=1, return_inverse=True)
    cells = np.zeros((count, number * patterns.shape[1]))
    np.add.at(cells, (asked, conditions * patterns.shape[1] + which.ravel()), 1)
    shape = (-1, number, patterns.shape[1])
    rates, sensitivity, specificity = _most_likely(cells.sum(axis=0).reshape(shape), patterns)
    if (sensitivity + specificity).min() <= 1:
        return None
    times = np.random.default_rng(_SEED).multinomial(count, np.full(count, 1 / count), _RESAMPLES).astype(np.float64)
    resampled, *_ = _most_likely((times @ cells).reshape(shape), patterns)
    wider = math.sqrt(count / (count - 1)) * float(_t_quantile(count - 1, (1 + confidence) / 2))
    tail = float(_normal_cdf(-wider))
    low, high = np.quantile(resampled, [tail, 1 - tail], axis=0)
    found = [
        LatentRate(float(rate), float(min(rate, start)), float(max(rate, end)))
        for rate, start, end in zip(rates[0], low, high, strict=True)
    ]
    return LatentClasses(found, sensitivity[0].tolist(), specificity[0].tolist())


def _most_likely(counts: Floats, patterns: Floats) -> tuple[Floats, Floats, Floats]:
    """EM for several data sets at once. `counts` of each pattern of verdicts (-1 is missing) has shape (sets,
    conditions, patterns), `patterns` (judges, patterns). Rates, (sets, conditions), and sensitivities and
    specificities, (sets, judges)."""
    hit, miss = (patterns == 1).astype(np.float64), (patterns == 0).astype(np.float64)
    sets, judges = len(counts), len(patterns)
    sensitivity, specificity = np.full((sets, judges), _START), np.full((sets, judges), _START)
    total = np.maximum(counts.sum(axis=2), _LEAST)
    share = hit.sum(axis=0) / np.maximum((hit + miss).sum(axis=0), 1)
    rates = np.clip((counts * share).sum(axis=2) / total, 0.01, 0.99)
    for _ in range(_ITERATIONS):
        of_hits = np.log(sensitivity) @ hit + np.log1p(-sensitivity) @ miss
        of_misses = np.log1p(-specificity) @ hit + np.log(specificity) @ miss
        odds = special.logit(rates)[:, :, None] + (of_hits - of_misses)[:, None, :]
        likely = counts * special.expit(odds)
        unlikely = counts - likely
        rates = np.clip(likely.sum(axis=2) / total, _LEAST, 1 - _LEAST)
        by_pattern, others = likely.sum(axis=1), unlikely.sum(axis=1)
        sensitivity = _ratio(by_pattern @ hit.T, by_pattern @ (hit + miss).T)
        specificity = _ratio(others @ miss.T, others @ (hit + miss).T)
    return rates, sensitivity, specificity


def _ratio(part: Floats, whole: Floats) -> Floats:
    return np.clip(part / np.maximum(whole, _LEAST), _LEAST, 1 - _LEAST)
