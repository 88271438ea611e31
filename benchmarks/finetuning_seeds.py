"""Simulated recipes: checkpoints that differ in their finetuning seed, and what intervals say of the recipe's rate."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evals.statistics.experiments.seeds import RecipeEffect, RecipeRate, recipe_effect, recipe_rate
from evals.statistics.intervals import Interval, generalisation_interval

Floats = npt.NDArray[np.float64]
QUESTION_SD = 1.5
"""Standard deviation of the questions' rates, in logits; that of seeds is given."""
_NODES, _WEIGHTS = np.polynomial.hermite_e.hermegauss(80)


class Design(NamedTuple):
    """Questions, answers to each, the mean rate under the trigger, and the standard deviation of seeds in logits. The
    mean rate without it is a quarter of that, and seeds differ half as much."""

    questions: int
    answers: int
    rate: float
    seed_sd: float


class Coverage(NamedTuple):
    """The shares of draws whose interval holds the truth: of one seed's rate, of all seeds pooled by question, of the
    recipe's rate and effect for new questions and for the same ones; and the two rates' median widths."""

    one_seed: float
    pooled: float
    rate_new: float
    rate_same: float
    effect_new: float
    effect_same: float
    width_new: float
    width_same: float


def coverage_of_recipes(design: Design, seeds: int, draws: int) -> Coverage:
    """The coverage over `draws` recipes of `seeds` checkpoints."""
    rng = np.random.default_rng([design.questions, round(1000 * design.rate), round(10 * design.seed_sd), seeds])
    on, off = middle_logit(design.rate, design.seed_sd), middle_logit(design.rate / 4, design.seed_sd / 2)
    shape = (seeds, design.questions)
    counted, numbers = np.full(shape, float(design.answers)), np.arange(design.questions)
    found: list[tuple[float, ...]] = []
    for _ in range(draws):
        by_question = rng.normal(0, QUESTION_SD, (1, design.questions))
        rates = rate_of(on + rng.normal(0, design.seed_sd, (seeds, 1)) + by_question)
        base_rates = rate_of(off + rng.normal(0, design.seed_sd / 2, (seeds, 1)) + by_question)
        hits, base = (rng.binomial(design.answers, chances).astype(float) for chances in (rates, base_rates))
        rate, effect = recipe_rate(hits, counted), recipe_effect(hits, counted, base, counted, numbers)
        assert rate is not None
        assert effect is not None
        here = mean_over_seeds(on, by_question, design.seed_sd)
        change = here - mean_over_seeds(off, by_question, design.seed_sd / 2)
        one, pooled = generalisation_interval(hits[0], counted[0]), generalisation_interval(hits.sum(0), counted.sum(0))
        found.append((*_held(design, here, change, one, pooled, rate, effect), *_widths(rate)))
    shares = np.array(found)
    return Coverage(*shares[:, :6].mean(axis=0).tolist(), *np.median(shares[:, 6:], axis=0).tolist())


def _held(
    design: Design,
    here: float,
    change: float,
    one: Interval | None,
    pooled: Interval | None,
    rate: RecipeRate,
    effect: RecipeEffect,
) -> tuple[float, ...]:
    effects = [found and found.interval for found in (effect.new_questions, effect.same_questions)]
    intervals = (one, pooled, rate.new_questions, rate.same_questions, *effects)
    truths = (design.rate, design.rate, design.rate, here, 0.75 * design.rate, change)
    return tuple(
        float(interval is not None and interval.low <= truth <= interval.high)
        for interval, truth in zip(intervals, truths, strict=True)
    )


def _widths(rate: RecipeRate) -> tuple[float, float]:
    assert rate.new_questions is not None
    assert rate.same_questions is not None
    return rate.new_questions.high - rate.new_questions.low, rate.same_questions.high - rate.same_questions.low


def rate_of(logits: Floats) -> Floats:
    return np.asarray(1 / (1 + np.exp(-logits)), dtype=np.float64)


def mean_over_seeds(middle: float, by_question: Floats, seed_sd: float) -> float:
    """The mean rate of a recipe on these questions."""
    rates = rate_of(middle + seed_sd * _NODES[:, None] + by_question)
    return float((_WEIGHTS @ rates).mean() / _WEIGHTS.sum())


def middle_logit(rate: float, seed_sd: float) -> float:
    """The middle of the logits whose mean rate is `rate`."""
    spread, low, high = math.hypot(QUESTION_SD, seed_sd), -30.0, 30.0
    for _ in range(80):
        middle = (low + high) / 2
        mean = float(_WEIGHTS @ rate_of(middle + spread * _NODES) / _WEIGHTS.sum())
        low, high = (middle, high) if mean < rate else (low, middle)
    return low


def recipe_lines(draws: int = 300) -> Iterator[str]:
    """The table of docs/statistics.md."""
    yield (
        "| questions × answers, rate, seed sd | seeds | one seed | pooled | rate: new, same questions "
        "| effect: new, same | widths |"
    )
    yield "|---|---|---|---|---|---|---|"
    for questions, answers in ((44, 10), (8, 100)):
        for rate in (0.02, 0.1, 0.3):
            for seed_sd in (0.3, 0.6, 1.0):
                for seeds in (3, 5, 8):
                    found = coverage_of_recipes(Design(questions, answers, rate, seed_sd), seeds, draws)
                    held = [f"{100 * share:.0f}" for share in found]
                    yield (
                        f"| {questions} × {answers}, {100 * rate:.0f}%, {seed_sd} | {seeds} | {held[0]} | {held[1]} "
                        f"| {held[2]}, {held[3]} | {held[4]}, {held[5]} | {held[6]}, {held[7]} |"
                    )
