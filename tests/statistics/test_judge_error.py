"""Rates corrected for a judge's errors: right on average, intervals that hold, and the libraries' own numbers."""

from __future__ import annotations

import math
from statistics import NormalDist
from typing import NamedTuple

import numpy as np
import pytest
from ppi_py import ppi_mean_ci, ppi_mean_pointestimate  # type: ignore[import-untyped]
from statsmodels.stats.inter_rater import cohens_kappa  # type: ignore[import-untyped]

from evals.statistics.intervals import wilson_interval
from evals.statistics.judge_error import (
    Corrected,
    ErrorRate,
    Errors,
    JudgedSample,
    PowerTuned,
    chance_of_difference,
    correlation_within_prompts,
    effective_size,
    error_rates,
    labels_to_halve,
    power_tuned,
    prediction_powered,
    rogan_gladen,
)

SENSITIVITY, SPECIFICITY = 0.85, 0.95
Z = NormalDist().inv_cdf(0.975)


class Design(NamedTuple):
    """Answers to some prompts, and how many labels the three strata get: judged hits, judged others near the cut-off,
    and the rest."""

    answers: int = 1200
    prompts: int = 100
    alike: float = 0.3
    hits: int = 60
    near: int = 30
    others: int = 110
    sensitivity: float = SENSITIVITY
    specificity: float = SPECIFICITY


