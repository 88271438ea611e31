"""The generalisation interval: it rises with every hit, treats hits and misses alike, and is what others compute."""

from __future__ import annotations

import itertools
import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats

from evals.statistics.bounded_mean import Questions, group_questions, upper_bound
from evals.statistics.intervals import (
    Interval,
    generalisation_interval,
    stratified_wilson_interval,
    wilson_interval,
)

CLOSE = 1e-8
"""The bounds are solved for to this."""


def of(hits: list[int] | np.ndarray, counted: list[int] | np.ndarray | int) -> Interval:
    hits = np.asarray(hits, dtype=float)
    interval = generalisation_interval(hits, np.broadcast_to(np.asarray(counted, dtype=float), hits.shape))
    assert interval is not None
    return interval


tables = st.one_of(
    st.lists(st.integers(1, 120).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=2, max_size=20),
    st.integers(1, 120).flatmap(
        lambda n: st.lists(st.tuples(st.integers(0, n) | st.sampled_from([0, 1, n]), st.just(n)), min_size=2)
    ),
)


# The order of things


def test_the_upper_end_has_no_cliff_where_questions_agree() -> None:
    none = of([0] * 8, 100)
    single = of([1] + [0] * 7, 100)
    each_but_one, each = of([1] * 7 + [0], 100), of([1] * 8, 100)
    tens, tens_and_one = of([10] * 8, 100), of([10] * 7 + [11], 100)
    in_order = [none, single, each_but_one, each, tens, tens_and_one]
    assert all(before.high <= after.high for before, after in itertools.pairwise(in_order))
    assert none.high == pytest.approx(0.324, abs=0.001)
    assert tens.high == pytest.approx(0.381, abs=0.001)
    assert tens_and_one.high - tens.high < 0.002
    two_of_eight = of([30, 20] + [0] * 6, 100)
    assert two_of_eight[:2] == pytest.approx((0.0114, 0.3604), abs=1e-4)


@given(tables, st.data())
def test_another_hit_never_lowers_an_end(rows: list[tuple[int, int]], data: st.DataObject) -> None:
    hits, counted = np.array(rows).T
    room = np.flatnonzero(hits < counted)
    if not len(room):
        return
    more = hits.copy()
    more[data.draw(st.sampled_from(room.tolist()))] += 1
    before, after = of(hits, counted), of(more, counted)
    assert after.low >= before.low - CLOSE
    assert after.high >= before.high - CLOSE


