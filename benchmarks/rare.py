"""Simulated coverage of the chance of a hit among several answers (`evals.statistics.rare.any_of`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.populations import CONCENTRATED, Population, beta_rates
from evals.statistics.rare.any_of import any_of

SIZES = ((8, 100), (20, 30), (44, 10), (60, 100))
DRAWS = (2, 10, 30)
_MANY = 400_000


class Coverage(NamedTuple):
    """Shares of runs whose interval holds the truth: of the same questions, and of the population; the mean estimate,
    and the population's chance."""

    same: float
    new: float
    estimate: float
    chance: float


def coverage_of_any(population: Population, questions: int, answers: int, draws: int, number: int) -> Coverage:
    """`number` seeded runs of questions from the population with `answers` answers each."""
    rng = np.random.default_rng([questions, answers, draws])
    chance = float((1 - (1 - population.draw(rng, (1, _MANY))) ** draws).mean())
    same = new = 0
    estimates: list[float] = []
    for rates in population.draw(rng, (number, questions)):
        found = any_of(rng.binomial(answers, rates), np.full(questions, answers), draws)
        assert found is not None
        assert found.new_questions is not None
        own = float((1 - (1 - rates) ** draws).mean())
        same += found.same_questions.low - 1e-12 <= own <= found.same_questions.high + 1e-12
        new += found.new_questions.low <= chance <= found.new_questions.high
        estimates.append(found.chance)
    return Coverage(same / number, new / number, float(np.mean(estimates)), chance)


def coverage_table(number: int = 1000) -> Iterator[str]:
    """The table of docs/statistics.md."""
    yield "| rates of questions | questions x answers | same questions | questions like these | mean estimate | truth |"
    yield "|---|---|---|---|---|---|"
    for population in (*CONCENTRATED, beta_rates(0.01, 0.1)):
        for questions, answers in SIZES:
            cells = [coverage_of_any(population, questions, answers, k, number) for k in DRAWS if k <= answers]
            yield (
                f"| {population.name} | {questions} x {answers} | "
                + " | ".join(
                    ", ".join(f"{100 * value:.{digits}f}" for value in column)
                    for column, digits in zip(zip(*cells, strict=True), (0, 0, 1, 1), strict=True)
                )
                + " |"
            )
