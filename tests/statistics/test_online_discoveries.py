"""Findings over nights: levels by hand, and false ones among checkpoints that share a baseline."""

from __future__ import annotations

import math

from hypothesis import given
from hypothesis import strategies as st

from benchmarks.nights import discoveries_of_nights
from evals.statistics.online_discoveries import online_discoveries


def weight(place: int) -> float:
    return 0.0772 * math.log(max(place, 2)) / (place * math.exp(math.sqrt(math.log(place))))


def test_levels_are_those_of_the_paper() -> None:
    first = 0.025 * weight(1)
    assert online_discoveries([first]) == [True]
    assert online_discoveries([first * 1.0001]) == [False]
    second = 0.025 * weight(2) + 0.025 * weight(1)  # after one finding
    assert online_discoveries([0.0, second]) == [True, True]
    assert online_discoveries([0.0, second * 1.0001]) == [True, False]
    assert online_discoveries([1.0, second]) == [False, False], "nothing was earned"
    third = 0.025 * weight(3) + 0.025 * weight(2) + 0.05 * weight(1)
    assert online_discoveries([0.0, 0.0, third]) == [True, True, True]
    assert online_discoveries([0.0, 0.0, third * 1.0001]) == [True, True, False]


@given(st.lists(st.floats(0, 1), max_size=30), st.floats(0, 1))
def test_what_is_found_does_not_depend_on_later_tests(p_values: list[float], later: float) -> None:
    found = online_discoveries(p_values)
    assert online_discoveries([*p_values, later])[: len(p_values)] == found


def test_few_are_false_though_all_are_compared_with_the_same_answers() -> None:
    nothing = discoveries_of_nights(0.0, 0.0, 44, 10, 40)
    assert nothing.any_false <= 0.1
    assert nothing.unadjusted_false > 0.5, "p below 0.05 in some of 60 nights is usual"
    some = discoveries_of_nights(0.5, 0.2, 44, 10, 20)
    assert some.false <= 0.05
    assert some.found is not None
    assert some.found > 0.6
