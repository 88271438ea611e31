"""Effects on just the questions asked: other implementations, the examples that a t test over questions cannot see,
agreement of test and interval, and coverage in a seeded simulation."""

from __future__ import annotations

import itertools
from typing import Any, cast

import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import confint_proportions_2indep

from benchmarks.simulate import weights
from evals.statistics.intervals import Counts, Effect, drawn_out_interval, stratified_wilson_interval
from evals.statistics.these_questions import (
    MANY_ANSWERS,
    effect_on_these_questions,
    exact_stratified_p,
    fixed_questions_interval,
    question_weights,
)


def array(*values: float) -> Counts:
    return np.array(values, dtype=float)


def effect(hits: Counts, counted: Counts, base_hits: Counts, base_counted: Counts, **options: Any) -> Effect:
    found = effect_on_these_questions(hits, counted, base_hits, base_counted, **options)
    assert found is not None
    return found


@st.composite
def tables(draw: st.DrawFn, *, most: int = 30, equal: bool = False) -> tuple[Counts, Counts, Counts, Counts]:
    """Hits and answers of up to six questions under two conditions."""
    strata = draw(st.integers(1, 6))
    size, base_size = draw(st.integers(1, most)), draw(st.integers(1, most))
    sizes = st.integers(1, most)
    counted = [size if equal else draw(sizes) for _ in range(strata)]
    base_counted = [base_size if equal else draw(sizes) for _ in range(strata)]
    hits = [draw(st.integers(0, number)) for number in counted]
    base_hits = [draw(st.integers(0, number)) for number in base_counted]
    return array(*hits), array(*counted), array(*base_hits), array(*base_counted)


@given(st.integers(1, 60), st.integers(1, 60), st.data())
def test_the_test_of_one_question_is_fishers(counted: int, base_counted: int, data: st.DataObject) -> None:
    hits, base_hits = data.draw(st.integers(0, counted)), data.draw(st.integers(0, base_counted))
    table = [[hits, counted - hits], [base_hits, base_counted - base_hits]]
    expected = float(cast("Any", stats).fisher_exact(table)[1])
    found = exact_stratified_p(array(hits), array(counted), array(base_hits), array(base_counted), array(1.0))
    assert found == pytest.approx(min(1.0, expected), rel=1e-6)


def enumerated(hits: Counts, counted: Counts, base_hits: Counts, base_counted: Counts) -> list[tuple[int, float]]:
    """Every possible number of hits in all strata given those of each, with its chance, from scipy's distribution."""
    found: dict[int, float] = {}
    laws = [
        stats.hypergeom(int(total), int(both), int(number))
        for total, both, number in zip(counted + base_counted, hits + base_hits, counted, strict=True)
    ]
    for places in itertools.product(*(range(int(number) + 1) for number in counted)):
        chance = float(np.prod([law.pmf(place) for law, place in zip(laws, places, strict=True)]))
        found[sum(places)] = found.get(sum(places), 0.0) + chance
    return list(found.items())


@settings(max_examples=30, deadline=None)
@given(tables(most=4, equal=True))
def test_the_test_of_several_is_the_sum_over_all_tables(table: tuple[Counts, Counts, Counts, Counts]) -> None:
    chances = enumerated(*table)
    observed = dict(chances)[int(table[0].sum())]
    expected = sum(chance for _, chance in chances if chance <= observed * (1 + 1e-7))
    weights = question_weights(np.arange(len(table[0])))
    assert exact_stratified_p(*table, weights) == pytest.approx(min(1.0, expected), rel=1e-6)


@settings(max_examples=20, deadline=None)
@given(tables(most=3))
def test_the_test_keeps_its_level_with_unequal_numbers(table: tuple[Counts, Counts, Counts, Counts]) -> None:
    hits, counted, base_hits, base_counted = table
    both, weights = hits + base_hits, question_weights(np.arange(len(hits)))
    found: list[tuple[float, float]] = []
    laws = [
        stats.hypergeom(int(total), int(number_both), int(number))
        for total, number_both, number in zip(counted + base_counted, both, counted, strict=True)
    ]
    for places in itertools.product(*(range(int(number) + 1) for number in counted)):
        chance = float(np.prod([law.pmf(place) for law, place in zip(laws, places, strict=True)]))
        if chance > 0:
            drawn = array(*places)
            found.append((exact_stratified_p(drawn, counted, both - drawn, base_counted, weights), chance))
    for p_value, _ in found:
        assert sum(chance for other, chance in found if other <= p_value) <= p_value * (1 + 1e-6)


@given(tables(most=40))
def test_test_and_interval_never_contradict_each_other(table: tuple[Counts, Counts, Counts, Counts]) -> None:
    found = effect(*table)
    assert -1 <= found.interval.low <= found.effect <= found.interval.high <= 1
    assert (found.p_value < 0.05) == (not found.interval.low <= 0 <= found.interval.high)
    hits, counted, base_hits, base_counted = table
    turned = effect(base_hits, base_counted, hits, counted)
    assert turned.p_value == pytest.approx(found.p_value, rel=1e-6)
    assert (-turned.interval.high, -turned.interval.low) == pytest.approx(found.interval[:2], abs=1e-9)


