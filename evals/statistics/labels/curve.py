"""How often answers of a score are hits by the labels of people: the calibration of a judge's scores."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evals.statistics.intervals import CONFIDENCE, wilson_interval
from evals.statistics.judge_error import Indices, Numbers, correlation_within_prompts, effective_size


class ScoredLabels(NamedTuple):
    """The scores of all answers; and of the labelled ones, at the positions `labelled`, the `hits` (0 or 1), the
    inverse of their inclusion probability as `weights`, and the number of their question."""

    scores: Numbers
    labelled: Indices
    hits: Numbers
    weights: Numbers
    prompts: Indices


class ScoreBin(NamedTuple):
    """The answers with a score from `start` to below `end` (the last bin includes its end), and the weighted share of
    hits among the labelled ones with its interval; None where none is labelled."""

    start: float
    end: float
    answers: int
    labels: int
    mean_score: float | None
    rate: float | None
    low: float | None
    high: float | None


def score_bins(judged: ScoredLabels, edges: Sequence[float], confidence: float = CONFIDENCE) -> list[ScoreBin]:
    """The bins between the `edges`, which cover all scores. Weights, and answers to the same question, leave fewer
    independent labels, on whose number the interval is Wilson's."""
    bins = _bin_of(judged.scores, edges)
    labelled = bins[judged.labelled]
    found: list[ScoreBin] = []
    for number, (start, end) in enumerate(itertools.pairwise(edges)):
        scores = judged.scores[bins == number]
        here = labelled == number
        mean = float(scores.mean()) if len(scores) else None
        rate, low, high = _share(judged, here, confidence) if here.any() else (None, None, None)
        found.append(ScoreBin(start, end, len(scores), int(here.sum()), mean, rate, low, high))
    return found


def _bin_of(scores: Numbers, edges: Sequence[float]) -> npt.NDArray[np.int64]:
    return np.clip(np.searchsorted(edges, scores, side="right") - 1, 0, len(edges) - 2).astype(np.int64)


def _share(judged: ScoredLabels, here: npt.NDArray[np.bool_], confidence: float) -> tuple[float, float, float]:
    hits, weights, prompts = judged.hits[here], judged.weights[here], judged.prompts[here]
    rate = float((weights * hits).sum() / weights.sum())
    # Where all labels of a bin are equal, how alike answers to one question are is taken from all labels.
    correlation = correlation_within_prompts(judged.hits, judged.prompts)
    size = effective_size(hits, weights, prompts, correlation=correlation, confidence=confidence)
    interval = wilson_interval(rate * size, size, confidence)
    assert interval is not None  # noqa: S101  a labelled answer has a positive weight
    return rate, interval.low, interval.high
