"""Trends over ordered groups, changes from the first, and the onset: against brute force, and in short simulations."""

from __future__ import annotations

import itertools
import math
from collections import Counter

import numpy as np
import pytest

from benchmarks.simulate_curves import COURSES, Course, discoveries, e_bh, log_e_value, onsets, rising, trends_found
from evals.statistics.trends.onset import Change, Onset, changes_from_first, onset
from evals.statistics.trends.ordered import (
    Ordered,
    question_rates,
    trend_of_questions_like_these,
    trend_on_these_questions,
)

SIGNS = list(itertools.product((-1, 1), repeat=5))
FLAT, WOBBLING, TURNING, TOGETHER, *_ = COURSES


def ordered(hits: list[list[int]], counted: int | list[list[int]], questions: list[int] | None = None) -> Ordered:
    found = np.array(hits, dtype=np.int64)
    n = np.full_like(found, counted) if isinstance(counted, int) else np.array(counted, dtype=np.int64)
    return Ordered(found, n, np.array(questions or range(len(hits)), dtype=np.int64))


def sums_of_places(table: Ordered) -> Counter[int]:
    """How many arrangements of the hits among the answers of each wording have which sum of places."""
    found = Counter({0: 1})
    for hits, counted in zip(table.hits, table.counted, strict=True):
        places = np.repeat(np.arange(len(counted)), counted).tolist()
        sums = Counter(sum(chosen) for chosen in itertools.combinations(places, int(hits.sum())))
        both: Counter[int] = Counter()
        for (one, number), (other, more) in itertools.product(found.items(), sums.items()):
            both[one + other] += number * more
        found = both
    return found


def test_the_exact_test_counts_every_arrangement() -> None:
    rng = np.random.default_rng(1)
    for _ in range(40):
        shape = tuple(rng.integers((1, 2), (4, 5)))
        counted = rng.integers(0, 5, shape)
        table = Ordered(rng.binomial(counted, rng.random(shape)), counted, np.arange(shape[0]))
        found = trend_on_these_questions(table)
        if found is None:
            assert ((counted > 0).sum(axis=1) < 2).all()
            continue
        sums = sums_of_places(table)
        middle = sum(place * number for place, number in sums.items()) / sums.total()
        observed = int((table.hits * np.arange(shape[1])).sum())
        far = sum(n for place, n in sums.items() if abs(place - middle) >= abs(observed - middle) - 1e-6)
        assert found.method == "exact"
        assert found.p_value == pytest.approx(far / sums.total())


def test_with_equal_numbers_it_is_jonckheere_and_terpstra() -> None:
    """The pairs of answers of different groups of which the later one is larger, ties by half, are linear in it."""
    for hits in itertools.product(range(4), repeat=3):
        answers = [[1] * k + [0] * (3 - k) for k in hits]
        pairs = sum(
            (late > early) + (late == early) / 2
            for i, j in itertools.combinations(range(3), 2)
            for early, late in itertools.product(answers[i], answers[j])
        )
        places = sum(place * k for place, k in enumerate(hits))
        assert pairs == pytest.approx(27 / 2 + 3 * (places - sum(hits)))


def test_random_permutations_agree_with_the_exact_test() -> None:
    table = ordered([[2, 3, 5, 6, 9]] * 8, 40)
    exact = trend_on_these_questions(table)
    many = trend_on_these_questions(Ordered(table.hits * 30, table.counted * 30, table.questions))
    assert exact is not None
    assert many is not None
    assert (exact.method, many.method) == ("exact", "permutations")
    assert many.p_value == pytest.approx(1e-4)


def test_questions_like_these_are_reversed_in_every_combination() -> None:
    rows = [[2, 3, 5], [1, 1, 2], [2, 2, 1], [0, 4, 1], [3, 3, 3]]
    found = trend_of_questions_like_these(ordered(rows, 10))
    sums = [sum(sign * (row[2] - row[0]) for sign, row in zip(signs, rows, strict=True)) for signs in SIGNS]
    assert found is not None
    assert found == (sum(abs(value) >= 4 for value in sums) / len(sums), 1, "exact")
    many = trend_of_questions_like_these(ordered(rows * 20, 10))
    assert many is not None
    assert (many.method, many.sign) == ("permutations", 1)
    assert many.p_value < 0.001


