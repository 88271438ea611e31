"""Differences between two effects: against formulas by hand, and what the test promises."""

from __future__ import annotations

import numpy as np
import pytest
from scipy import stats

from evals.statistics.experiments.interaction import Arms, interaction
from evals.statistics.intervals import paired_effect
from evals.statistics.these_questions import effect_on_these_questions


def drawn(rng: np.random.Generator, chances: list[np.ndarray], answers: int) -> tuple[Arms, Arms]:
    hits = [rng.binomial(answers, rates).astype(float) for rates in chances]
    counted = np.full(len(chances[0]), float(answers))
    return Arms(hits[0], counted, hits[1], counted), Arms(hits[2], counted, hits[3], counted)


def test_on_questions_like_these_it_is_the_t_test_of_the_differences() -> None:
    rng = np.random.default_rng(3)
    model, base = drawn(rng, [rng.uniform(low, high, 40) for low, high in ((0.3, 0.7), (0.1, 0.3)) * 2], 30)
    found = interaction(model, base, np.arange(40))
    assert found is not None
    assert found.new_questions is not None
    differences = (model.hits - model.base_hits - base.hits + base.base_hits) / 30
    by_hand = stats.ttest_1samp(differences, 0.0)
    assert found.new_questions.p_value == pytest.approx(by_hand.pvalue)
    low, high = by_hand.confidence_interval()
    ends = [found.new_questions.interval.low, found.new_questions.interval.high]
    assert ends[0] <= low + 1e-12
    assert ends[1] >= high - 1e-12
    assert ends[0] == pytest.approx(low) or low <= 0, "what is towards 0 is drawn out only where 0 is in between"
    assert ends[1] == pytest.approx(high) or high >= 0
    assert found.same_questions.effect == pytest.approx(differences.mean())


@pytest.mark.parametrize("answers", [5, 60])
def test_on_these_questions_the_distances_of_both_effects_are_combined(answers: int) -> None:
    rng = np.random.default_rng(answers)
    model, base = drawn(
        rng, [rng.uniform(low, high, 12) for low, high in ((0.5, 0.9), (0, 0.2), (0.1, 0.5), (0, 0.2))], answers
    )
    found = interaction(model, base, np.arange(12))
    own, other = (effect_on_these_questions(*arms) for arms in (model, base))
    assert found is not None
    assert own is not None
    assert other is not None
    assert (found.effect, found.base_effect) == pytest.approx((own.effect, other.effect))
    down = np.hypot(own.effect - own.interval.low, other.interval.high - other.effect)
    assert found.same_questions.interval.low == pytest.approx(own.effect - other.effect - down)


def test_a_base_that_reacts_to_nothing_leaves_the_effect_itself() -> None:
    counted = np.full(20, 50.0)
    hits = np.array([30.0, 10.0] * 10)
    model, base = Arms(hits, counted, 0 * hits, counted), Arms(0 * hits, counted, 0 * hits, counted)
    found, alone = interaction(model, base, np.arange(20)), paired_effect(hits, counted, 0 * hits, counted)
    assert found is not None
    assert found.new_questions is not None
    assert alone is not None
    assert found.new_questions.interval.low == pytest.approx(alone.interval.low)
    assert found.new_questions.p_value == pytest.approx(alone.p_value)


def test_one_question_says_nothing_of_others_and_none_says_nothing() -> None:
    one = np.array([40.0])
    counted = np.array([50.0])
    found = interaction(Arms(one, counted, 0 * one, counted), Arms(one, counted, 0 * one, counted), np.array([0]))
    assert found is not None
    assert found.new_questions is None
    assert found.same_questions.effect == 0
    assert found.same_questions.p_value > 0.9
    assert interaction(Arms(one, counted, one, 0 * one), Arms(one, counted, one, counted), np.array([0])) is None


def test_equal_effects_are_rarely_called_different_and_p_and_interval_agree() -> None:
    rng = np.random.default_rng(12)
    false, held, draws = np.zeros(2), 0, 120
    for _ in range(draws):
        off = rng.uniform(0, 0.3, 10)
        model, base = drawn(rng, [off + 0.2, off + 0.1, off + 0.2, off + 0.1], 30)
        found = interaction(model, base, np.arange(10))
        assert found is not None
        assert found.new_questions is not None
        for tested in (found.same_questions, found.new_questions):
            assert (tested.interval.low <= 0 <= tested.interval.high) == (tested.p_value >= 0.05)
        false += [found.same_questions.p_value < 0.05, found.new_questions.p_value < 0.05]
        held += found.same_questions.interval.low <= 0 <= found.same_questions.interval.high
    assert (false / draws).max() <= 0.1
    assert held / draws >= 0.9
