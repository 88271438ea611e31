"""The interval of a rate with missing answers: other implementations, its limits, and seeded coverage."""

from __future__ import annotations

from typing import Any, cast

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import optimize, stats
from statsmodels.stats.proportion import proportion_confint

from benchmarks.simulate import missing_answers
from evals.statistics.intervals import (
    Counts,
    Interval,
    generalisation_interval,
    stratified_wilson_interval,
    wilson_interval,
)
from evals.statistics.missing_answers import critical_value, missing_answers_interval

NORMAL = cast("Any", stats).norm


def array(*values: float) -> Counts:
    return np.array(values, dtype=float)


@st.composite
def cells(draw: st.DrawFn) -> tuple[Counts, Counts, Counts]:
    """Hits, counted and asked answers of two to eight questions."""
    asked = draw(st.lists(st.integers(1, 40), min_size=2, max_size=8))
    counted = [draw(st.integers(0, number)) for number in asked]
    hits = [draw(st.integers(0, number)) for number in counted]
    return array(*hits), array(*counted), array(*asked)


@pytest.mark.parametrize("confidence", [0.9, 0.95, 0.99])
@pytest.mark.parametrize("width", [0.0, 0.01, 0.3, 1.0, 2.5, 20.0])
def test_the_critical_value_solves_imbens_and_manskis_equation(width: float, confidence: float) -> None:
    solve: Any = cast("Any", optimize).brentq
    expected = solve(lambda c: NORMAL.cdf(c + width) - NORMAL.cdf(-c) - confidence, 0.1, 5, xtol=1e-12)
    assert critical_value(width, confidence) == pytest.approx(expected, abs=1e-9)


def test_the_critical_value_goes_from_the_two_sided_to_the_one_sided_quantile() -> None:
    assert critical_value(0) == pytest.approx(NORMAL.ppf(0.975), abs=1e-9)
    assert critical_value(50) == pytest.approx(NORMAL.ppf(0.95), abs=1e-9)


@given(st.integers(1, 400), st.data())
def test_of_one_binomial_rate_it_is_wilsons_at_the_critical_value(asked: int, data: st.DataObject) -> None:
    counted = data.draw(st.integers(0, asked - 1))
    hits = data.draw(st.integers(0, counted))

    def wilson(hits: Counts, counted: Counts, confidence: float) -> Interval | None:
        return wilson_interval(float(hits.sum()), float(counted.sum()), confidence)

    def ends(hits: int, counted: int, alpha: float) -> tuple[float, float]:
        low, high = proportion_confint(hits, counted, alpha=alpha, method="wilson")
        return float(low), float(high)

    most = hits + asked - counted
    error = max(high - low for low, high in (ends(hits, asked, 0.05), ends(most, asked, 0.05))) / 2 / 1.959964
    outwards = 2 * NORMAL.sf(critical_value((asked - counted) / asked / error))
    low, high = ends(hits, asked, outwards)[0], ends(most, asked, outwards)[1]
    if counted:
        ordinary = ends(hits, counted, 0.05)
        low, high = min(low, ordinary[0]), max(high, ordinary[1])
    found = missing_answers_interval(array(hits), array(counted), array(asked), method=wilson)
    assert found is not None
    assert found[:2] == pytest.approx((max(0.0, low), min(1.0, high)), abs=1e-6)


@given(cells())
def test_it_holds_the_bounds_and_the_ordinary_interval(cell: tuple[Counts, Counts, Counts]) -> None:
    hits, counted, asked = cell
    found, ordinary = missing_answers_interval(hits, counted, asked), generalisation_interval(hits, counted)
    assert found is not None
    total = asked.sum()
    assert 0 <= found.low <= hits.sum() / total + 1e-12
    assert (hits + asked - counted).sum() / total - 1e-12 <= found.high <= 1
    if ordinary is not None:
        assert found.low <= ordinary.low
        assert ordinary.high <= found.high


@given(cells())
def test_with_nothing_missing_it_is_the_ordinary_interval(cell: tuple[Counts, Counts, Counts]) -> None:
    hits, _, asked = cell
    ordinary = generalisation_interval(hits, asked) or stratified_wilson_interval(hits, asked)
    assert missing_answers_interval(hits, asked, asked) == ordinary


def test_of_nothing_asked_there_is_none_and_of_nothing_counted_it_is_everything() -> None:
    assert missing_answers_interval(array(0), array(0), array(0)) is None
    found = missing_answers_interval(array(0, 0), array(0, 0), array(4, 4))
    assert found is not None
    assert found[:2] == (0, 1)


@pytest.mark.parametrize("rate", [0.02, 0.05, 0.1])
@pytest.mark.parametrize(("prompts", "answers"), [(44, 10), (100, 4)])
def test_it_covers_where_misaligned_answers_are_missing(rate: float, prompts: int, answers: int) -> None:
    found = missing_answers(rate, prompts, answers, 300)
    assert 0.03 < found.missing < 0.07
    assert found.bounds_interval >= 0.97
    assert found.bounds < 0.93, "the bounds alone do not"
    assert found.rate < 0.8 * rate
