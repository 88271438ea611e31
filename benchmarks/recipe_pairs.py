"""Simulated pairs of recipes, and recipes with their base: what intervals say of how their rates and effects differ.

Both sides answer the same questions, which are in part hard for the one and easy for the other.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.finetuning_seeds import QUESTION_SD, Floats, mean_over_seeds, middle_logit, rate_of
from evals.statistics.experiments.recipe_differences import RecipeDifference, SeedAnswers, recipe_difference
from evals.statistics.intervals import Effect

SHARED = 0.7
"""The correlation of a question's logits between the two sides."""


class Pair(NamedTuple):
    """Questions, answers to each, the rates of both sides under the trigger (a quarter of it without), and the standard
    deviation of seeds in logits, half of it without the trigger."""

    questions: int
    answers: int
    rate: float
    other_rate: float
    seed_sd: float


class Held(NamedTuple):
    """The shares of draws whose interval holds the true difference, for new questions and the same ones: of the rates
    of two recipes, of their effects, and of the effects of a recipe and of its base. Then the median widths for the
    rates, and the share of rates that are shown to differ for new questions."""

    rates_new: float
    rates_same: float
    effects_new: float
    effects_same: float
    base_new: float
    base_same: float
    width_new: float
    width_same: float
    shown: float


class _Sampled(NamedTuple):
    """The answers of a side, and its true rate and effect on its questions."""

    answers: SeedAnswers
    rate: float
    effect: float


def coverage_of_differences(pair: Pair, seeds: int, draws: int) -> Held:
    """The coverage over `draws` pairs of recipes with `seeds` checkpoints each."""
    rng = np.random.default_rng([pair.questions, *(round(1000 * rate) for rate in pair[2:4]), seeds, 7])
    numbers = np.arange(pair.questions)
    found: list[tuple[float, ...]] = []
    for _ in range(draws):
        first = rng.normal(0, QUESTION_SD, (1, pair.questions))
        second = SHARED * first + math.sqrt(1 - SHARED**2) * rng.normal(0, QUESTION_SD, (1, pair.questions))
        ours, theirs = _side(rng, pair, pair.rate, first, seeds), _side(rng, pair, pair.other_rate, second, seeds)
        base = _side(rng, pair, pair.other_rate, second, 1, seed_sd=0.0)
        rates = recipe_difference(_rates(ours), _rates(theirs), numbers)
        effects = recipe_difference(ours.answers, theirs.answers, numbers)
        against = recipe_difference(ours.answers, base.answers, numbers, theirs_is_base=True)
        true = pair.rate - pair.other_rate
        row = [*_held(rates, true, ours.rate - theirs.rate), *_held(effects, 0.75 * true, ours.effect - theirs.effect)]
        found.append((*row, *_held(against, 0.75 * true, ours.effect - base.effect), *_widths(rates), _shown(rates)))
    shares = np.array(found)
    widths = np.median(shares[:, 6:8], axis=0).tolist()
    return Held(*shares[:, :6].mean(axis=0).tolist(), *widths, float(shares[:, 8].mean()))


def _side(
    rng: np.random.Generator, pair: Pair, rate: float, by_question: Floats, seeds: int, seed_sd: float | None = None
) -> _Sampled:
    spread = pair.seed_sd if seed_sd is None else seed_sd
    counted = np.full((seeds, pair.questions), float(pair.answers))
    hits: list[Floats] = []
    true: list[float] = []
    for mean, deviation in ((rate, spread), (rate / 4, spread / 2)):
        middle = middle_logit(mean, deviation)
        chances = rate_of(middle + rng.normal(0, 1, (seeds, 1)) * deviation + by_question)
        hits.append(rng.binomial(pair.answers, chances).astype(float))
        true.append(mean_over_seeds(middle, by_question, deviation))
    return _Sampled(SeedAnswers(hits[0], counted, hits[1], counted), true[0], true[0] - true[1])


def _rates(side: _Sampled) -> SeedAnswers:
    return SeedAnswers(side.answers.hits, side.answers.counted)


def _both(found: RecipeDifference | None) -> tuple[Effect, Effect]:
    assert found is not None
    assert found.new_questions is not None
    assert found.same_questions is not None
    return found.new_questions, found.same_questions


def _held(found: RecipeDifference | None, new: float, same: float) -> tuple[float, float]:
    elsewhere, here = _both(found)
    return (
        float(elsewhere.interval.low <= new <= elsewhere.interval.high),
        float(here.interval.low <= same <= here.interval.high),
    )


def _widths(found: RecipeDifference | None) -> Iterator[float]:
    yield from (effect.interval.high - effect.interval.low for effect in _both(found))


def _shown(found: RecipeDifference | None) -> float:
    return float(_both(found)[0].p_value < 0.05)


def difference_lines(draws: int = 300) -> Iterator[str]:
    """The table of docs/statistics.md."""
    yield (
        "| questions × answers, rates, seed sd | seeds each | rates: new, same questions | effects: new, same "
        "| against a base: new, same | widths | shown |"
    )
    yield "|---|---|---|---|---|---|---|"
    for questions, answers in ((44, 10), (8, 100)):
        for rate, other in ((0.02, 0.02), (0.1, 0.1), (0.3, 0.3), (0.3, 0.1)):
            for seed_sd in (0.3, 1.0):
                for seeds in (3, 5):
                    held = coverage_of_differences(Pair(questions, answers, rate, other, seed_sd), seeds, draws)
                    words = [f"{100 * share:.0f}" for share in held]
                    cells = [", ".join(words[place : place + 2]) for place in range(0, len(words), 2)]
                    yield (
                        f"| {questions} × {answers}, {100 * rate:.0f}% and {100 * other:.0f}%, {seed_sd} | {seeds} | "
                        f"{' | '.join(cells)} |"
                    )
