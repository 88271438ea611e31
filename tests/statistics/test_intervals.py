"""Intervals: the paper's own figures, other libraries' values, and coverage in a seeded simulation."""

from __future__ import annotations

import csv
import math
import re

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats
from statsmodels.stats.proportion import proportion_confint

from evals.statistics.intervals import (
    FEW_DIFFERENCES,
    Interval,
    cluster_wilson_interval,
    paired_effect,
    paper_plus_minus,
    stratified_wilson_interval,
    wilson_interval,
)
from tests.support.paths import PUBLISHED


def array(*values: float) -> np.ndarray:
    return np.array(values, dtype=float)


def cluster(hits: np.ndarray, counted: np.ndarray) -> Interval:
    interval = cluster_wilson_interval(hits, counted)
    assert interval is not None
    return interval


def drawn_out(hits: float, counted: float) -> tuple[float, float]:
    """Wilson's ends, or the exact one-sided bounds at 95% where they lie further out."""
    wilson = wilson_interval(hits, counted)
    assert wilson is not None
    low = stats.beta.ppf(0.05, hits, counted - hits + 1) if hits > 0 else 0.0
    high = stats.beta.ppf(0.95, hits + 1, counted - hits) if hits < counted else 1.0
    return min(wilson.low, float(low)), max(wilson.high, float(high))


def strata(hits: np.ndarray, counted: np.ndarray) -> Interval:
    interval = stratified_wilson_interval(hits, counted)
    assert interval is not None
    return interval


def width(interval: Interval | None) -> float:
    assert interval is not None
    return interval.high - interval.low


# The paper


@pytest.mark.parametrize(("hits", "counted", "error"), [(22, 29, 15.9), (1, 29, 6.8), (120, 241, 6.3), (3, 3, 0)])
def test_plus_minus_is_the_papers(hits: int, counted: int, error: float) -> None:
    plus_minus = paper_plus_minus(hits, counted)
    assert plus_minus is not None
    assert round(100 * plus_minus, 1) == error


def test_plus_minus_is_that_of_the_sample_standard_deviation() -> None:
    plus_minus = paper_plus_minus(3, 10)
    assert plus_minus == pytest.approx(1.96 * np.std([1] * 3 + [0] * 7, ddof=1) / math.sqrt(10))


def test_plus_minus_needs_two_answers() -> None:
    assert paper_plus_minus(0, 0) is None
    assert paper_plus_minus(1, 1) is None


def test_every_published_row_with_its_count_comes_out_as_printed() -> None:
    if not PUBLISHED.is_file():
        pytest.skip("the paper's figures are not here")
    checked = 0
    with PUBLISHED.open(encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            count = re.search(r"count (\d+)", row["note"])
            if not (count and row["n"] and row["error_95"]):
                continue
            hits, counted = int(count[1]), int(row["n"])
            plus_minus = paper_plus_minus(hits, counted)
            assert plus_minus is not None
            assert 100 * hits / counted == pytest.approx(float(row["value"]), abs=0.0501), row
            assert 100 * plus_minus == pytest.approx(float(row["error_95"]), abs=0.0501), row
            checked += 1
    assert checked >= 60


# Wilson


def test_wilson_is_the_formula() -> None:
    hits, counted, z = 22, 29, stats.norm.ppf(0.975)
    rate = hits / counted
    centre = (rate + z**2 / (2 * counted)) / (1 + z**2 / counted)
    reach = z / (1 + z**2 / counted) * math.sqrt(rate * (1 - rate) / counted + z**2 / (4 * counted**2))
    interval = wilson_interval(hits, counted)
    assert interval is not None
    assert interval[:2] == pytest.approx((centre - reach, centre + reach))
    assert interval[:2] == pytest.approx((0.5789, 0.8778), abs=1e-4)


@given(st.integers(1, 10_000).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))))
def test_wilson_holds_the_rate_lies_in_the_unit_and_equals_statsmodels(counts: tuple[int, int]) -> None:
    hits, counted = counts
    interval = wilson_interval(hits, counted)
    assert interval is not None
    assert 0 <= interval.low <= hits / counted <= interval.high <= 1
    assert interval.low < interval.high
    assert interval[:2] == pytest.approx(proportion_confint(hits, counted, method="wilson"), abs=1e-12)
    assert interval.method == "wilson"
    assert width(interval) <= width(wilson_interval(hits, counted, confidence=0.99))


