"""A short version of the table of docs/statistics.md on differences in log-odds, with `make simulate`."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.log_odds import POPULATIONS, Differences, coverage_of_difference
from evals.statistics.bounded_mean import bound_of_mean
from evals.statistics.log_odds import REACH, mean_log_odds


@pytest.mark.parametrize("population", POPULATIONS, ids=lambda each: each.name)
@pytest.mark.parametrize("questions", [8, 44])
def test_intervals_hold_the_mean_difference(population: Differences, questions: int) -> None:
    assert coverage_of_difference(population, questions, 200) >= 0.93


@given(st.lists(st.floats(-30, 30), min_size=2, max_size=40))
def test_an_interval_is_mirrored_holds_its_mean_and_stays_within_what_was_seen(values: list[float]) -> None:
    found, mirrored = mean_log_odds(values), mean_log_odds([-value for value in values])
    assert found is not None
    assert found.low is not None
    assert found.high is not None
    assert mirrored is not None
    assert mirrored.low == pytest.approx(-found.high)
    assert mirrored.high == pytest.approx(-found.low)
    assert found.t_low is not None
    assert found.t_high is not None
    assert found.low <= found.t_low <= found.mean <= found.t_high <= found.high
    assert (found.least, found.most, found.questions) == (min(values), max(values), len(values))


def test_questions_that_show_nothing_leave_room_for_the_share_that_may_not_be_among_them() -> None:
    found = mean_log_odds([0.0] * 8)
    assert found is not None
    assert found.high is not None
    assert found.high == pytest.approx(REACH * (1 - 0.05 ** (1 / 8))), "the rule of three, of the share of others"
    assert bound_of_mean(np.zeros(8), 2 * REACH, 0.95) == pytest.approx(2 * found.high)
    single = mean_log_odds([math.log(2)])
    assert single == (math.log(2), None, None, None, None, 1, math.log(2), math.log(2)), (
        "one question shows nothing of others"
    )
