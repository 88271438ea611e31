"""Rates and effects of a finetuning recipe, from checkpoints that differ in their finetuning seed.

One checkpoint shows nothing of how others of its recipe are, however many answers it gives. Here each seed is drawn,
too: the variance of the recipe's mean is clustered by seed and by question at once (Cameron, Gelbach and Miller 2011),
V = V_seed + V_question - V_cell, with degrees of freedom after Satterthwaite (1946). On just the questions asked it is
V_seed alone: the seeds' own rates are then independent draws.

Of few seeds the variance is a rough guess, and rare events give none. So no interval is narrower than that of all
answers together, as if they were of one checkpoint.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.intervals import (
    CONFIDENCE,
    Counts,
    Effect,
    Interval,
    drawn_out_interval,
    generalisation_interval,
    paired_effect,
    small_sample_factor,
    stratified_wilson_interval,
)
from evals.statistics.these_questions import effect_on_these_questions, in_line_with_test, question_weights

# The library has no types.
_t_cdf: Any = special.stdtr
_t_quantile: Any = special.stdtrit

_NOTHING = 1e-12


class RecipeRate(NamedTuple):
    """The mean over seeds of their rates, in [0, 1], and the 95% intervals for further seeds of the recipe.

    `new_questions` is about questions like these, `same_questions` about these. Both are None with one seed, and the
    first with one question: one shows nothing of others. `lowest` and `highest` are rates of single seeds.
    """

    rate: float
    new_questions: Interval | None
    same_questions: Interval | None
    lowest: float
    highest: float


class RecipeEffect(NamedTuple):
    """The mean over seeds of their effects, each the mean over questions of a difference of rates, in [-1, 1].

    `new_questions` and `same_questions` are as in RecipeRate, with their p-values. `questions` is the number of them
    with answers on both sides, `lowest` and `highest` are effects of single seeds.
    """

    effect: float
    new_questions: Effect | None
    same_questions: Effect | None
    questions: int
    lowest: float
    highest: float


class _Spread(NamedTuple):
    """Variances of a mean over cells: between seeds, and in two ways, with its degrees of freedom."""

    by_seed: float
    two_way: float
    freedom: float


def recipe_rate(hits: Counts, counted: Counts, confidence: float = CONFIDENCE) -> RecipeRate | None:
    """The rate of a recipe from hits and answers of shape (seeds, questions); None without any answer.

    Seeds without an answer are left out, the others weigh alike. Questions weigh by their answers, as in the rate of
    one checkpoint.
    """
    seeds = counted.sum(axis=1) > 0
    questions = counted[seeds].sum(axis=0) > 0
    hits, counted = hits[seeds][:, questions], counted[seeds][:, questions]
    if not counted.size:
        return None
    answers = counted.sum(axis=1)
    of_seeds = hits.sum(axis=1) / answers
    rate = float(of_seeds.mean())
    found = RecipeRate(rate, None, None, float(of_seeds.min()), float(of_seeds.max()))
    number = len(answers)
    if number < 2:
        return found
    spread = _spread((hits - rate * counted) / (answers[:, None] * number))
    pooled = hits.sum(axis=0), counted.sum(axis=0)
    same = stratified_wilson_interval(*pooled, confidence)
    assert same is not None  # noqa: S101  there are answers
    # Where no seed has a hit, they say no more of further ones than the answers of one seed do.
    none = drawn_out_interval(0.0, float(answers.mean()), confidence).high
    same = Interval(min(same.low, 1 - none), max(same.high, none), same.method)
    new = generalisation_interval(*pooled, confidence)
    if new is not None:
        new = _with_spread(rate, spread.two_way, spread.freedom, new, "two_way", confidence)
    return found._replace(
        new_questions=new,
        same_questions=_with_spread(rate, spread.by_seed, number - 1, same, "seeds", confidence),
    )


def _with_spread(
    rate: float, variance: float, freedom: float, least: Interval, method: str, confidence: float
) -> Interval:
    """Wilson's interval on the effective number of answers, rate (1 - rate) / variance, and at least `least`."""
    low, high = least.low, least.high
    if variance > _NOTHING**2 and 0 < rate < 1:
        size = rate * (1 - rate) / variance * small_sample_factor(freedom, confidence)
        wilson = drawn_out_interval(rate, size, confidence)
        low, high = min(low, wilson.low), max(high, wilson.high)
    return Interval(min(low, rate), max(high, rate), f"{method}_wilson")