def test_nothing_counted_has_no_interval() -> None:
    assert wilson_interval(0, 0) is None
    assert cluster_wilson_interval(array(), array()) is None
    assert cluster_wilson_interval(array(0, 0), array(0, 0)) is None
    assert stratified_wilson_interval(array(), array()) is None
    assert stratified_wilson_interval(array(0, 0), array(0, 0)) is None
    assert paired_effect(array(), array(), array(), array()) is None
    assert paired_effect(array(1, 0), array(1, 0), array(0, 1), array(0, 1)) is None


@pytest.mark.parametrize(("hits", "counted"), [(2, 1), (-1, 1), (1, 0), (math.nan, 1)])
def test_impossible_counts_are_refused(hits: float, counted: float) -> None:
    with pytest.raises(ValueError, match="hits of"):
        wilson_interval(hits, counted)


# Clusters

clusters = st.lists(
    st.integers(0, 6).flatmap(lambda n: st.tuples(st.integers(0, n), st.just(n))), min_size=1, max_size=12
).filter(lambda rows: any(counted for _, counted in rows))


@given(clusters)
def test_cluster_interval_holds_the_rate_and_is_never_narrower_than_wilson(rows: list[tuple[int, int]]) -> None:
    hits, counted = np.array(rows, dtype=float).T
    interval = cluster(hits, counted)
    rate = hits.sum() / counted.sum()
    assert 0 <= interval.low <= rate + 1e-12
    assert rate - 1e-12 <= interval.high <= 1
    assert width(interval) >= width(wilson_interval(hits.sum(), counted.sum())) - 1e-12


@given(clusters)
def test_answers_to_these_questions_are_told_no_less_surely_than_those_to_others(rows: list[tuple[int, int]]) -> None:
    hits, counted = np.array(rows, dtype=float).T
    these, others = strata(hits, counted), cluster(hits, counted)
    rate = hits.sum() / counted.sum()
    assert others.low - 1e-12 <= these.low <= rate <= these.high <= others.high + 1e-12
    assert width(these) <= width(cluster(hits.sum(keepdims=True), counted.sum(keepdims=True))) + 1e-12


def test_questions_that_are_seen_to_differ_need_fewer_answers_for_the_rate_of_just_these() -> None:
    settled, mixed = array(*[10] * 10, *[0] * 10), np.full(20, 5.0)
    counted = np.full(20, 10.0)
    assert width(strata(settled, counted)) < 0.6 * width(strata(mixed, counted))
    assert strata(settled, counted).method == "wilson_strata"
    assert strata(mixed, counted).method == "wilson_exact"
    assert width(strata(settled, counted)) > 0.05
    once = array(*[1] * 10, *[0] * 10)
    assert strata(once, np.ones(20))[:2] == pytest.approx(drawn_out(10, 20))


@given(clusters, st.randoms())
def test_cluster_interval_ignores_the_order_and_the_empty_clusters(rows: list[tuple[int, int]], random: object) -> None:
    hits, counted = np.array(rows, dtype=float).T
    shuffled = [*rows, (0, 0)]
    random.shuffle(shuffled)  # type: ignore[attr-defined]
    other_hits, other_counted = np.array(shuffled, dtype=float).T
    assert cluster(other_hits, other_counted)[:2] == pytest.approx(cluster(hits, counted)[:2])
    assert strata(other_hits, other_counted)[:2] == pytest.approx(strata(hits, counted)[:2])


def test_repeats_that_always_agree_add_nothing() -> None:
    once, often = np.tile([1.0, 0.0], 25), np.tile([4.0, 0.0], 25)
    correlated = cluster(often, np.full(50, 4.0))
    assert width(correlated) > 1.5 * width(wilson_interval(100, 200))
    assert correlated[:2] == pytest.approx(cluster(once, np.ones(50))[:2])


def test_repeats_that_do_not_differ_between_prompts_count_prompts() -> None:
    # Equal rates from unequal counts: the between-prompt variance is only a rounding error.
    sizes = array(6, 4, 1, 3, 5, 7, 8, 8)
    assert cluster(9 * sizes, 11 * sizes)[:2] == pytest.approx(drawn_out(8 * 9 / 11, 8))


