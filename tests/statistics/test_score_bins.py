"""The calibration of scores: shares that stand for all answers of a bin, and intervals that hold."""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.score_bins import LABELS, RATES, SIZES, bin_coverage
from evals.statistics.intervals import wilson_interval
from evals.statistics.labels.curve import ScoredLabels, score_bins


def test_bins_hold_every_answer_once_and_weigh_labels_by_what_they_stand_for() -> None:
    scores = np.array([0, 9.9, 10, 29, 30, 30, 99, 100.0])
    found = score_bins(
        ScoredLabels(scores, np.array([0, 1, 7]), np.array([1.0, 0, 0]), np.array([3.0, 1, 2]), np.arange(3)),
        (0, 10, 30, 100),
    )
    assert [(row.start, row.end, row.answers, row.labels) for row in found] == [
        (0, 10, 2, 2),
        (10, 30, 2, 0),
        (30, 100, 4, 1),
    ]
    assert found[0].rate == pytest.approx(0.75)
    assert found[0].mean_score == pytest.approx(4.95)
    assert (found[1].rate, found[1].low, found[1].high) == (None, None, None)
    assert found[2].rate == 0
    assert found[2].high is not None
    assert found[2].high > 0.5


def test_independent_labels_have_wilsons_interval() -> None:
    hits = np.array([1.0] * 30 + [0.0] * 70)
    (found,) = score_bins(
        ScoredLabels(np.full(100, 50.0), np.arange(100), hits, np.ones(100), np.arange(100)), (0, 100)
    )
    wilson = wilson_interval(30, 100)
    assert wilson is not None
    assert (found.low, found.high) == pytest.approx(wilson[:2], abs=0.01)


@pytest.mark.parametrize("labels", LABELS)
@pytest.mark.parametrize(("questions", "answers"), SIZES)
@pytest.mark.parametrize("rate", RATES)
def test_intervals_hold_where_answers_to_a_question_are_alike(
    rate: float, questions: int, answers: int, labels: int
) -> None:
    shares, runs = bin_coverage(rate, questions, answers, labels, 150)
    assert runs > 100
    assert min(shares) >= 0.86, "90% and the noise of 150 runs"