def test_a_trend_has_its_direction() -> None:
    up, down = ordered([[1, 3, 8]] * 4, 10), ordered([[8, 3, 1]] * 4, 10)
    for test in (trend_on_these_questions, trend_of_questions_like_these):
        rises, falls = test(up), test(down)
        assert rises is not None
        assert falls is not None
        assert (rises.sign, falls.sign) == (1, -1)
        assert rises.p_value == pytest.approx(falls.p_value)
    none = trend_on_these_questions(ordered([[0, 0, 0]] * 4, 10))
    assert none is not None
    assert (none.p_value, none.sign) == (1.0, 0)


def test_what_cannot_be_tested_has_no_trend() -> None:
    assert trend_on_these_questions(ordered([[1], [2]], 10)) is None
    assert trend_on_these_questions(ordered([[1, 0]], [[3, 0]])) is None
    assert trend_of_questions_like_these(ordered([[1, 5]], 10)) is None
    assert trend_of_questions_like_these(ordered([[1, 5], [1, 2]], 10, [0, 0])) is None


def test_a_question_weighs_the_same_however_many_wordings_it_has() -> None:
    rates = question_rates(ordered([[1, 2], [3, 4], [5, 5]], 10, [4, 4, 9]))
    assert rates == pytest.approx(np.array([[0.2, 0.3], [0.5, 0.5]]))


def test_an_e_value_has_a_mean_of_one_without_a_change() -> None:
    """Over all hits in the second group, given their number in both."""
    counted, hits = 6, 5
    mean = sum(
        math.comb(counted, late)
        * math.comb(counted, hits - late)
        * math.exp(log_e_value(ordered([[hits - late, late]], counted), 1))
        for late in range(hits + 1)
    ) / math.comb(2 * counted, hits)
    assert mean == pytest.approx(1.0)


def test_e_bh_is_its_definition() -> None:
    rng = np.random.default_rng(2)
    for _ in range(50):
        values = np.exp(rng.normal(1, 3, rng.integers(1, 8)))
        adjusted = e_bh(np.log(values).tolist())
        for alpha in (0.01, 0.05, 0.2, 0.5):
            number = len(values)
            ranked = sorted(values, reverse=True)
            most = max((k for k in range(1, number + 1) if ranked[k - 1] >= number / (alpha * k)), default=0)
            assert sum(rate <= alpha for rate in adjusted) == most
    assert e_bh([]) == []


def test_the_onset_lies_between_what_may_and_what_must_have_risen() -> None:
    def change(low: float, middle: float, high: float) -> Change:
        return Change(middle, low, high, 0.5, 0.5, 0.5)

    steps = [change(-0.1, 0.0, 0.04), change(0.0, 0.06, 0.1), change(0.04, 0.1, 0.2), change(0.1, 0.2, 0.3)]
    assert onset(steps, 0.05) == Onset(2, 2, 4)
    assert onset(steps[:3], 0.05) == Onset(2, 2, None)
    assert onset(steps[:1], 0.05) == Onset(None, None, None)
    assert onset([None, *steps[1:]], 0.05).earliest == 1


def test_changes_are_simultaneous_and_skip_what_was_not_answered() -> None:
    table = ordered([[1, 0, 9]] * 4, [[20, 0, 20]] * 4)
    nothing, last = changes_from_first(table)
    assert nothing is None
    assert last is not None
    assert last.change == pytest.approx(0.4)
    assert last.p_value == last.p_holm
    more = changes_from_first(ordered([[1, 2, 9]] * 4, 20))[1]
    assert more is not None
    assert more.low < last.low
    assert more.p_holm == pytest.approx(2 * more.p_value)


@pytest.mark.parametrize("course", [FLAT, WOBBLING, TURNING], ids=lambda course: course.name)
def test_a_trend_that_is_not_there_is_seldom_found(course: Course) -> None:
    here, others = trends_found(0.2, (8, 20, 4), course, 120)
    assert others <= 0.1
    if course is FLAT:
        assert here <= 0.1


def test_a_steady_rise_is_found() -> None:
    assert min(trends_found(0.2, (24, 20, 5), Course("up", rising(0.15)), 30)) >= 0.9


@pytest.mark.parametrize("by", [0.0, 0.2])
def test_the_interval_of_the_onset_holds_it(by: float) -> None:
    assert onsets(0.1, (8, 40, 5), Course("up", rising(by)), 100).held >= 0.95


def test_false_discoveries_are_few() -> None:
    found = discoveries(0.1, (8, 40, 11), 3, 60)
    assert max(false for false, _ in found.values()) <= 0.05
    assert found["BH"][1] >= found["Holm"][1] > 0
