"""Rates and effects of a recipe over finetuning seeds: formulas by hand, edge cases, and simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.finetuning_seeds import Design, coverage_of_recipes
from benchmarks.recipe_pairs import Pair, coverage_of_differences
from evals.statistics.experiments.recipe_differences import SeedAnswers, recipe_difference
from evals.statistics.experiments.seeds import recipe_effect, recipe_rate
from evals.statistics.intervals import generalisation_interval, paired_effect


def test_variance_is_clustered_by_seed_and_question_as_by_hand() -> None:
    """V = V_seed + V_question - V_cell, each with its own number of clusters over that number less one."""
    rng = np.random.default_rng(4)
    seeds, questions, answers = 4, 30, 50
    counted = np.full((seeds, questions), float(answers))
    rates = np.clip(0.45 + rng.normal(0, 0.1, (seeds, 1)) + rng.normal(0, 0.15, (1, questions)), 0.02, 0.98)
    base_rates = np.full((seeds, questions), 0.1)
    hits, base = (rng.binomial(answers, chances).astype(float) for chances in (rates, base_rates))
    found = recipe_effect(hits, counted, base, counted, np.arange(questions))
    assert found is not None
    assert found.new_questions is not None
    assert found.same_questions is not None
    cells = (hits - base) / answers
    mean = cells.mean()
    v_seed = sum((row.mean() - mean) ** 2 for row in cells) / (seeds - 1) / seeds
    v_question = sum((column.mean() - mean) ** 2 for column in cells.T) / (questions - 1) / questions
    v_cell = ((cells - mean) ** 2).sum() / (cells.size - 1) / cells.size
    variance = v_seed + v_question - v_cell
    freedom = variance**2 / (v_seed**2 / (seeds - 1) + v_question**2 / (questions - 1))
    reach = stats.t.ppf(0.975, freedom) * variance**0.5
    assert found.effect == pytest.approx(mean)
    assert found.new_questions.interval[:2] == pytest.approx((mean - reach, mean + reach))
    assert found.new_questions.p_value == pytest.approx(2 * stats.t.sf(mean / variance**0.5, freedom))
    on_these = stats.t.ppf(0.975, seeds - 1) * v_seed**0.5
    assert found.same_questions.interval[:2] == pytest.approx((mean - on_these, mean + on_these))


def test_one_seed_has_a_rate_and_no_interval() -> None:
    hits, counted = np.array([[3.0, 1.0]]), np.array([[10.0, 10.0]])
    rate = recipe_rate(hits, counted)
    effect = recipe_effect(hits, counted, 0 * hits, counted, np.arange(2))
    assert rate is not None
    assert rate == (0.2, None, None, 0.2, 0.2)
    assert effect is not None
    assert (effect.effect, effect.new_questions, effect.same_questions) == (0.2, None, None)


def test_seeds_weigh_alike_and_those_without_an_answer_do_not_count() -> None:
    hits = np.array([[10.0, 10.0], [1.0, 0.0], [0.0, 0.0]])
    counted = np.array([[100.0, 100.0], [1.0, 1.0], [0.0, 0.0]])
    rate = recipe_rate(hits, counted)
    assert rate is not None
    assert (rate.rate, rate.lowest, rate.highest) == (pytest.approx(0.3), 0.1, 0.5)
    assert recipe_rate(0 * hits, 0 * counted) is None
    assert recipe_effect(hits, 0 * counted, hits, counted, np.arange(2)) is None


@pytest.mark.parametrize("rate", [0.0, 1.0])
def test_no_hits_at_all_do_not_collapse_the_interval(rate: float) -> None:
    counted = np.full((3, 8), 100.0)
    found = recipe_rate(rate * counted, counted)
    assert found is not None
    assert found.new_questions is not None
    assert found.same_questions is not None
    pooled = generalisation_interval(rate * counted.sum(axis=0), counted.sum(axis=0))
    assert pooled is not None
    assert found.new_questions[:2] == pytest.approx(pooled[:2]), "what eight questions without a hit say"
    width = found.same_questions.high - found.same_questions.low
    assert 0.0037 < width < 0.006, "the rule of three for the 800 answers of one seed"
    effect = recipe_effect(rate * counted, counted, rate * counted, counted, np.arange(8))
    assert effect is not None
    assert effect.new_questions is not None
    assert effect.new_questions.p_value == 1.0
    assert effect.new_questions.interval.low < 0 < effect.new_questions.interval.high


def test_another_hit_never_takes_the_rate_out_of_its_interval() -> None:
    rng = np.random.default_rng(8)
    for _ in range(60):
        counted = rng.integers(0, 6, (3, 4)).astype(float)
        hits = rng.binomial(counted.astype(int), rng.random()).astype(float)
        found = recipe_rate(hits, counted)
        for interval in (found.new_questions, found.same_questions) if found else ():
            if found is not None and interval is not None:
                assert 0 <= interval.low <= found.rate <= interval.high <= 1
        effect = recipe_effect(hits, counted, hits[::-1], counted, np.arange(4))
        for tested in (effect.new_questions, effect.same_questions) if effect else ():
            if tested is not None:
                assert (tested.interval.low <= 0 <= tested.interval.high) == (tested.p_value >= 0.05)


def test_the_noise_of_a_base_that_all_seeds_share_counts_once() -> None:
    hits, counted = np.full((5, 6), 8.0), np.full((5, 6), 20.0)
    base, base_counted = np.full((1, 6), 4.0), np.full((1, 6), 20.0)
    found = recipe_effect(hits, counted, base, base_counted, np.arange(6))
    assert found is not None
    assert found.same_questions is not None
    alone = paired_effect(hits[0], counted[0], base[0], base_counted[0])
    assert alone is not None
    assert found.effect == pytest.approx(0.2)
    least = 1.96 * (0.2 * 0.8 / 120) ** 0.5
    assert found.effect - found.same_questions.interval.low > least, "equal seeds leave that of the base"


@pytest.mark.parametrize("seeds", [3, 8])
@pytest.mark.parametrize("design", [Design(44, 10, 0.3, 1.0), Design(8, 100, 0.1, 0.6)])
def test_intervals_hold_the_recipe_where_one_seed_does_not(design: Design, seeds: int) -> None:
    found = coverage_of_recipes(design, seeds, 120)
    assert min(found.rate_new, found.effect_new) >= 0.88, "91% and the noise of 120 draws"
    assert min(found.rate_same, found.effect_same) >= 0.86
    if design.seed_sd == 1.0:
        assert found.one_seed < 0.6


def test_two_recipes_differ_as_by_hand() -> None:
    """Each seed's own mean by Welch's t-test on these questions; on others V_question joins in, without what is in
    both."""
    rng = np.random.default_rng(5)
    ours, theirs = (rng.normal(middle, 0.06, (seeds, 1)) for middle, seeds in ((0.5, 4), (0.25, 3)))
    rates = [np.clip(seeds + rng.normal(0, 0.1, (1, 30)), 0.02, 0.98) for seeds in (ours, theirs)]
    sides = [SeedAnswers(rng.binomial(40, chances) * 1.0, np.full(chances.shape, 40.0)) for chances in rates]
    found = recipe_difference(*sides, np.arange(30))
    assert found is not None
    assert found.new_questions is not None
    assert found.same_questions is not None
    cells = [side.hits / side.counted for side in sides]
    seed_means = [values.mean(axis=1) for values in cells]
    welch = stats.ttest_ind(*seed_means, equal_var=False)
    assert found.difference == pytest.approx(cells[0].mean() - cells[1].mean())
    assert found.same_questions.p_value == pytest.approx(welch.pvalue)
    ends = welch.confidence_interval(0.95)
    assert found.same_questions.interval[:2] == pytest.approx((ends.low, ends.high))
    by_seed = [values.var(ddof=1) / len(values) for values in seed_means]
    by_question = np.var(cells[0].mean(axis=0) - cells[1].mean(axis=0), ddof=1) / 30
    left = [
        values - values.mean(axis=0, keepdims=True) - values.mean(axis=1, keepdims=True) + values.mean()
        for values in cells
    ]
    by_cell = sum((part**2).sum() / (len(part) - 1) / 29 / part.size for part in left)
    variance = sum(by_seed) + by_question - by_cell
    parts = (by_seed[0] ** 2 / 3, by_seed[1] ** 2 / 2, by_question**2 / 29)
    reach = stats.t.ppf(0.975, variance**2 / sum(parts)) * variance**0.5
    new = found.new_questions.interval
    reach = max(reach, found.difference - found.same_questions.interval.low)
    assert (found.difference - new.low, new.high - found.difference) == pytest.approx((reach, reach))


def test_a_question_that_one_side_left_open_is_in_no_difference() -> None:
    counted = np.array([[10.0, 10.0, 0.0], [10.0, 10.0, 0.0], [0.0, 0.0, 0.0]])
    ours, theirs = SeedAnswers(0.5 * counted, counted), SeedAnswers(np.full((2, 3), 2.0), np.full((2, 3), 10.0))
    found = recipe_difference(ours, theirs, np.arange(3))
    assert found is not None
    assert found[:3] == pytest.approx((0.5, 0.2, 0.3))
    assert (found.questions, found.seeds, found.other_seeds) == (2, 2, 2)
    assert recipe_difference(SeedAnswers(0 * counted, 0 * counted), theirs, np.arange(3)) is None


def test_one_seed_differs_from_a_recipe_without_an_interval() -> None:
    counted = np.full((3, 4), 10.0)
    one, three = SeedAnswers(0.6 * counted[:1], counted[:1]), SeedAnswers(0.2 * counted, counted)
    for ours, theirs in ((one, three), (three, one)):
        found = recipe_difference(ours, theirs, np.arange(4))
        assert found is not None
        assert (found.new_questions, found.same_questions) == (None, None)
        assert abs(found.difference) == pytest.approx(0.4)
    base = recipe_difference(three, one, np.arange(4), theirs_is_base=True)
    assert base is not None
    assert base.same_questions is not None
    assert base.same_questions.interval.high < 0


def test_effects_of_two_recipes_differ_by_less_than_zero_to_two() -> None:
    counted = np.full((3, 4), 25.0)
    up = SeedAnswers(counted, counted, 0 * counted, counted)
    down = SeedAnswers(0 * counted, counted, counted, counted)
    found = recipe_difference(up, down, np.arange(4))
    assert found is not None
    assert found.new_questions is not None
    assert (found.ours, found.theirs, found.difference) == (1.0, -1.0, 2.0)
    assert found.new_questions.interval.high == 2.0
    assert found.new_questions.interval.low < 2.0, "four questions do not collapse the interval"


@pytest.mark.parametrize("seeds", [3, 5])
@pytest.mark.parametrize("pair", [Pair(44, 10, 0.3, 0.1, 1.0), Pair(8, 100, 0.1, 0.1, 0.3)])
def test_intervals_of_differences_hold_what_is_true(pair: Pair, seeds: int) -> None:
    held = coverage_of_differences(pair, seeds, 100)
    assert min(held[:6]) >= 0.87
    if pair.rate == pair.other_rate:
        assert held.shown <= 0.1