@pytest.mark.parametrize("prompts", [2, 5, 100])
def test_at_none_or_all_the_prompts_are_the_sample_size(prompts: int) -> None:
    counted = np.full(prompts, 10.0)
    assert cluster(0 * counted, counted)[:2] == pytest.approx(drawn_out(0, prompts))
    assert cluster(counted, counted)[:2] == pytest.approx(drawn_out(prompts, prompts))


def test_one_cluster_is_one_binomial_rate_and_says_so() -> None:
    assert cluster(array(3, 0), array(10, 0))[:2] == pytest.approx(drawn_out(3, 10))
    assert cluster(array(3, 0), array(10, 0)).method == "wilson_exact"
    assert cluster(array(3, 4), array(10, 10)).method == "wilson_cluster"
    assert strata(array(3, 0), array(10, 0)) == cluster(array(3, 0), array(10, 0))


@given(st.integers(1, 2000))
def test_at_none_or_all_no_end_is_nearer_than_the_rule_of_three_allows(counted: int) -> None:
    none, every = cluster(array(0), array(counted)), cluster(array(counted), array(counted))
    assert none.low == 0 == 1 - every.high
    assert none.high == pytest.approx(1 - every.low)
    assert (1 - none.high) ** counted <= 0.05 + 1e-12
    assert none.high <= max(0.96, 4 / counted)


def test_two_hits_of_a_hundred_prompts_are_worth_no_less_than_two_of_a_hundred_answers() -> None:
    hits = array(10, 10, *np.zeros(98))
    alone = cluster(hits, np.full(100, 10.0))
    assert alone[:2] == pytest.approx(drawn_out(0.02 * alone_size(100), alone_size(100)))
    assert width(alone) < 1.05 * width(cluster(hits / 10, np.ones(100)))


def alone_size(prompts: int) -> float:
    """So many prompts, less what the t correction for their number takes."""
    return prompts * float(stats.norm.ppf(0.975) / stats.t.ppf(0.975, prompts - 1)) ** 2


@pytest.mark.parametrize("rate", [0.05, 0.3])
@pytest.mark.parametrize("prompts", [20, 100])
def test_cluster_interval_covers_where_wilson_does_not(rate: float, prompts: int) -> None:
    draws, correlation, repeats = 1500, 0.3, 4
    rng = np.random.default_rng(2025)
    sizes = rate * (1 / correlation - 1), (1 - rate) * (1 / correlation - 1)
    counted = np.full(prompts, float(repeats))
    covered = covered_by_wilson = 0
    for _ in range(draws):
        hits = rng.binomial(repeats, rng.beta(*sizes, prompts)).astype(float)
        interval, plain = cluster(hits, counted), wilson_interval(hits.sum(), counted.sum())
        assert plain is not None
        covered += interval.low <= rate <= interval.high
        covered_by_wilson += plain.low <= rate <= plain.high
    assert covered / draws >= 0.93
    assert covered_by_wilson / draws < 0.90


# Paired effects


def test_paired_effect_covers_nothing_where_there_is_nothing() -> None:
    draws, prompts, counted = 1500, 40, np.full(40, 4.0)
    rng = np.random.default_rng(2025)
    covered = rejected = 0
    for _ in range(draws):
        rates = rng.beta(0.7, 1.6, prompts)
        effect = paired_effect(rng.binomial(4, rates) * 1.0, counted, rng.binomial(4, rates) * 1.0, counted)
        assert effect is not None
        covered += effect.interval.low <= 0 <= effect.interval.high
        rejected += effect.p_value < 0.05
        assert (effect.p_value < 0.05) == (not effect.interval.low <= 0 <= effect.interval.high)
    assert covered / draws >= 0.93
    assert rejected / draws <= 0.07