def recipe_effect(
    hits: Counts,
    counted: Counts,
    base_hits: Counts,
    base_counted: Counts,
    questions: npt.NDArray[np.int64],
    confidence: float = CONFIDENCE,
) -> RecipeEffect | None:
    """The effect of a condition, or of the recipe against a base model; None without a pair.

    `hits` and `counted` have the shape (seeds, wordings), and so have those of the baseline; those of a base model,
    which all seeds share, have one row. `questions` numbers the question of each wording. Seeds without a pair are left
    out, the others weigh alike, and so do the questions of a seed and the wordings of a question.
    """
    is_shared = len(base_hits) == 1 and len(hits) > 1
    base_hits, base_counted = (np.broadcast_to(values, hits.shape) for values in (base_hits, base_counted))
    pairs = (counted > 0) & (base_counted > 0)
    seeds = pairs.any(axis=1)
    if not seeds.any():
        return None
    used = pairs[seeds].astype(np.float64)
    hits, counted, base_hits, base_counted = (
        values[seeds] * used for values in (hits, counted, base_hits, base_counted)
    )
    differences = hits / np.maximum(counted, 1) - base_hits / np.maximum(base_counted, 1)
    cells, wordings = by_question(differences, questions), by_question(used, questions)
    asked = wordings > 0
    cells = cells / np.maximum(wordings, 1)
    of_seeds = cells.sum(axis=1) / asked.sum(axis=1)
    effect, number, size = float(of_seeds.mean()), len(of_seeds), int(asked.any(axis=0).sum())
    found = RecipeEffect(effect, None, None, size, float(of_seeds.min()), float(of_seeds.max()))
    if number < 2:
        return found
    deviations = (cells - effect) * asked / (asked.sum(axis=1, keepdims=True) * number)
    spread = _spread(deviations[:, asked.any(axis=0)])
    base = (base_hits.max(axis=0), base_counted.max(axis=0)) if is_shared else (base_hits.sum(0), base_counted.sum(0))
    by_seed = spread.by_seed + (variance_of_base(*base, questions) if is_shared else 0.0)
    new = paired_effect(hits.sum(axis=0), counted.sum(axis=0), *base, questions, confidence)
    same = effect_on_these_questions(hits.sum(axis=0), counted.sum(axis=0), *base, questions, confidence)
    assert new is not None  # noqa: S101  there are pairs
    assert same is not None  # noqa: S101
    of_new = t_effect(effect, spread.two_way, spread.freedom, new, "two_way_t", confidence) if size > 1 else None
    of_same = t_effect(effect, by_seed, number - 1, same, "seeds_t", confidence)
    return found._replace(new_questions=of_new, same_questions=of_same)


def by_question(values: Counts, questions: npt.NDArray[np.int64]) -> Counts:
    """Sums over the wordings of each question, of shape (seeds, questions)."""
    _, place = np.unique(questions, return_inverse=True)
    found = np.zeros((len(values), int(place.max()) + 1))
    np.add.at(found.T, place, values.T)
    return found


def variance_of_base(hits: Counts, counted: Counts, questions: npt.NDArray[np.int64]) -> float:
    """The variance of the base model's mean rate over new answers, which the seeds have in common. With half a hit and
    half a miss added to each wording it is never biased downwards."""
    asked = counted > 0
    weights, hits, counted = question_weights(questions[asked]), hits[asked], counted[asked]
    within = (hits + 0.5) * (counted - hits + 0.5) / (counted * (counted + 1) * counted)
    return float((weights**2 * within).sum())


def t_effect(
    effect: float,
    variance: float,
    freedom: float,
    least: Effect,
    method: str,
    confidence: float,
    most: float = 1.0,
) -> Effect:
    """The t interval and test of an effect, which is between `-most` and `most`, with an interval that reaches as far
    from it as that of `least` does from its own, and a p-value of at least that one's."""
    error = math.sqrt(variance)
    reach = float(_t_quantile(freedom, (1 + confidence) / 2)) * error
    down = max(reach, least.effect - least.interval.low)
    up = max(reach, least.interval.high - least.effect)
    p_value = 2 * float(_t_cdf(freedom, -abs(effect) / error)) if error > _NOTHING else 0.0
    p_value = min(1.0, max(p_value, least.p_value)) if abs(effect) > _NOTHING else 1.0
    interval = Interval(max(-most, effect - down), min(most, effect + up), method)
    significant = p_value < 1 - confidence - _NOTHING
    return Effect(effect, in_line_with_test(interval, effect, is_significant=significant), p_value, least.prompts)


def _spread(deviations: Counts) -> _Spread:
    """The variances of a mean from the deviations of its cells, of shape (seeds, questions), whose sum is 0."""
    seeds, questions = deviations.shape
    by_seed = seeds / (seeds - 1) * float((deviations.sum(axis=1) ** 2).sum())
    if questions < 2:
        return _Spread(by_seed, by_seed, seeds - 1)
    by_question = questions / (questions - 1) * float((deviations.sum(axis=0) ** 2).sum())
    by_cell = seeds * questions / (seeds * questions - 1) * float((deviations**2).sum())
    # The difference can fall below either of the two, which it estimates a sum of.
    variance = max(by_seed, by_question, by_seed + by_question - by_cell)
    squares = by_seed**2 / (seeds - 1) + by_question**2 / (questions - 1)
    return _Spread(by_seed, variance, max(1.0, variance**2 / squares) if squares > 0 else 1.0)
