"""Two finetuning recipes against each other, and a recipe's effect against that of its base model.

What differs is a rate or the effect of a condition, the mean over the seeds of a recipe. The recipes answer the same
questions, each compared with itself, and their seeds are drawn independently. So the variance is V_seed of the one
plus V_seed of the other, plus V_question of the difference, less V_cell, which is in both: seeds crossed with
questions. On just the questions asked it is V_seed of both alone, as in Welch's t-test of the seeds' own means.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evals.statistics.experiments.interaction import Arms, interaction
from evals.statistics.experiments.seeds import by_question, t_effect, variance_of_base
from evals.statistics.intervals import CONFIDENCE, Counts, Effect, Interval, paired_effect
from evals.statistics.these_questions import effect_on_these_questions


class SeedAnswers(NamedTuple):
    """Hits and answers of the seeds of a recipe, or of one base model, each of shape (seeds, wordings): of a rate, or
    of an effect with those under the baseline."""

    hits: Counts
    counted: Counts
    base_hits: Counts | None = None
    base_counted: Counts | None = None


class RecipeDifference(NamedTuple):
    """The means over seeds of both sides, `ours` and `theirs`, and the first less the second: for further seeds and
    questions like these, and for further seeds on these questions. Rates differ by -1 to 1, effects by -2 to 2.

    Both are None if a recipe has one seed, and the first with one question.
    """

    ours: float
    theirs: float
    difference: float
    new_questions: Effect | None
    same_questions: Effect | None
    questions: int
    seeds: int
    other_seeds: int


class _Side(NamedTuple):
    """The value of each seed on each question, with a share of 0 where it has none: `deviations` from the mean, which
    add up to 0, are parts of that mean."""

    mean: float
    deviations: Counts
    asked: npt.NDArray[np.bool_]

    @property
    def seeds(self) -> int:
        return len(self.deviations)

    @property
    def by_seed(self) -> float:
        """The variance of the mean between seeds."""
        return self.seeds / (self.seeds - 1) * float((self.deviations.sum(axis=1) ** 2).sum())

    @property
    def by_cell(self) -> float:
        """The variance of the mean that is neither the seeds' nor the questions'."""
        seeds, questions = self.deviations.shape
        rows, columns = self.deviations.mean(axis=1, keepdims=True), self.deviations.mean(axis=0, keepdims=True)
        left = (self.deviations - rows - columns) * self.asked
        return seeds * questions / ((seeds - 1) * (questions - 1)) * float((left**2).sum())


def recipe_difference(
    ours: SeedAnswers,
    theirs: SeedAnswers,
    questions: npt.NDArray[np.int64],
    confidence: float = CONFIDENCE,
    *,
    theirs_is_base: bool = False,
) -> RecipeDifference | None:
    """The difference over the wordings that both sides answered; None without one. `questions` numbers the question of
    each wording. Seeds weigh alike, and so do questions and the wordings of one; seeds without an answer are left out.

    With `theirs_is_base` they are of one model, which is itself and no draw from a recipe: only its answers are drawn
    anew. No interval is narrower than that of all answers together, as if each side were one checkpoint.
    """
    here = np.logical_and(*(_answered(side).sum(axis=0) > 0 for side in (ours, theirs)))
    if not here.any():
        return None
    ours, theirs, questions = _only(ours, here), _only(theirs, here), questions[here]
    own, other = _side(ours, questions), _side(theirs, questions)
    difference, number = own.mean - other.mean, own.deviations.shape[1]
    found = RecipeDifference(own.mean, other.mean, difference, None, None, number, own.seeds, other.seeds)
    drawn = [own] if theirs_is_base else [own, other]
    if any(side.seeds < 2 for side in drawn):
        return found
    new, same = _as_checkpoints(ours, theirs, questions, confidence)
    parts = [(side.by_seed, side.seeds - 1) for side in drawn]
    noise = _variance_of_answers(theirs, questions) if theirs_is_base else 0.0
    most = 1.0 if ours.base_hits is None else 2.0
    by_seed = sum(part for part, _ in parts)
    freedom = _freedom(parts)
    of_same = t_effect(difference, by_seed + noise, freedom, same, "seeds_t", confidence, most)
    if new is None or number < 2:
        return found._replace(same_questions=of_same)
    deviations = own.deviations.sum(axis=0) - other.deviations.sum(axis=0)
    by_questions = number / (number - 1) * float((deviations**2).sum())
    both = by_seed + by_questions - sum(side.by_cell for side in drawn)
    parts.append((by_questions, number - 1))
    variance = max(by_seed, by_questions, both)
    of_new = t_effect(difference, variance, _freedom(parts, variance), new, "two_way_t", confidence, most)
    return found._replace(new_questions=_at_least(of_new, of_same), same_questions=of_same)


def _at_least(effect: Effect, same: Effect) -> Effect:
    """The effect for new questions, no surer than for the same: where few seeds happen to be alike, the degrees of
    freedom of the two-way variance are too many."""
    low, high = min(effect.interval.low, same.interval.low), max(effect.interval.high, same.interval.high)
    return effect._replace(
        interval=Interval(low, high, effect.interval.method), p_value=max(effect.p_value, same.p_value)
    )


def _freedom(parts: list[tuple[float, int]], variance: float | None = None) -> float:
    """Degrees of freedom of a variance from those of its parts (Satterthwaite); by default of their sum."""
    total = sum(part for part, _ in parts) if variance is None else variance
    squares = sum(part**2 / degrees for part, degrees in parts)
    return max(1.0, total**2 / squares) if squares > 0 else 1.0


def _answered(side: SeedAnswers) -> npt.NDArray[np.bool_]:
    counted = side.counted > 0
    return counted if side.base_counted is None else counted & (side.base_counted > 0)


def _only(side: SeedAnswers, wordings: npt.NDArray[np.bool_]) -> SeedAnswers:
    """The answers to these wordings, of seeds that have any, and 0 of 0 where a seed has no value."""
    answered = _answered(side)[:, wordings]
    seeds = answered.any(axis=1)

    def cut(counts: Counts) -> Counts:
        return (counts[:, wordings] * answered)[seeds]

    off = () if side.base_hits is None or side.base_counted is None else (cut(side.base_hits), cut(side.base_counted))
    return SeedAnswers(cut(side.hits), cut(side.counted), *off)


def _side(side: SeedAnswers, questions: npt.NDArray[np.int64]) -> _Side:
    answered = _answered(side)
    values = side.hits / np.maximum(side.counted, 1)
    if side.base_hits is not None and side.base_counted is not None:
        values = values - side.base_hits / np.maximum(side.base_counted, 1)
    sums, wordings = by_question(values * answered, questions), by_question(answered.astype(np.float64), questions)
    asked = wordings > 0
    cells = sums / np.maximum(wordings, 1)
    numbers = asked.sum(axis=1, keepdims=True)
    mean = float((cells.sum(axis=1, keepdims=True) / numbers).mean())
    return _Side(mean, (cells - mean) * asked / (numbers * len(cells)), asked)


def _as_checkpoints(
    ours: SeedAnswers, theirs: SeedAnswers, questions: npt.NDArray[np.int64], confidence: float
) -> tuple[Effect | None, Effect]:
    """The difference as if all answers of a side were of one checkpoint: on questions like these, and on these."""
    pooled = [counts.sum(axis=0) for side in (ours, theirs) for counts in side if counts is not None]
    if len(pooled) == len(Arms._fields):
        hits, counted, base_hits, base_counted = pooled
        new = paired_effect(hits, counted, base_hits, base_counted, questions, confidence)
        same = effect_on_these_questions(hits, counted, base_hits, base_counted, questions, confidence)
    else:
        found = interaction(Arms(*pooled[:4]), Arms(*pooled[4:]), questions, confidence)
        new, same = (None, None) if found is None else (found.new_questions, found.same_questions)
    assert same is not None  # noqa: S101  there are wordings that both answered
    return new, same


def _variance_of_answers(side: SeedAnswers, questions: npt.NDArray[np.int64]) -> float:
    """The variance over new answers of the mean of one model, which all seeds of a recipe are compared with."""
    found = variance_of_base(side.hits[0], side.counted[0], questions)
    if side.base_hits is not None and side.base_counted is not None:
        found += variance_of_base(side.base_hits[0], side.base_counted[0], questions)
    return found