@given(st.integers(MANY_ANSWERS, 200), st.integers(MANY_ANSWERS, 200), st.data())
def test_the_interval_of_one_question_is_newcombes_or_little_wider(
    counted: int, base_counted: int, data: st.DataObject
) -> None:
    hits, base_hits = data.draw(st.integers(0, counted)), data.draw(st.integers(0, base_counted))
    found = effect(array(hits), array(counted), array(base_hits), array(base_counted))
    ends = confint_proportions_2indep(hits, counted, base_hits, base_counted, compare="diff", method="newcomb")
    widest = (1 + 4.85 / min(counted, base_counted)) ** 0.5
    for end, newcombe in zip(found.interval[:2], ends, strict=True):
        reach, least = abs(end - found.effect), abs(newcombe - found.effect)
        by_the_test = (
            abs(end) <= abs(found.effect) / 1000 + 1e-9
        )  # the test may take 0 out of the interval, or put it in
        assert by_the_test or least - 1e-5 <= reach <= widest * least + 1e-5
    if hits in (0, counted) and base_hits in (0, base_counted) and found.p_value < 0.05:
        assert found.interval[:2] == pytest.approx(ends, abs=1e-5)


MANY = array(*[100.0] * 8)
NONE = array(*[0.0] * 8)


def test_an_effect_in_few_questions_is_found() -> None:
    one = effect(array(100), array(100), array(0), array(100))
    assert one.p_value == pytest.approx(2.2e-59, rel=0.01)
    assert one.interval.low > 0.9
    two = effect(array(100, 100, 0, 0, 0, 0, 0, 0), MANY, NONE, MANY)
    assert two.effect == 0.25
    assert two.p_value == pytest.approx(2.4e-118, rel=0.02)
    assert 0.23 < two.interval.low < two.interval.high < 0.27


def test_more_questions_moved_are_no_weaker_evidence() -> None:
    p_values = [
        effect(array(*[100.0] * moved, *[0.0] * (8 - moved)), MANY, NONE, MANY).p_value for moved in range(1, 9)
    ]
    assert p_values == sorted(p_values, reverse=True)


@given(st.integers(1, 20), st.integers(2, 30), st.data())
def test_equal_strata_have_the_interval_of_their_pooled_rate(strata: int, size: int, data: st.DataObject) -> None:
    hits = array(*(data.draw(st.integers(0, size)) for _ in range(strata)))
    counted = array(*[float(size)] * strata)
    found = fixed_questions_interval(hits, counted, question_weights(np.arange(strata)))
    expected = stratified_wilson_interval(hits, counted)
    assert found is not None
    assert expected is not None
    assert found[:2] == pytest.approx(expected[:2], abs=1e-9)


def test_orders_of_a_question_weigh_as_one_question() -> None:
    weights = question_weights(np.array([5, 5, 9]))
    assert weights == pytest.approx([0.25, 0.25, 0.5])
    found = effect(array(10, 0, 0), array(10, 10, 10), array(0, 0, 0), array(10, 10, 10), questions=np.array([1, 1, 2]))
    assert (found.effect, found.prompts) == (0.25, 2)


@pytest.mark.parametrize("answers", [4, 10, 20, 100])
@pytest.mark.parametrize("rates", ["few questions", "none", "all alike"])
def test_intervals_cover(rates: str, answers: int) -> None:
    random = np.random.default_rng(7)
    base = array(*[0.001] * 8) if rates != "all alike" else array(*[0.3] * 8)
    treated = {"few questions": array(0.35, 0.25, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01)}.get(rates, base)
    true = float((treated - base).mean())
    counted, draws = array(*[float(answers)] * 8), 150
    covered = 0
    for _ in range(draws):
        found = effect(
            random.binomial(answers, treated).astype(float),
            counted,
            random.binomial(answers, base).astype(float),
            counted,
        )
        covered += found.interval.low <= true <= found.interval.high
    assert covered / draws > 0.9


@given(tables())
def test_pairs_without_answers_on_a_side_are_left_out(table: tuple[Counts, Counts, Counts, Counts]) -> None:
    padded = [np.append(column, value) for column, value in zip(table, (5.0, 7.0, 0.0, 0.0), strict=True)]
    assert effect(*padded) == effect(*table)
    assert effect_on_these_questions(array(3), array(4), array(0), array(0)) is None


@settings(deadline=None, max_examples=60)
@given(st.integers(2, 5), st.data())
def test_the_mean_is_worth_what_the_most_varying_rates_leave(strata: int, data: st.DataObject) -> None:
    counted = array(*(data.draw(st.integers(1, 60)) for _ in range(strata)))
    hits = array(*(data.draw(st.integers(0, int(number))) for number in counted))
    shares = question_weights(np.array([data.draw(st.integers(0, 2)) for _ in range(strata)], dtype=np.int64))
    mean = float((shares * hits / counted).sum())
    interval = fixed_questions_interval(hits, counted, shares)
    assert interval is not None
    # Rates with the same mean, at random: none has a variance that the interval of the least size does not allow for.
    rng = np.random.default_rng(0)
    rates = rng.beta(0.5, 0.5, (4000, strata))
    below = (rates @ shares)[:, None] >= mean
    scaled = np.where(below, rates * mean / np.maximum(rates @ shares, 1e-9)[:, None], rates)
    scaled = scaled[np.abs(scaled @ shares - mean) < 1e-9]
    variance = (scaled * (1 - scaled) * shares**2 / counted).sum(axis=1)
    assume(mean * (1 - mean) > 0 and len(variance) > 0)
    least = drawn_out_interval(mean, mean * (1 - mean) / float(variance.max()))
    if interval.method == "wilson_exact":
        assert interval.low <= least.low + 1e-9
        assert interval.high >= least.high - 1e-9


@pytest.mark.parametrize("questions", [8, 44])
def test_questions_that_lose_answers_as_their_rates_rise_are_covered(questions: int) -> None:
    true, over_answers, by_question, held = weights(questions, 800)
    assert by_question == pytest.approx(true, abs=0.002)
    assert over_answers < true / 2, "misaligned questions have fewer answers"
    assert held >= 0.94
