"""Rates and effects of a recipe over finetuning seeds: formulas by hand, edge cases, and simulated coverage."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from benchmarks.finetuning_seeds import Design, coverage_of_recipes
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
