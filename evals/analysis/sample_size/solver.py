"""The fewest samples that reach a goal, and what they cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from evals.analysis.sample_size.pilot import Known, PilotKey, PilotUsage
from evals.analysis.sample_size.result import Bill, CellPlan, Goal, Option, Pilot
from evals.statistics.sample_size import (
    Components,
    Parts,
    detectable_effect,
    expected_width,
    parts_at_effect,
    questions_for_effect,
    questions_for_width,
)
from evals.trials.condition import BASELINE

SAMPLES = (1, 2, 5, 10, 20)
"""Samples a question that are compared. One more stands among them where it is the fewest that makes do with the
questions there are."""
MOST_SAMPLES = 200
NO_END = 1e9
"""Draws a question that take all of the within part away."""


# --- one cell ---------------------------------------------------------------------------------------------------------


class SampleYield(NamedTuple):
    """What comes of asking: `questions` is the share of questions that anything is counted of, `draws` the share of
    their draws that is counted."""

    questions: float
    draws: float

    def answered(self, draws: float) -> float:
        """The share of questions with a counted draw, of those asked so often."""
        return self.questions * (1 - (1 - self.draws) ** draws)

    def counted(self, draws: float) -> float:
        """The counted draws to expect of a question that has one."""
        return draws * self.draws / (1 - (1 - self.draws) ** draws)


@dataclass(frozen=True)
class Solver:
    """What a cell needs and reaches, for any number of samples."""

    goal: Goal
    place: PilotKey
    metric: str
    pilot: Pilot
    found: Components
    kept: SampleYield
    usages: dict[PilotKey, PilotUsage]
    questions_there_are: int
    known: Known
    notes: tuple[str, ...]

    def asked(self, samples: int, *, safe: bool = False) -> int:
        """Questions to ask with so many samples each."""
        draws = samples * self.pilot.orders
        counted = self.kept.counted(draws)
        needed = self._needed(counted, safe=False)
        if safe:
            needed = max(needed, self._needed(counted, safe=True))
        return math.ceil(needed / self.kept.answered(draws) - 1e-9)

    def _needed(self, counted: float, *, safe: bool) -> int:
        goal, found = self.goal, self.found
        if goal.kind == "width":
            rate, parts = _safe_rate(found) if safe else (found.mean, found.parts)
            return questions_for_width(rate, parts, counted, goal.size)
        return questions_for_effect(self._variance(goal.size, counted, safe=safe), goal.size, goal.power)

    def _variance(self, effect: float, counted: float, *, safe: bool) -> float:
        found = self.found
        if not safe:
            return parts_at_effect(found, found.parts, effect, found.parts.share).variance(counted)
        return max(parts_at_effect(found, parts, effect, 1.0).variance(counted) for parts in found.bounds)

    def reach(self, questions: int, samples: float) -> float | None:
        """The width, or the smallest effect found, with so many questions asked; None where there is none below 1."""
        draws = samples * self.pilot.orders
        usable = math.floor(questions * self.kept.answered(draws) + 1e-9)
        if usable < 2:
            return None
        counted = self.kept.counted(draws)
        if self.goal.kind == "width":
            return expected_width(self.found.mean, self.found.parts, usable, counted)
        return detectable_effect(lambda effect: self._variance(effect, counted, safe=False), usable, self.goal.power)

    def bill(self, samples: int, questions: int) -> Bill:
        return bill_for(self.usages.values(), questions * samples * self.pilot.orders)

    def plan(self) -> CellPlan:
        there_are = self.questions_there_are
        options: list[Option] = []
        for samples in menu(self.asked, there_are):
            number, safe = self.asked(samples), self.asked(samples, safe=True)
            options.append(
                Option(
                    samples,
                    number,
                    safe,
                    self.bill(samples, number),
                    self.bill(samples, safe),
                    self.reach(there_are, samples),
                    number <= there_are,
                )
            )
        return CellPlan(
            *self.place[:4],
            BASELINE if self.goal.kind == "effect" else None,
            self.place.trigger,
            self.metric,
            self.pilot,
            there_are,
            self.reach(there_are, NO_END),
            tuple(_mark_cheapest(options)),
            self.notes,
        )


def menu(asked: Callable[[int], int], there_are: int) -> list[int]:
    """SAMPLES, and the fewest samples for which the questions there are suffice, where that is another number."""
    fewest = fewest_samples(asked, there_are)
    return sorted({*SAMPLES, *([fewest] if fewest else [])})


def fewest_samples(asked: Callable[[int], int], there_are: int) -> int | None:
    low, high = 0, MOST_SAMPLES
    if asked(high) > there_are:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if asked(middle) <= there_are else (middle, high)
    return high


def _mark_cheapest(options: Sequence[Option]) -> Iterator[Option]:
    """The option with the fewest calls is marked, of those for which there are enough questions."""
    cheapest = min((one for one in options if one.enough), key=lambda one: one.bill.calls, default=None)
    for one in options:
        yield replace(one, cheapest=one is cheapest)


def _safe_rate(found: Components) -> tuple[float, Parts]:
    """The rate of the upper bound of the variance of single answers, on the pilot's side of a half."""
    if found.no_spread:
        return found.mean, found.parts
    parts = found.bounds[0]
    distance = math.sqrt(max(0.0, 0.25 - parts.between - parts.within))
    return (0.5 - distance if found.mean <= 0.5 else 0.5 + distance), parts


def bill_for(usages: Iterable[PilotUsage], trials: int) -> Bill:
    """What so many trials in each of the cells cost."""
    names = ("prompt", "completion", "judge_prompt", "judge_completion")
    sums: dict[str, float | None] = dict.fromkeys(names, 0.0)
    model = judge = 0.0
    for usage in usages:
        judged = trials * usage.judge_calls
        model, judge = model + trials, judge + judged
        for name in names:
            tokens, so_far = usage.tokens_of(name, judged if name.startswith("judge") else trials), sums[name]
            sums[name] = None if tokens is None or so_far is None else so_far + tokens
    tokens_of = {f"{name}_tokens": None if value is None else round(value) for name, value in sums.items()}
    return Bill(round(model), math.ceil(judge - 1e-9), **tokens_of)