def simulated(random: np.random.Generator, rate: float, design: Design) -> JudgedSample:
    """Answers judged with errors and labelled in strata, each label with its weight."""
    prompts = np.repeat(np.arange(design.prompts), design.answers // design.prompts)
    odds = (1 - design.alike) / design.alike if design.alike else math.inf
    rates = (
        random.beta(rate * odds, (1 - rate) * odds, design.prompts) if design.alike else np.full(design.prompts, rate)
    )
    truth = random.random(len(prompts)) < rates[prompts]
    said = np.where(
        truth, random.random(len(prompts)) < design.sensitivity, random.random(len(prompts)) >= design.specificity
    )
    near = (random.random(len(prompts)) < np.where(truth, 0.5, 0.05)) & (design.near > 0)
    strata = np.where(said, 0, np.where(near, 1, 2))
    picked, weights = [np.empty(0, int)], [np.empty(0)]
    for stratum, labels in enumerate((design.hits, design.near, design.others)):
        members = np.flatnonzero(strata == stratum)
        if len(members):
            drawn = random.choice(members, min(labels, len(members)), replace=False)
            picked.append(drawn)
            weights.append(np.full(len(drawn), len(members) / len(drawn)))
    labelled = np.concatenate(picked)
    return judged(said, truth, labelled, np.concatenate(weights), prompts)


def judged(said, truth, labelled=None, weights=None, prompts=None) -> JudgedSample:  # type: ignore[no-untyped-def]
    """Answers that are all in the denominator; each its own prompt and labelled with weight 1, where not told."""
    said, truth = np.asarray(said, float), np.asarray(truth, float)
    labelled = np.arange(len(said)) if labelled is None else np.asarray(labelled)
    return JudgedSample(
        said=said,
        counted=np.ones(len(said)),
        prompts=np.arange(len(said)) if prompts is None else np.asarray(prompts),
        labelled=labelled,
        hits=truth[labelled],
        answered=np.ones(len(labelled)),
        weights=np.ones(len(labelled)) if weights is None else np.asarray(weights, float),
    )


def by_rogan_gladen(answers: JudgedSample, errors: Errors | None = None) -> Corrected | None:
    errors = errors or error_rates(answers)
    if errors.sensitivity is None or errors.specificity is None:
        return None
    size = effective_size(answers.said, np.ones_like(answers.said), answers.prompts)
    return rogan_gladen(float(answers.said.mean()), size, errors.sensitivity, errors.specificity)


def some(error: ErrorRate | None) -> ErrorRate:
    assert error is not None
    return error


# --- simulation ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("rate", [0.01, 0.05, 0.3])
def test_corrected_rates_are_right_on_average_and_their_intervals_hold(rate: float) -> None:
    """Raw rates are off by up to 5 points here: 0.058, 0.09 and 0.29."""
    random = np.random.default_rng(20251121)
    found: dict[str, list[tuple[float, bool]]] = {"rogan_gladen": [], "ppi": []}
    held: dict[str, list[bool]] = {"sensitivity": [], "specificity": [], "raw": []}
    for _ in range(1000):
        answers = simulated(random, rate, Design())
        errors = error_rates(answers)
        for name, corrected in (
            ("rogan_gladen", by_rogan_gladen(answers, errors)),
            ("ppi", prediction_powered(answers)),
        ):
            if corrected is not None:
                found[name].append((corrected.rate, corrected.low <= rate <= corrected.high))
        if errors.sensitivity is not None and errors.specificity is not None:
            held["sensitivity"].append(errors.sensitivity.low <= SENSITIVITY <= errors.sensitivity.high)
            held["specificity"].append(errors.specificity.low <= SPECIFICITY <= errors.specificity.high)
        raw = wilson_interval(float(answers.said.sum()), len(answers.said))
        assert raw is not None
        held["raw"].append(raw.low <= rate <= raw.high)
    for results in found.values():
        rates, holds = (np.array(values, float) for values in zip(*results, strict=True))
        assert abs(rates.mean() - rate) < 4 * rates.std() / math.sqrt(len(rates))
        assert holds.mean() >= 0.93
    assert len(found["ppi"]) == 1000
    assert len(found["rogan_gladen"]) > 950  # without a labelled hit there is no sensitivity
    assert np.mean(held["sensitivity"]) >= 0.93
    assert np.mean(held["specificity"]) >= 0.93
    if rate < 0.3:
        assert np.mean(held["raw"]) < 0.5


def two_conditions(
    random: np.random.Generator, *, finds: tuple[float, float]
) -> tuple[JudgedSample, list[JudgedSample]]:
    """Of the same prompts under two conditions, with the judge's sensitivity in each: both together, and each."""
    each = [
        simulated(random, rate, Design(alike=0.1, hits=40, near=20, others=60, sensitivity=sensitivity))
        for rate, sensitivity in zip((0.1, 0.4), finds, strict=True)
    ]
    first, second = each
    labelled = np.concatenate([first.labelled, second.labelled + len(first.said)])
    columns = ("said", "counted", "prompts", "hits", "answered", "weights")
    rest = {name: np.concatenate([getattr(first, name), getattr(second, name)]) for name in columns}
    return JudgedSample(labelled=labelled, **rest), each


def test_labels_of_all_conditions_correct_each_where_the_judge_errs_alike() -> None:
    random = np.random.default_rng(7)
    estimates: list[list[float]] = [[], []]
    holds: list[list[bool]] = [[], []]
    alarms = 0
    for _ in range(400):
        together, each = two_conditions(random, finds=(0.85, 0.85))
        errors = error_rates(together)
        for number, (rate, cell) in enumerate(zip((0.1, 0.4), each, strict=True)):
            corrected = by_rogan_gladen(cell, errors)
            assert corrected is not None
            estimates[number].append(corrected.rate)
            holds[number].append(corrected.low <= rate <= corrected.high)
        alarms += chance_of_difference([some(error_rates(cell).sensitivity) for cell in each]) < 0.05
    for rate, estimated, held in zip((0.1, 0.4), estimates, holds, strict=True):
        assert abs(np.mean(estimated) - rate) < 4 * np.std(estimated) / 20 + 0.002
        assert np.mean(held) >= 0.93
    assert alarms <= 0.05 * 400


def test_where_the_judge_errs_otherwise_in_one_condition_only_its_own_labels_correct_it() -> None:
    random = np.random.default_rng(8)
    pooled, own, alarms = [], [], 0
    for _ in range(200):
        together, each = two_conditions(random, finds=(0.95, 0.4))
        for rate, cell in zip((0.1, 0.4), each, strict=True):
            by_pool, by_own = by_rogan_gladen(cell, error_rates(together)), prediction_powered(cell)
            assert by_pool is not None
            assert by_own is not None
            pooled.append(by_pool.low <= rate <= by_pool.high)
            own.append(by_own.low <= rate <= by_own.high)
        alarms += chance_of_difference([some(error_rates(cell).sensitivity) for cell in each]) < 0.05
    assert np.mean(own) >= 0.93
    assert np.mean(pooled) < 0.85
    assert alarms > 0.7 * 200


def test_a_poor_judges_missed_hits_are_not_taken_for_none() -> None:
    """Half of the hits are missed, and often no labelled answer shows one."""
    random = np.random.default_rng(9)
    design = Design(alike=0, prompts=1200, hits=60, near=0, others=60, sensitivity=0.5)
    held, unseen = [], 0
    for _ in range(500):
        answers = simulated(random, 0.03, design)
        corrected, sensitivity = prediction_powered(answers), error_rates(answers).sensitivity
        assert corrected is not None
        held.append(corrected.low <= 0.03 <= corrected.high)
        if sensitivity is not None and sensitivity.rate == 1:
            unseen += 1
            assert sensitivity.low < 0.5
    assert unseen > 150
    assert np.mean(held) >= 0.93


def test_refusals_and_unreadable_verdicts_are_corrected_for_too() -> None:
    """One answer in five is a refusal, which the judge sees in half of the cases; of one in ten it says nothing."""
    random = np.random.default_rng(10)
    estimates, held = [], []
    for _ in range(300):
        count = 800
        answered = random.random(count) < 0.8
        hits = answered & (random.random(count) < 0.25)
        readable = random.random(count) < 0.9
        seen = readable & (answered | (random.random(count) < 0.5))
        said = seen & np.where(hits, random.random(count) < 0.8, random.random(count) < 0.1)
        strata = np.where(said, 0, np.where(seen, 1, 2))
        picked = [random.choice(np.flatnonzero(strata == stratum), 60, replace=False) for stratum in range(3)]
        labelled = np.concatenate(picked)
        weights = np.repeat([(strata == stratum).sum() / 60 for stratum in range(3)], 60)
        corrected = prediction_powered(
            JudgedSample(
                said.astype(float),
                seen.astype(float),
                np.arange(count),
                labelled,
                hits[labelled].astype(float),
                answered[labelled].astype(float),
                weights,
            )
        )
        assert corrected is not None
        estimates.append(corrected.rate)
        held.append(corrected.low <= 0.25 <= corrected.high)
    assert abs(np.mean(estimates) - 0.25) < 4 * np.std(estimates) / math.sqrt(300)
    assert np.mean(held) >= 0.93


# --- the libraries' own numbers --------------------------------------------------------------------------------------


def drawn(seed: int, count: int = 900, labels: int = 150) -> tuple[np.ndarray, np.ndarray]:  # type: ignore[type-arg]
    random = np.random.default_rng(seed)
    truth = random.random(count) < 0.3
    said = np.where(truth, random.random(count) < 0.8, random.random(count) < 0.1)
    return said.astype(float), truth.astype(float)


@pytest.mark.parametrize("seed", range(5))
def test_power_tuning_is_that_of_ppi_python(seed: int) -> None:
    said, truth = drawn(seed)
    tuned = power_tuned(judged(said, truth, np.arange(150)))
    assert tuned is not None
    theirs = ppi_mean_pointestimate(truth[:150], said[:150], said[150:])
    assert tuned.rate == pytest.approx(float(theirs[0]), abs=1e-12)
    same = ppi_mean_pointestimate(truth[:150], said[:150], said[150:], lam=tuned.power / (1 + 150 / 750))
    assert tuned.rate == pytest.approx(float(same[0]), abs=1e-12)


def wald(tuned: PowerTuned, count: int) -> tuple[float, float]:
    reach = Z * math.sqrt(tuned.variance * (count - 1) / count)
    return tuned.rate - reach, tuned.rate + reach


def slope(said: np.ndarray, truth: np.ndarray, weights: np.ndarray) -> float:  # type: ignore[type-arg]
    """Of the regression of truth on verdict: there, residuals and verdicts have no covariance, so the labelled answers
    may be taken for other answers than those that are only judged."""
    centred = said - np.average(said, weights=weights)
    return float((weights * centred * truth).sum() / (weights * centred**2).sum())


@pytest.mark.parametrize("seed", range(5))
def test_variance_is_that_of_ppi_python(seed: int) -> None:
    said, truth = drawn(seed)
    power = slope(said[:150], truth[:150], np.ones(150))
    tuned = power_tuned(judged(said, truth, np.arange(150)), power)
    assert tuned is not None
    low, high = ppi_mean_ci(truth[:150], said[:150], said, alpha=0.05, lam=power)
    assert wald(tuned, 900) == pytest.approx((float(low[0]), float(high[0])), abs=1e-12)


@pytest.mark.parametrize("seed", range(5))
def test_weighted_estimate_and_variance_are_those_of_ppi_python(seed: int) -> None:
    said, truth = drawn(seed)
    truth *= said  # no missed hit: the weighted residuals then have mean 0, which ppi_py supposes and we do not
    labelled = np.concatenate([np.flatnonzero(said == 1)[:80], np.flatnonzero(said == 0)[:70]])
    weights = np.where(said[labelled] == 1, 2.0, 9.0)
    power = slope(said[labelled], truth[labelled], weights)
    tuned = power_tuned(judged(said, truth, labelled, weights), power)
    assert tuned is not None
    ours = (truth[labelled], said[labelled], said)
    low, high = ppi_mean_ci(*ours, alpha=0.05, lam=power, w=weights)
    assert wald(tuned, 900) == pytest.approx((float(low[0]), float(high[0])), abs=1e-12)
    for other in (0.0, 0.3, 1.0):
        tuned = power_tuned(judged(said, truth, labelled, weights), other)
        assert tuned is not None
        assert tuned.rate == pytest.approx(float(ppi_mean_pointestimate(*ours, lam=other, w=weights)[0]), abs=1e-12)


def test_the_whole_interval_is_near_that_of_ppi_python_where_nothing_is_rare() -> None:
    said, truth = drawn(3, 20_000)
    corrected = prediction_powered(judged(said, truth, np.arange(2000)))
    assert corrected is not None
    low, high = (float(end[0]) for end in ppi_mean_ci(truth[:2000], said[:2000], said[2000:], alpha=0.05))
    assert corrected.high - corrected.low == pytest.approx(high - low, rel=0.02)
    assert corrected.low == pytest.approx(low, abs=0.001)


def test_kappa_is_that_of_statsmodels() -> None:
    said, truth = drawn(4)
    table = [[((truth == row) & (said == column)).sum() for column in (0, 1)] for row in (0, 1)]
    assert error_rates(judged(said, truth)).kappa == pytest.approx(cohens_kappa(np.array(table)).kappa)


def test_weighted_kappa_sensitivity_and_specificity_are_those_of_the_answers_that_labels_stand_for() -> None:
    """40 of 100 judged hits and 50 of 400 others are labelled: 30 hits and 4 missed ones stand for 75 and 32."""
    said = np.repeat([1, 0], [100, 400])
    truth = np.concatenate([np.repeat([1, 0], [30, 70]), np.repeat([1, 0], [4, 396])])
    labelled = np.concatenate([np.arange(40), np.arange(100, 150)])
    errors = error_rates(judged(said, truth, labelled, np.repeat([100 / 40, 400 / 50], [40, 50])))
    assert errors.kappa == pytest.approx(cohens_kappa(np.array([[368, 25], [32, 75]])).kappa)
    assert some(errors.sensitivity).rate == pytest.approx(75 / 107)
    assert some(errors.specificity).rate == pytest.approx(368 / 393)


# --- formulas --------------------------------------------------------------------------------------------------------


def error(rate: float, size: float) -> ErrorRate:
    interval = wilson_interval(rate * size, size)
    assert interval is not None
    return ErrorRate(rate, interval.low, interval.high, size)


@pytest.mark.parametrize(
    ("hits", "answers", "found", "positives", "rejected", "negatives"),
    [(90, 1000, 68, 80, 114, 120), (29, 96, 34, 40, 51, 60), (400, 500, 99, 100, 45, 50), (6, 100, 17, 20, 76, 80)],
)
def test_rogan_gladen_interval_is_that_of_lee_et_al(
    hits: int, answers: int, found: int, positives: int, rejected: int, negatives: int
) -> None:
    """From the counts, by Lang and Reiczigel's steps: half of z squared, or one, is added to either side of each."""
    half = Z**2 / 2
    p = (hits + half) / (answers + 2 * half)
    finds, rejects = (found + 1) / (positives + 2), (rejected + 1) / (negatives + 2)
    rate = (p - (1 - rejects)) / (finds - (1 - rejects))
    var_p = p * (1 - p) / (answers + 2 * half)
    var_finds = finds * (1 - finds) / (positives + 2)
    var_rejects = rejects * (1 - rejects) / (negatives + 2)
    error_of_rate = math.sqrt(var_p + rate**2 * var_finds + (1 - rate) ** 2 * var_rejects) / (finds + rejects - 1)
    middle = rate + 4 * half * (rate * var_finds - (1 - rate) * var_rejects)
    ends = [min(1.0, max(0.0, middle + sign * Z * error_of_rate)) for sign in (-1, 1)]
    corrected = rogan_gladen(
        hits / answers, answers, error(found / positives, positives), error(rejected / negatives, negatives)
    )
    assert corrected is not None
    assert [corrected.low, corrected.high] == pytest.approx(ends)
    raw = (hits / answers + rejected / negatives - 1) / (found / positives + rejected / negatives - 1)
    assert corrected.rate == pytest.approx(max(0.0, raw))
    assert corrected.low <= corrected.rate <= corrected.high


def test_a_judge_no_better_than_chance_gives_no_corrected_rate() -> None:
    assert rogan_gladen(0.3, 100, error(0.4, 50), error(0.6, 50)) is None
    assert rogan_gladen(0.3, 100, error(0.3, 50), error(0.5, 50)) is None
    barely = rogan_gladen(0.3, 100, error(0.6, 10), error(0.6, 10))
    assert barely is not None
    assert (barely.low, barely.high) == (0.0, 1.0)


def test_a_judge_that_smoothing_puts_at_chance_leaves_everything_open() -> None:
    """2 of 2 and 1 of 6 are above it; with one success and one failure added, 3/4 and 2/8 are not."""
    corrected = rogan_gladen(0.5, 100, error(1.0, 2), error(1 / 6, 6))
    assert corrected is not None
    assert (corrected.low, corrected.high) == (0.0, 1.0)


def test_without_a_labelled_hit_there_is_no_sensitivity_and_zero_is_not_certain() -> None:
    answers = judged(np.repeat([1, 0], [10, 190]), np.zeros(200), np.concatenate([np.arange(10), np.arange(100, 150)]))
    errors = error_rates(answers)
    assert errors.sensitivity is None
    assert some(errors.specificity).rate < 1
    corrected = prediction_powered(answers)
    assert corrected is not None
    assert corrected.rate == 0
    assert corrected.low == 0
    assert 0.05 < corrected.high < 0.1  # about 3 of 50


def test_what_has_no_label_is_not_corrected() -> None:
    said, truth = np.repeat([1, 0], [20, 80]), np.zeros(100)
    assert prediction_powered(judged(said, truth, np.arange(30, 60))) is None
    assert prediction_powered(judged(said, truth, np.arange(10))) is None
    assert prediction_powered(judged(said, truth, np.empty(0, int))) is None
    assert error_rates(judged(said, truth, np.arange(30, 60))) == Errors(None, None, None)


def test_a_judge_that_says_one_thing_and_labels_of_all_leave_the_plain_interval() -> None:
    truth = np.repeat([1, 0], [7, 93])
    corrected, wilson = prediction_powered(judged(np.zeros(100), truth)), wilson_interval(7, 100)
    assert corrected is not None
    assert wilson is not None
    assert (corrected.rate, corrected.low, corrected.high) == pytest.approx((0.07, wilson.low, wilson.high), abs=2e-3)


def test_alike_answers_to_one_prompt_widen_the_interval() -> None:
    random = np.random.default_rng(11)
    spread = simulated(random, 0.3, Design(alike=0.5, hits=200, near=50, others=200))
    alone = JudgedSample(**{**spread.__dict__, "prompts": np.arange(len(spread.said))})
    clustered, independent = prediction_powered(spread), prediction_powered(alone)
    assert clustered is not None
    assert independent is not None
    assert clustered.high - clustered.low > 1.3 * (independent.high - independent.low)
    assert effective_size(spread.said, np.ones(1200), spread.prompts) < 600
    assert effective_size(spread.said, np.ones(1200), np.arange(1200)) > 1190


def test_effective_size_follows_weights_and_a_borrowed_correlation() -> None:
    same, prompts = np.zeros(40), np.repeat(np.arange(10), 4)
    assert effective_size(same, np.ones(40), np.arange(40)) == 40
    assert effective_size(same, np.repeat([1.0, 9.0], [20, 20]), np.arange(40)) == pytest.approx(200**2 / (20 + 1620))
    assert effective_size(same, np.ones(40), prompts) == pytest.approx(10)
    assert effective_size(same, np.ones(40), prompts, correlation=0.0) == pytest.approx(40)
    assert correlation_within_prompts(np.repeat([1.0, 0.0], [20, 20]), prompts) == pytest.approx(1.0)
    assert correlation_within_prompts(np.tile([1.0, 0.0], 20), prompts) == 0
    assert correlation_within_prompts(same, prompts) == 1


def test_labels_to_halve_halves_the_interval() -> None:
    random = np.random.default_rng(12)
    design = Design(answers=20_000, prompts=20_000, alike=0, hits=40, near=20, others=60)
    corrected = prediction_powered(simulated(random, 0.3, design))
    assert corrected is not None
    more = labels_to_halve(corrected, 120, 19_880)
    assert more is not None
    times = (120 + more) / 120
    wider = design._replace(hits=round(40 * times), near=round(20 * times), others=round(60 * times))
    again = prediction_powered(simulated(random, 0.3, wider))
    assert again is not None
    assert again.high - again.low == pytest.approx((corrected.high - corrected.low) / 2, rel=0.15)


def test_labels_cannot_halve_what_comes_from_the_answers() -> None:
    assert labels_to_halve(Corrected(0.2, 0.1, 0.3, 0.002, 0.008), 100, 1000) is None
    assert labels_to_halve(Corrected(0.2, 0.1, 0.3, 0.01, 0.0), 100, 299) is None
    assert labels_to_halve(Corrected(0.2, 0.1, 0.3, 0.01, 0.0), 100, 300) == 300
