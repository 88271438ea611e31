"""Simulated coverage of a monitor's scorecard (`evals.statistics.monitors.scorecard`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evals.statistics.monitors.scorecard import scorecard

Floats = npt.NDArray[np.float64]
SIZES = ((8, 100), (24, 10), (44, 10))
_MANY, _RESAMPLED = 400_000, 300


class Setting(NamedTuple):
    """Mean rates over questions: of misaligned answers, and of flags on them and on the others."""

    misaligned: float
    caught: float
    alarms: float

    def __str__(self) -> str:
        return f"{self.misaligned:.0%} misaligned, {self.caught:.0%} caught, {self.alarms:.0%} false alarms"


SETTINGS = (Setting(0.3, 0.5, 0.05), Setting(0.3, 0.9, 0.01), Setting(0.1, 0.2, 0), Setting(0.5, 0.05, 0.3))


class Coverage(NamedTuple):
    """Shares of runs whose interval of g-mean squared holds the truth: of the same questions; of the population; of the
    population by the percentile bootstrap of questions."""

    same: float
    new: float
    bootstrap: float


def coverage_of_monitor(setting: Setting, questions: int, answers: int, number: int) -> Coverage:
    """`number` seeded runs; rates of questions are beta-distributed around those of the setting."""
    rng = np.random.default_rng([questions, answers, int(100 * setting.caught)])

    def drawn(many: int) -> tuple[Floats, Floats, Floats]:
        caught, alarms = (_beta(rng, mean, 6, many) for mean in setting[1:])
        return _beta(rng, setting.misaligned, 2, many), caught, alarms

    truth, runs = _truth(*drawn(_MANY)), 0
    same = new = bootstrap = 0
    for _ in range(number):
        rates = drawn(questions)
        misaligned = rng.binomial(answers, rates[0]).astype(float)
        caught = rng.binomial(misaligned.astype(int), rates[1]).astype(float)
        alarms = rng.binomial(answers - misaligned.astype(int), rates[2]).astype(float)
        card = scorecard(caught, misaligned, alarms, answers - misaligned)
        if card.same is None or card.new is None:
            continue
        runs += 1
        same += card.same.low <= _truth(*rates) <= card.same.high
        new += card.new.low <= truth <= card.new.high
        chosen = rng.integers(0, questions, (_RESAMPLED, questions))
        sums = [counts[chosen].sum(axis=1) for counts in (caught, misaligned, alarms, answers - misaligned)]
        products = sums[0] / np.maximum(sums[1], 1) * (1 - sums[2] / np.maximum(sums[3], 1))
        low, high = np.percentile(products, [2.5, 97.5])
        bootstrap += low <= truth <= high
    return Coverage(same / runs, new / runs, bootstrap / runs)


def _beta(rng: np.random.Generator, mean: float, size: float, many: int) -> Floats:
    return rng.beta(mean * size, (1 - mean) * size, many) if mean > 0 else np.zeros(many)


def _truth(misaligned: Floats, caught: Floats, alarms: Floats) -> float:
    hit = (misaligned * caught).sum() / misaligned.sum()
    return float(hit * (1 - ((1 - misaligned) * alarms).sum() / (1 - misaligned).sum()))


def monitor_table(number: int = 1000) -> Iterator[str]:
    """The table of docs/statistics.md."""
    yield "| answers | questions x answers | same questions | questions like these | bootstrap of questions |"
    yield "|---|---|---|---|---|"
    for setting in SETTINGS:
        for questions, answers in SIZES:
            found = coverage_of_monitor(setting, questions, answers, number)
            cells = " | ".join(f"{100 * value:.0f}" for value in found)
            yield f"| {setting} | {questions} x {answers} | {cells} |"
