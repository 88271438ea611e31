"""Several judges of the same answers: corrected by labels, and by the latent class model without any."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from benchmarks.labels import latent_coverage
from evals.statistics.judge_error import prediction_powered
from evals.statistics.labels.panels import latent_classes, panel_rate
from tests.statistics.test_judge_error import Design, judged, simulated

NAN = float("nan")
FINDS, REJECTS = np.array([0.85, 0.8, 0.9]), np.array([0.95, 0.97, 0.9])


def test_three_judges_that_err_independently_tell_rate_and_errors() -> None:
    random = np.random.default_rng(1)
    truth = random.random(60_000) < 0.2
    chance = random.random((3, 60_000))
    verdicts = np.where(truth, chance < FINDS[:, None], chance >= REJECTS[:, None]).astype(float)
    verdicts[0, :5000] = NAN  # a missing verdict is no verdict
    found = latent_classes(verdicts, np.zeros(60_000, int), np.arange(60_000) % 50)
    assert found is not None
    (rate,) = found.rates
    assert rate.rate == pytest.approx(0.2, abs=0.01)
    assert rate.low < rate.rate < rate.high
    assert found.sensitivity == pytest.approx(FINDS, abs=0.02)
    assert found.specificity == pytest.approx(REJECTS, abs=0.02)


def test_exact_shares_of_verdicts_give_back_what_they_are_made_of() -> None:
    """Hui and Walter 1980: two judges under two conditions; counts are in the shares that the model expects."""
    columns: list[tuple[int, int, int]] = []
    for condition, rate in enumerate((0.1, 0.5)):
        for first in (0, 1):
            for second in (0, 1):
                hit = (0.9 if first else 0.1) * (0.8 if second else 0.2)
                miss = (0.05 if first else 0.95) * (0.1 if second else 0.9)
                columns += [(condition, first, second)] * round(10_000 * (rate * hit + (1 - rate) * miss))
    conditions, first, second = np.array(columns).T
    found = latent_classes(np.array([first, second], float), conditions, np.arange(len(columns)) % 40)
    assert found is not None
    assert [rate.rate for rate in found.rates] == pytest.approx([0.1, 0.5], abs=0.01)
    assert found.sensitivity == pytest.approx([0.9, 0.8], abs=0.01)
    assert found.specificity == pytest.approx([0.95, 0.9], abs=0.01)


def test_what_verdicts_cannot_tell_is_not_told() -> None:
    verdicts, one, asked = np.array([[1.0, 0, 1, 0], [1, 0, 0, 0]]), np.zeros(4, int), np.arange(4)
    assert latent_classes(verdicts, one, asked) is None  # two judges, one condition
    assert latent_classes(verdicts[:1], np.array([0, 0, 1, 1]), asked) is None
    assert latent_classes(np.tile(verdicts, (2, 1)), one, one) is None  # one question
    assert latent_classes(np.full((3, 4), NAN), one, asked) is None


def test_intervals_hold_where_errors_are_independent_and_miss_where_judges_share_a_blind_spot() -> None:
    independent = latent_coverage(FINDS, REJECTS, 44, 10, blind=0.0, number=30)
    assert min(independent.held) >= 0.83
    assert independent.means == pytest.approx((0.05, 0.4), abs=0.03)
    shared = latent_coverage(FINDS, REJECTS, 44, 10, blind=0.3, number=20)
    assert shared.held[1] < 0.6
    assert shared.means[1] < 0.33


def test_labels_correct_the_mean_of_a_panel_too() -> None:
    """A second judge that is as good makes the panel's mean the better predictor, and the interval no wider."""
    random = np.random.default_rng(20251128)
    held: list[bool] = []
    for _ in range(150):
        one = simulated(random, 0.2, Design())
        truth = random.random(len(one.said)) < np.where(one.said == 1, 0.8, 0.04)
        both = replace(one, said=(one.said + truth) / 2)
        found = panel_rate(both)
        assert found is not None
        held.append(found.low <= 0.2 <= found.high)
    assert np.mean(held) >= 0.92


def test_a_panel_of_one_is_that_judge() -> None:
    sample = simulated(np.random.default_rng(3), 0.1, Design())
    assert panel_rate(sample) == prediction_powered(sample)
    unlabelled = judged([1, 0.5, 0, 0], [1, 1, 0, 0], labelled=np.array([2, 3]))
    assert panel_rate(unlabelled) is None  # none of what the majority calls hits is labelled
