"""The chance of a hit among several answers: unbiased, exact by enumeration, and its intervals cover."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from benchmarks.populations import CONCENTRATED, Population, beta_rates
from benchmarks.rare import coverage_of_any
from evals.statistics.rare.any_of import any_of


def chance(hits: int, counted: int, draws: int) -> float:
    found = any_of(np.array([hits]), np.array([counted]), draws)
    assert found is not None
    return found.chance


@given(counted=st.integers(1, 9), data=st.data())
def test_it_is_the_share_of_all_choices_with_a_hit(counted: int, data: st.DataObject) -> None:
    hits, draws = data.draw(st.integers(0, counted)), data.draw(st.integers(1, counted))
    answers = [True] * hits + [False] * (counted - hits)
    choices = list(itertools.combinations(answers, draws))
    assert chance(hits, counted, draws) == pytest.approx(sum(map(any, choices)) / len(choices))


@pytest.mark.parametrize("draws", [1, 3, 12])
@pytest.mark.parametrize("rate", [0.001, 0.2, 0.9])
def test_it_is_unbiased_at_every_rate(rate: float, draws: int) -> None:
    counted = 12
    mean = sum(
        math.comb(counted, hits) * rate**hits * (1 - rate) ** (counted - hits) * chance(hits, counted, draws)
        for hits in range(counted + 1)
    )
    assert mean == pytest.approx(1 - (1 - rate) ** draws)


@given(hits=st.lists(st.integers(0, 20), min_size=1, max_size=12), draws=st.integers(1, 20), which=st.integers(0, 11))
def test_another_hit_raises_the_chance_and_no_end_falls(hits: list[int], draws: int, which: int) -> None:
    counted = np.full(len(hits), 20)
    before = any_of(np.array(hits), counted, draws)
    more = np.array(hits)
    more[which % len(hits)] = min(20, more[which % len(hits)] + 1)
    after = any_of(more, counted, draws)
    assert before is not None
    assert after is not None
    assert after.chance >= before.chance
    for found in (before, after):
        low, high, _ = found.same_questions
        assert 0 <= low <= found.chance <= high <= 1
        assert (found.new_questions is None) == (len(hits) == 1)
    if not any(hits):
        assert after.same_questions.high >= before.same_questions.high


def test_without_a_hit_the_upper_end_is_about_that_of_all_answers() -> None:
    found = any_of(np.zeros(8, dtype=np.int64), np.full(8, 100), 10)
    assert found is not None
    assert (found.chance, found.same_questions.low) == (0, 0)
    assert found.same_questions.high == pytest.approx(1 - 0.025 ** (10 / 800), rel=0.05)


def test_fewer_answers_than_draws_give_no_estimate() -> None:
    assert any_of(np.array([1, 0]), np.array([10, 9]), 10) is None
    assert any_of(np.array([], dtype=np.int64), np.array([], dtype=np.int64), 1) is None
    with pytest.raises(ValueError, match="0 draws"):
        any_of(np.array([1]), np.array([2]), 0)


@pytest.mark.parametrize("population", [*CONCENTRATED, beta_rates(0.01, 0.1)], ids=lambda population: population.name)
@pytest.mark.parametrize(("questions", "answers", "draws"), [(8, 100, 10), (20, 30, 30), (60, 100, 30)])
def test_intervals_cover_and_estimates_are_not_biased(
    population: Population, questions: int, answers: int, draws: int
) -> None:
    found = coverage_of_any(population, questions, answers, draws, 200)
    assert found.same >= 0.93
    assert found.new >= 0.90
    assert found.estimate == pytest.approx(found.chance, abs=0.06)
