"""Effects without the judge's errors: the estimates and standard errors of another library, and intervals that hold."""

from __future__ import annotations

import math

import numpy as np
import pytest

from evals.statistics.judge_error import JudgedSample, power_tuned, prediction_powered
from evals.statistics.labels.effects import corrected_effect
from tests.statistics.test_judge_error import Design, judged, simulated

Values = np.ndarray[tuple[int, ...], np.dtype[np.float64]]


def answered(random: np.random.Generator, rates: Values, finds: float) -> tuple[Values, Values]:
    """Verdicts and truths of answers with these rates, by a judge with sensitivity `finds` and specificity 90%."""
    truth = random.random(rates.shape) < rates
    said = np.where(truth, random.random(rates.shape) < finds, random.random(rates.shape) < 0.1)
    return said.astype(float), truth.astype(float)


@pytest.mark.parametrize(
    ("seed", "effect", "error"),
    [
        (0, 0.35169474814249735, 0.041329876253680925),
        (1, 0.3739941821943867, 0.039971109662620845),
        (2, 0.3653547679801478, 0.04141776380575481),
    ],
)
def test_separate_answers_give_the_estimate_and_error_of_glide(seed: int, effect: float, error: float) -> None:
    """glide-py 0.11.0, StratifiedPPIMeanEstimator: 900 answers a side, 150 labelled, each side a stratum whose values
    are doubled, those of the baseline with the other sign. Its power has n - 1 where ours and ppi-python's have n."""
    random = np.random.default_rng([2026, seed])
    sides = [answered(random, np.full(900, rate), finds) for rate, finds in ((0.5, 0.6), (0.1, 0.9))]
    first, second = (
        judged(said, truth, np.arange(150), prompts=np.arange(900) + 900 * number)
        for number, (said, truth) in enumerate(sides)
    )
    found = corrected_effect(first, second)
    assert found is not None
    assert found.effect == pytest.approx(effect, abs=1e-3)
    assert found.error == pytest.approx(error, rel=0.02)
    assert found.questions == 1800


@pytest.mark.parametrize(
    ("seed", "effect", "error"),
    [
        (0, 0.44583333333333336, 0.057926537238774216),
        (1, 0.325, 0.04923991232239596),
        (2, 0.35, 0.04789636001495304),
    ],
)
def test_answers_to_the_same_questions_give_the_estimate_and_error_of_glide(
    seed: int, effect: float, error: float
) -> None:
    """glide-py 0.11.0, ClusteredPPIMeanEstimator without power tuning: 8 answers a side to each of 60 questions, those
    to 30 of them labelled; signed as above. It takes
    labelled and other questions for separate samples, we the labelled ones for a part of all."""
    random = np.random.default_rng([2027, seed])
    base = random.beta(1, 6, 60)
    tuned = []
    for rates, finds in ((np.minimum(1, base + 0.4), 0.6), (base, 0.9)):
        said, truth = answered(random, np.repeat(rates[:, None], 8, axis=1), finds)
        sample = judged(said.ravel(), truth.ravel(), np.arange(240), prompts=np.repeat(np.arange(60), 8))
        # There a label also counts among the answers, which takes twice the power where half is labelled.
        tuned.append(power_tuned(sample, 2.0))
    assert tuned[0] is not None
    assert tuned[1] is not None
    assert tuned[0].rate - tuned[1].rate == pytest.approx(effect, abs=1e-12)
    by_question = np.bincount(np.repeat(np.arange(60), 8), weights=tuned[0].influence - tuned[1].influence)
    assert math.sqrt(60 / 59 * (by_question**2).sum()) == pytest.approx(error, rel=0.05)


def test_an_effect_is_the_difference_of_the_two_corrected_rates() -> None:
    random = np.random.default_rng(5)
    treated, base = (simulated(random, rate, Design()) for rate in (0.3, 0.05))
    rates = [prediction_powered(side) for side in (treated, base)]
    assert rates[0] is not None
    assert rates[1] is not None
    found = corrected_effect(treated, base, (0.5, 1.0))
    assert found is not None
    assert found.effect == pytest.approx(0.5 * rates[0].rate - rates[1].rate, abs=1e-12)
    assert -1 <= found.low < found.effect < found.high <= 1
    other = corrected_effect(base, treated, (1.0, 0.5))
    assert other is not None
    assert (other.effect, other.low, other.high) == pytest.approx((-found.effect, -found.high, -found.low))
    assert other.p_value == pytest.approx(found.p_value)


def test_the_p_value_and_the_interval_agree() -> None:
    random = np.random.default_rng(11)
    for _ in range(30):
        found = corrected_effect(simulated(random, 0.12, Design()), simulated(random, 0.05, Design()))
        assert found is not None
        assert (found.p_value < 0.05) == (not found.low <= 0 <= found.high)


def test_questions_in_common_narrow_the_interval() -> None:
    """Both sides have hits on the same questions, so what the questions are cancels in the difference."""
    random = np.random.default_rng(3)
    rates = np.repeat(np.repeat([0.1, 0.9], 20)[:, None], 10, axis=1)
    sides = [answered(random, rates, 0.9) for _ in range(2)]
    prompts = np.repeat(np.arange(40), 10)

    def width(shift: int) -> float:
        first, second = (
            judged(said.ravel(), truth.ravel(), prompts=prompts + shift * number)
            for number, (said, truth) in enumerate(sides)
        )
        found = corrected_effect(first, second)
        assert found is not None
        return found.high - found.low

    assert width(0) < 0.5 * width(40)


def test_a_side_without_labels_leaves_no_effect() -> None:
    side = judged([1, 0] * 50, [1, 0] * 50, prompts=np.repeat(np.arange(10), 10))
    bare = judged([1, 0] * 50, [1, 0] * 50, labelled=np.empty(0, int), prompts=np.repeat(np.arange(10), 10))
    one_sided = judged([1, 0] * 50, [1, 0] * 50, labelled=np.arange(0, 100, 2), prompts=np.repeat(np.arange(10), 10))
    assert corrected_effect(side, bare) is None
    assert corrected_effect(bare, side) is None
    assert corrected_effect(side, one_sided) is None


def pair(random: np.random.Generator, finds: tuple[float, float]) -> tuple[JudgedSample, JudgedSample]:
    """A side with 40% hits and one with 10% on the same questions, whose rates are correlated."""
    first, second = (
        simulated(random, rate, Design(answers=440, prompts=44, hits=50, near=0, others=50, sensitivity=sensitivity))
        for rate, sensitivity in zip((0.4, 0.1), finds, strict=True)
    )
    return first, second


@pytest.mark.parametrize("finds", [(0.85, 0.85), (0.4, 0.95)])
def test_intervals_hold_where_the_judge_errs_alike_and_where_it_does_not(finds: tuple[float, float]) -> None:
    """As judged, the second one's effect is off by 18 points."""
    random = np.random.default_rng(20251121)
    found = [corrected_effect(*pair(random, finds)) for _ in range(150)]
    effects = [effect for effect in found if effect is not None]
    assert len(effects) == 150
    assert np.mean([effect.low <= 0.3 <= effect.high for effect in effects]) >= 0.92
    values = np.array([effect.effect for effect in effects])
    assert abs(values.mean() - 0.3) < 4 * values.std() / math.sqrt(len(values))
