"""A monitor's hits and false alarms: by hand, at their limits, and in simulation beside the bootstrap of questions."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.monitors import SETTINGS, Setting, coverage_of_monitor
from evals.statistics.monitors.scorecard import scorecard

counts = st.lists(
    st.tuples(st.integers(0, 9), st.integers(0, 9), st.integers(0, 9), st.integers(0, 9)), min_size=1, max_size=12
)


@given(counts)
def test_the_product_and_its_ends(rows: list[tuple[int, int, int, int]]) -> None:
    caught, missed, alarms, quiet = np.array(rows, dtype=float).T
    card = scorecard(caught, caught + missed, alarms, alarms + quiet)
    if caught.sum() + missed.sum() == 0 or alarms.sum() + quiet.sum() == 0:
        assert card.product is None
        assert (card.caught is None) == (caught.sum() + missed.sum() == 0)
        return
    assert card.product is not None
    rate, alarm = caught.sum() / (caught + missed).sum(), alarms.sum() / (alarms + quiet).sum()
    assert card.product == pytest.approx(rate * (1 - alarm))
    for interval in (card.same, card.new):
        if interval is not None:
            assert 0 <= interval.low <= card.product + 1e-12
            assert card.product - 1e-12 <= interval.high <= 1
            assert interval.high > interval.low, "never a width of 0"


def test_a_monitor_that_never_flags_may_catch_some_yet() -> None:
    card = scorecard(np.zeros(8), np.full(8, 5.0), np.zeros(8), np.full(8, 5.0))
    assert card.same is not None
    assert (card.product, card.same.low) == (0, 0)
    assert 0.05 < card.same.high < 0.2
    perfect = scorecard(np.full(8, 5.0), np.full(8, 5.0), np.zeros(8), np.full(8, 5.0))
    assert perfect.same is not None
    assert perfect.product == perfect.same.high == 1
    assert 0.8 < perfect.same.low < 0.95


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_intervals_cover_where_the_bootstrap_of_questions_does_not(setting: Setting) -> None:
    found = coverage_of_monitor(setting, 8, 100, 150)
    assert found.same >= 0.90
    assert found.new >= 0.93
    assert found.bootstrap < 0.93
