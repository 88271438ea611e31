"""Simulated coverage of the difference in log-odds over questions (`evals.statistics.log_odds`)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.populations import Floats
from evals.statistics.log_odds import mean_log_odds

QUESTIONS = (8, 12, 44, 100, 224)
THOUGHTS = 20
"""Thoughts of a question and condition: ten in each option order."""
_FEW, _MOVED = 0.1, 5.0
_AGAINST = -0.2
"""What a trigger does to the other questions: any text moves log-odds a little."""
_TURNED, _TURN = 0.01, 12.0
"""The share of thoughts that turn the choice, and by how many log-odds."""


class Differences(NamedTuple):
    """Differences of questions in log-odds: how they are drawn, (runs, questions) of them, and their mean."""

    name: str
    draw: Callable[[np.random.Generator, tuple[int, int]], Floats]
    mean: float


def _few_move(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    return np.where(rng.random(size) < _FEW, _MOVED, 0.0)


def _few_move_against(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    return np.where(rng.random(size) < _FEW, _MOVED, rng.normal(_AGAINST, 0.1, size))


def _over_thoughts(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    noise: Floats = rng.normal(0, 1, (2, *size, THOUGHTS)).mean(axis=-1, dtype=np.float64)
    return rng.normal(1, 0.5, size) + noise[1] - noise[0]


def _rare_turns(rng: np.random.Generator, size: tuple[int, int]) -> Floats:
    """As many thoughts turn under the trigger as the mean says, and none without it."""
    return rng.normal(1, 0.1, size) + _TURN * rng.binomial(THOUGHTS, _TURNED, size) / THOUGHTS


POPULATIONS = (
    Differences("normal, spread 0.5 around 1", lambda rng, size: rng.normal(1, 0.5, size), 1.0),
    Differences("skewed: exponential around 1", lambda rng, size: rng.exponential(1, size), 1.0),
    Differences("one question in 10 moves by 5, the others not at all", _few_move, _FEW * _MOVED),
    Differences(
        "one in 10 moves by 5, the others by -0.2, spread 0.1",
        _few_move_against,
        _FEW * _MOVED + (1 - _FEW) * _AGAINST,
    ),
    Differences("normal, after 20 thoughts of spread 1", _over_thoughts, 1.0),
    Differences("spread 0.1 around 1, and 1 of 100 thoughts turns the choice", _rare_turns, 1.0 + _TURNED * _TURN),
)


def coverage_of_difference(population: Differences, questions: int, number: int) -> float:
    """The share of `number` seeded runs whose interval holds the mean difference."""
    rng = np.random.default_rng([questions, POPULATIONS.index(population)])
    held = 0
    for values in population.draw(rng, (number, questions)):
        found = mean_log_odds([float(value) for value in values])
        assert found is not None
        assert found.low is not None
        assert found.high is not None
        held += found.low - 1e-12 <= population.mean <= found.high + 1e-12
    return held / number


def coverage_lines(number: int = 500) -> Iterator[str]:
    """The table of docs/statistics.md."""
    yield f"| differences of questions | {' | '.join(f'{questions} questions' for questions in QUESTIONS)} |"
    yield f"|---{'|---' * len(QUESTIONS)}|"
    for population in POPULATIONS:
        shares = (coverage_of_difference(population, questions, number) for questions in QUESTIONS)
        yield f"| {population.name} | {' | '.join(f'{100 * share:.1f}%' for share in shares)} |"
