"""Find the questions and samples that reach a goal, and their cost."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import NamedTuple

from evals.analysis.sample_size.pilot import AvailableQuestions, PilotKey, PilotUsage
from evals.analysis.sample_size.result import Bill, CellPlan, Goal, Option, Pilot
from evals.statistics.limit_sample_size import (
    answers_for_below,
    below_limit,
    fixed_questions_rate,
    questions_for_within,
    within_limit,
)
from evals.statistics.sample_size import (
    Components,
    Parts,
    detectable_effect,
    expected_width,
    parts_at_effect,
    questions_for_effect,
    questions_for_width,
)

SAMPLES = (1, 2, 5, 10, 20)
"""The samples per question that are compared, besides the fewest with which the available questions suffice."""
MOST_SAMPLES = 200
NO_END = 1e9
"""Draws per question that reduce the variance within questions to nothing."""


# --- one cell ---------------------------------------------------------------------------------------------------------


class SampleYield(NamedTuple):
    """`questions` is the share of questions with any counted draw, `draws` the counted share of their draws."""

    questions: float
    draws: float

    def answered(self, draws: float) -> float:
        """The share of questions with a counted draw, at `draws` draws each."""
        return self.questions * (1 - (1 - self.draws) ** draws)

    def counted(self, draws: float) -> float:
        """The expected counted draws of a question that has any."""
        return draws * self.draws / (1 - (1 - self.draws) ** draws)


@dataclass(frozen=True)
class Solver:
    """The questions that a cell needs and the goal that it reaches, for any number of samples."""

    goal: Goal
    place: PilotKey
    metric: str
    pilot: Pilot
    components: Components
    sample_yield: SampleYield
    usages: dict[PilotKey, PilotUsage]
    questions_there_are: int
    available: AvailableQuestions
    notes: tuple[str, ...]
    baseline: str | None

    def asked(self, samples: int) -> int:
        """The questions to ask at `samples` samples each."""
        return self._to_ask(self._needed(samples * self.pilot.orders, safe=False), samples)

    def safely_asked(self, samples: int) -> int | None:
        """The questions that suffice even at the upper bounds of variance or rate; None if no number does."""
        if self.goal.kind == "below" and self._fixed(safe=True)[0] >= self.goal.size:
            return None
        draws = samples * self.pilot.orders
        return self._to_ask(max(self._needed(draws, safe=False), self._needed(draws, safe=True)), samples)

    def _to_ask(self, needed: int, samples: int) -> int:
        return math.ceil(needed / self.sample_yield.answered(samples * self.pilot.orders) - 1e-9)

    def _needed(self, draws: float, *, safe: bool) -> int:
        goal, components, counted = self.goal, self.components, self.sample_yield.counted(draws)
        if goal.kind == "within":
            return questions_for_within(*self._fixed(safe=safe), counted, goal.size, goal.power)
        if goal.kind == "below":
            answers = answers_for_below(self._fixed(safe=safe)[0], goal.size, goal.power)
            return max(2, math.ceil(answers / counted - 1e-9))
        if goal.kind == "width":
            rate, parts = _safe_rate(components) if safe else (components.mean, components.parts)
            return questions_for_width(rate, parts, counted, goal.size)
        return questions_for_effect(self._variance(goal.size, counted, safe=safe), goal.size, goal.power)

    def _fixed(self, *, safe: bool) -> tuple[float, Parts]:
        """The rate on just the questions asked and its variance: the pilot's, or at the end of its 90% interval."""
        return fixed_questions_rate(self.pilot.k, self.pilot.n, self.components, safe=safe)

    def _variance(self, effect: float, counted: float, *, safe: bool) -> float:
        components = self.components
        if not safe:
            return parts_at_effect(components, components.parts, effect, components.parts.share).variance(counted)
        return max(parts_at_effect(components, parts, effect, 1.0).variance(counted) for parts in components.bounds)

    def reach(self, questions: int, samples: float) -> float | None:
        """The width, smallest detectable effect or smallest limit with `questions` questions; None if above 1."""
        draws = samples * self.pilot.orders
        usable = math.floor(questions * self.sample_yield.answered(draws) + 1e-9)
        if usable < 2:
            return None
        counted = self.sample_yield.counted(draws)
        if self.goal.kind == "within":
            return within_limit(*self._fixed(safe=False), usable, counted, self.goal.power)
        if self.goal.kind == "below":
            return below_limit(self._fixed(safe=False)[0], math.floor(usable * counted), self.goal.power)
        if self.goal.kind == "width":
            return expected_width(self.components.mean, self.components.parts, usable, counted)
        return detectable_effect(lambda effect: self._variance(effect, counted, safe=False), usable, self.goal.power)

    def bill(self, samples: int, questions: int) -> Bill:
        return bill_for(self.usages.values(), questions * samples * self.pilot.orders)

    def plan(self) -> CellPlan:
        available_count = self.questions_there_are
        options: list[Option] = []
        for samples in menu(self.asked, available_count):
            number, safe = self.asked(samples), self.safely_asked(samples)
            options.append(
                Option(
                    samples,
                    number,
                    safe,
                    self.bill(samples, number),
                    None if safe is None else self.bill(samples, safe),
                    self.reach(available_count, samples),
                    number <= available_count,
                )
            )
        return CellPlan(
            *self.place[:4],
            self.baseline,
            self.place.trigger,
            self.metric,
            self.pilot,
            available_count,
            self.reach(available_count, NO_END),
            tuple(_mark_cheapest(options)),
            self.notes,
        )


def menu(asked: Callable[[int], int], available_count: int) -> list[int]:
    """SAMPLES, and the fewest samples with which the available questions suffice."""
    fewest = fewest_samples(asked, available_count)
    return sorted({*SAMPLES, *([fewest] if fewest else [])})


def fewest_samples(asked: Callable[[int], int], available_count: int) -> int | None:
    """The fewest samples with which the available questions suffice, None if more than MOST_SAMPLES."""
    low, high = 0, MOST_SAMPLES
    if asked(high) > available_count:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        low, high = (low, middle) if asked(middle) <= available_count else (middle, high)
    return high


def _mark_cheapest(options: Sequence[Option]) -> Iterator[Option]:
    """Mark the option with the fewest calls among those with enough questions."""
    cheapest = min((option for option in options if option.enough), key=lambda option: option.bill.calls, default=None)
    for option in options:
        yield replace(option, cheapest=option is cheapest)


def _safe_rate(components: Components) -> tuple[float, Parts]:
    """The rate at the upper bound of the variance of single answers, on the pilot's side of 0.5."""
    if components.no_spread:
        return components.mean, components.parts
    parts = components.bounds[0]
    distance = math.sqrt(max(0.0, 0.25 - parts.between - parts.within))
    return (0.5 - distance if components.mean <= 0.5 else 0.5 + distance), parts


def bill_for(usages: Iterable[PilotUsage], trials: int) -> Bill:
    """The cost of `trials` trials in each of the cells."""
    names = ("prompt", "completion", "judge_prompt", "judge_completion")
    sums: dict[str, float | None] = dict.fromkeys(names, 0.0)
    model = judge = 0.0
    for usage in usages:
        judged = trials * usage.judge_calls
        model, judge = model + trials, judge + judged
        for name in names:
            tokens, so_far = usage.tokens_of(name, judged if name.startswith("judge") else trials), sums[name]
            sums[name] = None if tokens is None or so_far is None else so_far + tokens
    token_fields = {f"{name}_tokens": None if value is None else round(value) for name, value in sums.items()}
    return Bill(round(model), math.ceil(judge - 1e-9), **token_fields)
