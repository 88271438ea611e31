"""Do the intervals hold what they promise? Seeded runs with known rates, each interval beside its target; more of them,
and the table of docs/statistics.md, with `make simulate`.

Rates of prompts are drawn from a beta distribution with an intra-class correlation of 0.3. `ci_*` is held against the
mean of that distribution (questions like these), `gen_*` against the mean rate of the questions drawn (just these).
"""

from __future__ import annotations

import numpy as np
import pytest

from benchmarks.simulate import CORRELATION, Runs, coverage, naive, rejections, runs
from evals.statistics.intervals import cluster_wilson_interval, paired_effect, stratified_wilson_interval

PROMPTS = (5, 10, 20, 100)
LEAST = 0.93
"""Nominal minus two points."""


@pytest.mark.parametrize("answers", [1, 4, 10])
@pytest.mark.parametrize("rate", [0.001, 0.01, 0.1, 0.5])
def test_intervals_cover_questions_like_these_and_just_these(rate: float, answers: int) -> None:
    for prompts in PROMPTS:
        made = runs(rate, prompts, answers, 1500)
        these_rates = made.rates.mean(axis=1)
        assert coverage(cluster_wilson_interval, made, rate) >= LEAST, ("questions like these", prompts)
        assert coverage(stratified_wilson_interval, made, these_rates) >= LEAST, ("these questions", prompts)


@pytest.mark.parametrize(
    ("rate", "answers", "prompts"), [(0.001, 10, 100), (0.01, 4, 20), (0.1, 10, 100), (0.5, 4, 20)]
)
def test_the_naive_normal_interval_does_not(rate: float, answers: int, prompts: int) -> None:
    made = runs(rate, prompts, answers, 2000)
    assert coverage(naive, made, rate) < 0.90
    if rate < 0.05:  # for just these questions it is as wrong where hits are rare
        assert coverage(naive, made, made.rates.mean(axis=1)) < 0.90


@pytest.mark.parametrize("correlation", [0.02, 0.1, 0.7])
def test_coverage_does_not_hang_on_how_much_questions_differ(correlation: float) -> None:
    for rate, prompts in ((0.01, 50), (0.1, 10), (0.3, 20)):
        made = runs(rate, prompts, 10, 1500, correlation)
        assert coverage(cluster_wilson_interval, made, rate) >= LEAST, (rate, prompts)
        assert coverage(stratified_wilson_interval, made, made.rates.mean(axis=1)) >= LEAST, (rate, prompts)


@pytest.mark.parametrize("prompts", [3, 5, 20])
def test_these_questions_are_covered_where_most_of_them_are_settled(prompts: int) -> None:
    # As after finetuning: one question in five nearly always hits, the others nearly never.
    rng = np.random.default_rng(prompts)
    for always, never in ((0.97, 0.003), (0.8, 0.05), (1.0, 0.0)):
        rates = np.where(np.arange(prompts) % 5 == 0, always, never) * np.ones((2000, 1))
        for answers in (1, 4, 10, 50):
            made = Runs(rates, rng.binomial(answers, rates).astype(float), np.full(prompts, float(answers)))
            assert coverage(stratified_wilson_interval, made, rates.mean(axis=1)) >= LEAST, (always, never, answers)


def test_prompts_with_unequal_numbers_of_answers_are_covered() -> None:
    rng = np.random.default_rng(7)
    for rate, prompts in ((0.01, 100), (0.1, 20), (0.5, 10)):
        size = 1 / CORRELATION - 1
        counted = np.where(np.arange(prompts) % 3 == 0, 8, 4)
        covered = 0
        for _ in range(1200):
            hits = rng.binomial(counted, rng.beta(rate * size, (1 - rate) * size, prompts)).astype(float)
            interval = cluster_wilson_interval(hits, counted.astype(float))
            assert interval is not None
            covered += interval.low <= rate <= interval.high
        assert covered / 1200 >= LEAST, (rate, prompts)


@pytest.mark.parametrize("prompts", [3, 5, 10, 20])
def test_an_effect_of_nothing_is_found_in_one_run_of_twenty_at_most(prompts: int) -> None:
    for rate in (0.01, 0.1, 0.5):
        for answers in (1, 4):
            assert rejections(runs(rate, prompts, answers, 1000), prompts) <= 0.07, (rate, answers)


@pytest.mark.parametrize(("base", "treated"), [(0.01, 0.03), (0.02, 0.07), (0.05, 0.1)])
@pytest.mark.parametrize(("prompts", "answers"), [(24, 1), (48, 4)])
def test_an_increase_of_rare_hits_is_not_missed(base: float, treated: float, prompts: int, answers: int) -> None:
    rng = np.random.default_rng([prompts, round(1000 * treated)])
    counted = np.full(prompts, float(answers))
    missed = 0
    for _ in range(400):
        hits, base_hits = (
            rng.binomial(answers, rng.beta(rate * 7 / 3, (1 - rate) * 7 / 3, prompts)).astype(float)
            for rate in (treated, base)
        )
        effect = paired_effect(hits, counted, base_hits, counted)
        assert effect is not None
        missed += effect.interval.high < treated - base
    assert missed / 400 <= 0.025 + 0.02, "the upper end decides what is called within"