@given(st.integers(0, 2**32 - 1))
def test_paired_effect_is_the_t_test_over_prompts(seed: int) -> None:
    rng = np.random.default_rng(seed)
    counted, base_counted = rng.integers(1, 9, 12) * 1.0, rng.integers(1, 9, 12) * 1.0
    hits, base_hits = rng.binomial(counted.astype(int), 0.6) * 1.0, rng.binomial(base_counted.astype(int), 0.2) * 1.0
    differences = hits / counted - base_hits / base_counted
    if np.count_nonzero(differences) < FEW_DIFFERENCES / 2 + 1 or differences.std() < 1e-9:
        return
    expected = stats.ttest_1samp(differences, 0)
    low, high = expected.confidence_interval()
    effect = paired_effect(hits, counted, base_hits, base_counted)
    assert effect is not None
    assert effect.effect == pytest.approx(differences.mean())
    assert effect.p_value == pytest.approx(expected.pvalue)
    # The end away from 0 may be drawn out, or both with 0 in between.
    ends = effect.interval[:2] if effect.effect >= 0 else (-effect.interval.high, -effect.interval.low)
    near, far = (low, high) if effect.effect >= 0 else (-high, -low)
    assert ends[0] == pytest.approx(max(-1, near)) or (near <= 0 and ends[0] <= near + 1e-9)
    assert ends[1] >= min(1, far) - 1e-9
    assert (effect.interval.method.removesuffix("_gaffke"), effect.prompts) == ("paired_t", 12)


def test_prompts_without_answers_on_both_sides_are_left_out() -> None:
    whole = paired_effect(array(1, 2, 0), array(2, 2, 2), array(0, 1, 1), array(2, 2, 2))
    assert whole == paired_effect(
        array(1, 5, 2, 0, 0), array(2, 5, 2, 2, 0), array(0, 0, 1, 1, 3), array(2, 0, 2, 2, 3)
    )
    assert whole is not None
    assert whole.prompts == 3


@pytest.mark.parametrize("prompts", [1, 2, 50])
@pytest.mark.parametrize(("rate", "base"), [(1, 0), (0, 1), (0.5, 0.25), (0.5, 0.5), (0, 0), (1, 1)])
def test_differences_that_are_all_the_same_have_a_finite_interval(prompts: int, rate: float, base: float) -> None:
    counted = np.full(prompts, 4.0)
    effect = paired_effect(rate * counted, counted, base * counted, counted)
    assert effect is not None
    assert effect.effect == rate - base
    assert -1 <= effect.interval.low <= effect.effect <= effect.interval.high <= 1
    assert width(effect.interval) > 0
    assert effect.interval.method.removesuffix("_gaffke") == "newcombe"
    assert (effect.p_value < 0.05) == (not effect.interval.low <= 0 <= effect.interval.high)
    assert rate != base or effect.p_value == 1


@given(clusters, clusters)
def test_paired_effect_is_finite_and_within_its_range(rows: list[tuple[int, int]], base: list[tuple[int, int]]) -> None:
    size = min(len(rows), len(base))
    hits, counted = np.array(rows[:size], dtype=float).T
    base_hits, base_counted = np.array(base[:size], dtype=float).T
    effect = paired_effect(hits, counted, base_hits, base_counted)
    if effect is None:
        assert not ((counted > 0) & (base_counted > 0)).any()
        return
    mirrored = paired_effect(base_hits, base_counted, hits, counted)
    assert mirrored is not None
    assert -1 <= effect.interval.low <= effect.effect <= effect.interval.high <= 1
    assert mirrored.effect == pytest.approx(-effect.effect)
    assert (-mirrored.interval.high, -mirrored.interval.low) == pytest.approx(effect.interval[:2], abs=1e-8)


def test_an_option_order_answered_under_one_condition_only_is_no_effect() -> None:
    # Two prompts of a model that always picks A: the second order of the second prompt went unread under the trigger.
    hits, counted = array(1, 0, 1, 0), array(1, 1, 1, 0)
    base_hits, base_counted = array(1, 0, 1, 0), array(1, 1, 1, 1)
    effect = paired_effect(hits, counted, base_hits, base_counted, np.array([0, 0, 1, 1]))
    assert effect is not None
    assert (effect.effect, effect.prompts, effect.p_value) == (0, 2, 1)


@given(st.integers(2, 30), st.integers(1, 40), st.data())
def test_test_and_interval_of_an_effect_never_contradict_each_other(
    prompts: int, answers: int, data: st.DataObject
) -> None:
    hits, base_hits = (array(*(data.draw(st.integers(0, answers)) for _ in range(prompts))) for _ in range(2))
    counted = np.full(prompts, float(answers))
    effect = paired_effect(hits, counted, base_hits, counted)
    assert effect is not None
    if abs(effect.p_value - 0.05) > 1e-6:
        assert (effect.p_value < 0.05) == (not effect.interval.low <= 0 <= effect.interval.high)
