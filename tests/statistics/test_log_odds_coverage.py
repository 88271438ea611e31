"""A short version of the table of docs/statistics.md on differences in log-odds, with `make simulate`."""

from __future__ import annotations

import pytest

from benchmarks.log_odds import POPULATIONS, coverage_of_difference

NORMAL, SKEWED, FEW, THOUGHTS, TURNED = POPULATIONS


@pytest.mark.parametrize("questions", [8, 44])
def test_intervals_hold_the_mean_difference(questions: int) -> None:
    for population in (NORMAL, THOUGHTS):
        assert 0.92 < coverage_of_difference(population, questions, 500) < 0.98


def test_few_questions_that_move_are_missed_by_few_questions() -> None:
    assert coverage_of_difference(FEW, 8, 300) < 0.7
    assert coverage_of_difference(FEW, 100, 300) > 0.9
    assert coverage_of_difference(SKEWED, 8, 300) > 0.85
    assert coverage_of_difference(TURNED, 44, 300) > 0.85