@pytest.mark.parametrize("whole_questions", [True, False])
@pytest.mark.parametrize(("questions", "answers"), [(2, 30), (8, 25), (20, 10)])
def test_ends_rise_in_small_steps_from_no_hit_to_all(questions: int, answers: int, *, whole_questions: bool) -> None:
    hits = np.zeros(questions)
    before = of(hits, answers)
    for number in range(questions * answers):
        hits[number // answers if whole_questions else number % questions] += 1
        after = of(hits, answers)
        for low, high in ((before.low, after.low), (before.high, after.high)):
            assert -CLOSE <= high - low <= 1 / answers + CLOSE, (number, hits)
        before = after
    assert before.high == 1


@given(tables)
def test_swapping_hits_and_misses_mirrors_the_interval(rows: list[tuple[int, int]]) -> None:
    hits, counted = np.array(rows).T
    interval, mirrored = of(hits, counted), of(counted - hits, counted)
    assert (1 - mirrored.high, 1 - mirrored.low) == pytest.approx(interval[:2], abs=1e-12)


@given(tables, st.randoms())
def test_it_holds_the_rate_and_the_interval_of_these_questions_whatever_the_order(
    rows: list[tuple[int, int]], random: object
) -> None:
    hits, counted = np.array(rows, dtype=float).T
    interval, these = of(hits, counted), stratified_wilson_interval(hits, counted)
    assert these is not None
    assert 0 <= interval.low <= these.low + 1e-12
    assert these.high - 1e-12 <= interval.high <= 1
    shuffled = [*rows, (0, 0)]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    assert of(*np.array(shuffled).T) == interval


@given(tables, st.floats(0.5, 0.9))
def test_more_confidence_is_never_narrower(rows: list[tuple[int, int]], confidence: float) -> None:
    hits, counted = np.array(rows, dtype=float).T
    less = generalisation_interval(hits, counted, confidence)
    assert less is not None
    assert of(hits, counted).low - CLOSE <= less.low
    assert less.high <= of(hits, counted).high + CLOSE


def test_one_question_shows_nothing_of_others() -> None:
    for hits, counted in (([3.0], [10.0]), ([3.0, 0.0], [10.0, 0.0]), ([], []), ([0.0, 0.0], [0.0, 0.0])):
        assert generalisation_interval(np.array(hits), np.array(counted)) is None


def test_a_question_with_nearly_all_answers_counts_as_nearly_the_only_one() -> None:
    dominated, even = of([0] * 8, [930] + [10] * 7), of([0] * 8, 125)
    assert dominated.high > 0.7 > even.high


# Computed by others


@given(st.integers(2, 300).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_of_one_answer_a_question_it_is_the_exact_binomial_one(counts: tuple[int, int]) -> None:
    k, n = counts
    interval = of([1] * k + [0] * (n - k), 1)
    wilson, none = wilson_interval(k, n), wilson_interval(0, n)
    assert wilson is not None
    assert none is not None

    def upper_end(hits: int) -> float:
        if hits == n:
            return 1.0
        exact, jeffreys = stats.beta.ppf(0.95, hits + 1, n - hits), stats.beta.ppf(0.975, hits + 0.5, n - hits + 0.5)
        least = max(none.high, 1 - 0.05 ** (1 / n))
        return float(max(exact, jeffreys, least, wilson.high if hits == k else 1 - wilson.low))

    assert interval[:2] == pytest.approx((1 - upper_end(n - k), upper_end(k)), abs=1e-7)


@given(st.lists(st.integers(0, 1000), min_size=2, max_size=8, unique=True), st.sampled_from([0.025, 0.05, 0.2]))
def test_the_bound_solves_the_closed_form_of_a_sum_of_exponentials(rates: list[int], tail: float) -> None:
    """With all weights 1 and all rates different, the tail is a sum over the rates above (partial fractions)."""
    if max(rates) == 1000:
        return
    bound = upper_bound(group_questions(np.array(rates, dtype=float), np.full(len(rates), 1000.0)), tail)
    excess = [*(rate / 1000 - bound for rate in rates), 1 - bound]
    chance = sum(
        math.prod(above / (above - other) for place, other in enumerate(excess) if place != number)
        for number, above in enumerate(excess)
        if above > 0
    )
    spacing = min(abs(a - b) for number, a in enumerate(excess) for b in excess[:number])
    if spacing > 0.02:  # close rates leave differences of large terms
        assert chance == pytest.approx(tail, rel=1e-6)


@pytest.mark.parametrize(("hit", "miss"), [(1.0, 0.0), (0.5, 0.5)])
@pytest.mark.parametrize(("questions", "answers"), [(8, 100), (44, 10), (100, 300)])
def test_the_bound_is_the_quantile_of_drawn_weights(questions: int, answers: int, hit: float, miss: float) -> None:
    rng = np.random.default_rng([questions, answers])
    counted = rng.integers(answers // 2, answers + 1, questions).astype(float)
    hits = rng.binomial(counted.astype(int), rng.beta(0.2, 1.5, questions)).astype(float)
    found = group_questions(hits, counted)
    bound = upper_bound(found, 0.025, hit, miss)
    draws = 60_000
    weights = rng.exponential(size=(draws, questions))
    always, never = (rng.gamma(weight, size=draws) * found.size if weight else 0.0 for weight in (hit, miss))
    means = (weights @ hits + always) / (weights @ counted + always + never)
    assert float(np.mean(means > bound)) == pytest.approx(0.025, abs=4 * math.sqrt(0.025 * 0.975 / draws))


def test_a_least_bound_next_to_one_is_one() -> None:
    """As in planning from a pilot where next to all answers are hits: no number lies between the least bound and 1."""
    nearly_all = Questions(np.array([1.0, 0.0]), np.ones(2), np.array([1.9167, 0.0833]))
    assert upper_bound(nearly_all, 0.05, least=math.nextafter(1.0, 0.0)) == 1.0


@settings(max_examples=20)
@given(st.integers(2, 2000), st.integers(1, 10**9), st.floats(0.0001, 0.9999))
def test_the_bound_is_finite_for_any_size(questions: int, answers: int, rate: float) -> None:
    hits = np.round(np.full(questions, rate * answers))
    hits[0] = 0
    interval = of(hits, answers)
    assert 0 <= interval.low <= hits.mean() / answers + 1e-12
    assert hits.mean() / answers - 1e-12 <= interval.high <= 1
