"""Simulated error rates and power of what `emeval curve` says: trends, the onset, and which steps differ."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evals.statistics.e_process import Stream, bets_on
from evals.statistics.trends.onset import changes_from_first, onset
from evals.statistics.trends.ordered import Ordered, trend_of_questions_like_these, trend_on_these_questions

Floats = npt.NDArray[np.float64]
CORRELATION = 0.3
ABOVE = 0.05
METHODS = ("BH", "Holm", "e-BH")
"""Of finding the steps that differ from the first: by Benjamini and Hochberg, as emeval does; by Holm; and by e-values,
which need no assumption on how the tests depend on each other (Wang and Ramdas 2022)."""


class Course(NamedTuple):
    """How rates change over the steps: its name, and the change of a question's rate at each step, given its room and
    the number of steps, both as fractions."""

    name: str
    changes: Callable[[np.random.Generator, Floats, int], Floats]


def rates_of(rng: np.random.Generator, rate: float, questions: int) -> Floats:
    """Rates of questions around `rate`."""
    spread = 1 / CORRELATION - 1
    return rng.beta(rate * spread, (1 - rate) * spread, questions)


def _flat(_rng: np.random.Generator, rates: Floats, steps: int) -> Floats:
    return np.zeros((len(rates), steps))


def _wobbling(rng: np.random.Generator, rates: Floats, steps: int) -> Floats:
    """Each question for itself, from one step to the next, by a standard deviation of half a logit."""
    logits = np.log((rates + 1e-6) / (1 - rates + 1e-6))[:, None] + rng.normal(0, 0.5, (len(rates), steps))
    return 1 / (1 + np.exp(-logits)) - rates[:, None]


def _together(rng: np.random.Generator, rates: Floats, steps: int) -> Floats:
    """All questions together, by half a logit: in one training no test tells it from a rise."""
    logits = np.log((rates + 1e-6) / (1 - rates + 1e-6))[:, None] + rng.normal(0, 0.5, steps)
    return 1 / (1 + np.exp(-logits)) - rates[:, None]


def _turning(rng: np.random.Generator, rates: Floats, steps: int) -> Floats:
    """Half of the questions rise and the others fall alike."""
    signs = rng.permutation(np.where(np.arange(len(rates)) % 2, 1.0, -1.0))
    room = np.minimum(rates, 1 - rates)
    return signs[:, None] * room[:, None] * np.linspace(-1, 1, steps)[None, :]


def rising(by: float, since: float = 0.0) -> Callable[[np.random.Generator, Floats, int], Floats]:
    """All questions rise in proportion to their room, by `by` on average, from a share `since` of the steps on."""

    def changes(_rng: np.random.Generator, rates: Floats, steps: int) -> Floats:
        path = np.clip((np.linspace(0, 1, steps) - since) / (1 - since), 0, None)
        room = (1 - rates) / (1 - rates).mean()
        return by * room[:, None] * path[None, :]

    return changes


COURSES = (
    Course("flat", _flat),
    Course("each question wobbles", _wobbling),
    Course("half rise, half fall", _turning),
    Course("all wobble together", _together),
    Course("+5 points, steadily", rising(0.05)),
    Course("+10 points, steadily", rising(0.1)),
)


def table(rng: np.random.Generator, rate: float, shape: tuple[int, int, int], course: Course) -> tuple[Ordered, Floats]:
    """Answers to questions at steps (`shape`: questions, samples, steps), and the true rates."""
    questions, samples, steps = shape
    rates = rates_of(rng, rate, questions)
    true = np.clip(rates[:, None] + course.changes(rng, rates, steps), 0.0, 1.0)
    counted = np.full((questions, steps), samples)
    return Ordered(rng.binomial(counted, true), counted, np.arange(questions)), true


def trends_found(rate: float, shape: tuple[int, int, int], course: Course, draws: int) -> tuple[float, float]:
    """The share of draws with a trend at 0.05: on these questions, and for questions like these."""
    rng = np.random.default_rng([int(1000 * rate), *shape, len(course.name)])
    found = np.zeros(2)
    for _ in range(draws):
        made, _ = table(rng, rate, shape, course)
        for place, test in enumerate((trend_on_these_questions, trend_of_questions_like_these)):
            trend = test(made, permutations=999)
            found[place] += trend is not None and trend.p_value < 0.05
    return float(found[0] / draws), float(found[1] / draws)


class Onsets(NamedTuple):
    """Shares of draws: whose onset the interval holds, in which a rise is shown, whose estimate is the true step; and
    the mean number of steps from the earliest to the latest where one is shown."""

    held: float
    shown: float
    estimated: float
    width: float


def onsets(rate: float, shape: tuple[int, int, int], course: Course, draws: int) -> Onsets:
    rng = np.random.default_rng([7, int(1000 * rate), *shape])
    held = shown = estimated = 0
    widths: list[int] = []
    for _ in range(draws):
        made, true = table(rng, rate, shape, course)
        mean = (true - true[:, :1]).mean(axis=0)
        risen = np.flatnonzero(mean > ABOVE)
        at = int(risen[0]) if len(risen) else None
        found = onset(changes_from_first(made), ABOVE)
        last = shape[2]
        truth = last if at is None else at
        earliest, latest = (last if step is None else step for step in (found.earliest, found.latest))
        held += earliest <= truth <= latest
        shown += found.latest is not None
        estimated += found.estimate == at
        widths += [latest - earliest] if found.latest is not None else []
    return Onsets(held / draws, shown / draws, estimated / draws, float(np.mean(widths)) if widths else float("nan"))


def discoveries(rate: float, shape: tuple[int, int, int], changed: int, draws: int) -> dict[str, tuple[float, float]]:
    """The false discovery rate and the power at 0.05 of each method: the last `changed` steps are 6 points above the
    first."""
    rng = np.random.default_rng([9, int(1000 * rate), *shape, changed])
    last = shape[2] - changed
    course = Course("late", lambda _rng, rates, steps: _late(rates, steps, last))
    sums = {name: np.zeros(2) for name in METHODS}
    for _ in range(draws):
        made, _ = table(rng, rate, shape, course)
        for name, found in _found(made).items():
            is_true = [place + 1 >= last for place in found]
            false = (len(found) - sum(is_true)) / max(1, len(found))
            sums[name] += (false, sum(is_true) / changed if changed else 0.0)
    return {name: (float(both[0] / draws), float(both[1] / draws)) for name, both in sums.items()}


def _late(rates: Floats, steps: int, last: int) -> Floats:
    room = (1 - rates) / (1 - rates).mean()
    return 0.06 * room[:, None] * (np.arange(steps) >= last)[None, :]


def _found(made: Ordered) -> dict[str, list[int]]:
    changes = [change for change in changes_from_first(made) if change is not None]
    log_e = [log_e_value(made, group) for group in range(1, made.counted.shape[1])]
    adjusted = ([change.p_bh for change in changes], [change.p_holm for change in changes], e_bh(log_e))
    found = dict(zip(METHODS, adjusted, strict=True))
    return {name: [place for place, value in enumerate(rates) if value <= 0.05] for name, rates in found.items()}


def log_e_value(table: Ordered, group: int) -> float:
    """The logarithm of the e-value of a change between the first group and another: the capital of bets on a common
    change of the log-odds of every wording, of either sign, given each wording's hits in both. Its mean is exactly 1
    where nothing has changed."""
    both = [0, group]
    answered = (table.counted[:, both] > 0).all(axis=1)
    stream = Stream(table.hits[answered][:, both], table.counted[answered][:, both])
    bets = bets_on(stream).nights[0]
    return float(np.logaddexp.reduce(bets, axis=None)) - math.log(bets.size)


def e_bh(log_e: Sequence[float]) -> list[float]:
    """For each e-value the smallest false discovery rate at which e-BH (Wang and Ramdas 2022) finds it, in the given
    order; valid however the e-values depend on each other."""
    order = sorted(range(len(log_e)), key=lambda place: -log_e[place])
    number, least = len(log_e), 1.0
    found = [1.0] * number
    for rank in range(number, 0, -1):
        place = order[rank - 1]
        least = min(least, math.exp(min(0.0, math.log(number / rank) - log_e[place])))
        found[place] = least
    return found


SHAPES = ((8, 100, 5), (44, 10, 5), (24, 4, 10))


def trend_lines(draws: int = 300) -> Iterator[str]:
    header = " | ".join(f"{questions} × {samples}, {steps} steps" for questions, samples, steps in SHAPES)
    yield f"| course | base rate | {header} |"
    yield f"|---|---|{'---|' * len(SHAPES)}"
    for course in COURSES:
        for rate in (0.02, 0.2):
            cells = [trends_found(rate, shape, course, draws) for shape in SHAPES]
            shown = " | ".join(f"{100 * here:.1f}, {100 * others:.1f}" for here, others in cells)
            yield f"| {course.name} | {rate:g} | {shown} |"


def onset_lines(draws: int = 300) -> Iterator[str]:
    yield "| course | base rate | questions × samples, steps | holds it | shown | estimate is it | steps between |"
    yield "|---|---|---|---|---|---|---|"
    courses = (
        Course("flat", _flat),
        Course("+10 points, steadily", rising(0.1)),
        Course("+20 points, steadily", rising(0.2)),
        Course("+40 points, from the middle on", rising(0.4, 0.5)),
    )
    for course in courses:
        for rate in (0.02, 0.2):
            for shape in ((8, 100, 5), (44, 10, 5), (44, 10, 20)):
                found = onsets(rate, shape, course, draws)
                width = "–" if np.isnan(found.width) else f"{found.width:.1f}"
                name = f"{shape[0]} × {shape[1]}, {shape[2]}"
                shares = " | ".join(f"{100 * share:.1f}%" for share in found[:3])
                yield f"| {course.name} | {rate:g} | {name} | {shares} | {width} |"


def discovery_lines(draws: int = 300) -> Iterator[str]:
    names = [f"{what}, {name}" for what in ("false", "found") for name in METHODS]
    yield f"| base rate | questions × samples, steps | changed | {' | '.join(names)} |"
    yield f"|---|---|---{'|---' * len(names)}|"
    for rate in (0.02, 0.2):
        for shape, changed in (((8, 100, 21), 0), ((8, 100, 21), 5), ((44, 10, 21), 0), ((44, 10, 21), 5)):
            found = discoveries(rate, shape, changed, draws)
            false = " | ".join(f"{100 * found[name][0]:.1f}%" for name in METHODS)
            power = " | ".join(f"{100 * found[name][1]:.1f}%" if changed else "–" for name in METHODS)
            name = f"{shape[0]} × {shape[1]}, {shape[2]}"
            yield f"| {rate:g} | {name} | {changed} of {shape[2] - 1} | {false} | {power} |"
