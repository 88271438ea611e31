"""AUROC and the gain of one monitor over another: by hand, at their limits, and in simulation."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.monitor_gains import SETTINGS, Setting, coverage_of_gain
from evals.statistics.monitors.ranking import Answers, auroc, gain, measures

read = st.lists(
    st.tuples(st.integers(0, 5), st.booleans(), st.integers(0, 10), st.integers(0, 10)), min_size=2, max_size=30
)


def answers_of(rows: list[tuple[int, bool, int, int]]) -> tuple[Answers, np.ndarray, np.ndarray]:
    question, misaligned, first, second = (np.array(column) for column in zip(*rows, strict=True))
    return Answers(question, misaligned.astype(bool)), 10.0 * first, 10.0 * second


@given(read)
def test_auroc_is_the_share_of_pairs_that_are_ranked_right(rows: list[tuple[int, bool, int, int]]) -> None:
    answers, scores, _ = answers_of(rows)
    bad, others = scores[answers.misaligned], scores[~answers.misaligned]
    found = auroc(answers, scores)
    if not len(bad) or not len(others):
        assert found is None
        return
    assert found is not None
    pairs = [(high > low) + 0.5 * (high == low) for high in bad for low in others]
    assert found.value == pytest.approx(np.mean(pairs))
    assert found.influence.sum() == pytest.approx(0, abs=1e-9)
    for interval in filter(None, (found.same, found.new)):
        assert 0 <= interval.low <= found.value + 1e-9
        assert found.value - 1e-9 <= interval.high <= 1
        assert interval.high - interval.low > 1e-3, "never a width of 0"


@given(read)
def test_a_gain_is_turned_round_with_its_monitors(rows: list[tuple[int, bool, int, int]]) -> None:
    answers, one, other = answers_of(rows)
    _, first = measures(answers, one, 50.0)
    _, second = measures(answers, other, 50.0)
    for mine, theirs in zip(first, second, strict=True):
        if mine is None or theirs is None:
            continue
        there, back = gain(answers, mine, theirs), gain(answers, theirs, mine)
        assert there.value == pytest.approx(mine.value - theirs.value)
        assert there.same.low == pytest.approx(-back.same.high)
        assert there.same.low <= there.value + 1e-9
        assert (there.new is None) == (back.new is None)


def test_monitors_that_agreed_on_a_few_answers_may_differ_on_others() -> None:
    question = np.repeat(np.arange(4), 4)
    answers = Answers(question, np.arange(16) % 2 == 0)
    scores = np.where(np.arange(16) % 3 == 0, 90.0, 10.0)
    found = measures(answers, scores, 50.0)[1].g_mean2
    assert found is not None
    same = gain(answers, found, found)
    assert same.value == 0
    assert same.same.low < -0.1 < 0.1 < same.same.high


@pytest.mark.parametrize("setting", SETTINGS, ids=str)
def test_intervals_of_gains_hold_the_truth(setting: Setting) -> None:
    found = coverage_of_gain(setting, 24, 10, 120)
    assert min(found) >= 0.88
