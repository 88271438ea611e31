"""Simulated differences in differences (`evals.statistics.experiments.interaction`): coverage, and false positives."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.populations import CONCENTRATED, Floats, Population
from evals.statistics.experiments.interaction import Arms, interaction

SIZES = ((8, 100), (44, 10), (60, 100))
_OFF = 0.02
"""Rates without the trigger, in the model and in its base."""


class Found(NamedTuple):
    """Shares of runs: whose interval holds the difference of the two effects on these questions and on questions like
    them, and, where both effects are the same, with a p-value below 0.05 for each."""

    same: float
    new: float
    false_same: float
    false_new: float


def found_differences(population: Population, questions: int, answers: int, number: int) -> Found:
    """`number` seeded runs. The model's effect on a question is drawn from the population and the base's is nothing;
    and then the base's is the same as the model's, question by question."""
    rng = np.random.default_rng([questions, answers, 7])
    held, false = np.zeros(2), np.zeros(2)
    off = np.full(questions, _OFF)
    for effects in population.draw(rng, (number, questions)) * (1 - _OFF):
        found = _drawn(rng, (off + effects, off, off, off), answers)
        truths = (effects.mean(), population.mean * (1 - _OFF))
        held += [low <= truth <= high for (low, high, _), truth in zip(found, truths, strict=True)]
        alike = _drawn(rng, (off + effects, off, off + effects, off), answers)
        false += [p_value < 0.05 for _, _, p_value in alike]
    return Found(*(held / number).tolist(), *(false / number).tolist())


def _drawn(rng: np.random.Generator, rates: tuple[Floats, ...], answers: int) -> list[tuple[float, float, float]]:
    counted = np.full(len(rates[0]), float(answers))
    on, off, base_on, base_off = (rng.binomial(answers, some).astype(float) for some in rates)
    model, base = Arms(on, counted, off, counted), Arms(base_on, counted, base_off, counted)
    found = interaction(model, base, np.arange(len(counted)))
    assert found is not None
    assert found.new_questions is not None
    return [
        (tested.interval.low, tested.interval.high, tested.p_value)
        for tested in (found.same_questions, found.new_questions)
    ]


def interaction_lines(number: int = 500) -> Iterator[str]:
    """The table of docs/statistics.md."""
    yield (
        "| the model's effect by question | questions × answers | these questions | questions like these "
        "| equal effects: p < 0.05 |"
    )
    yield "|---|---|---|---|---|"
    for population in CONCENTRATED:
        for questions, answers in SIZES:
            found = found_differences(population, questions, answers, number)
            yield (
                f"| {population.name}, mean {100 * population.mean:.1f}% | {questions} × {answers} "
                f"| {100 * found.same:.1f} | {100 * found.new:.1f} "
                f"| {100 * found.false_same:.1f}, {100 * found.false_new:.1f} |"
            )
