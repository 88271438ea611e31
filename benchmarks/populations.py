"""Populations of questions, for simulated coverage: how their rates are spread."""

from __future__ import annotations

from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Floats = npt.NDArray[np.float64]
CORRELATION = 0.3
"""Intra-class correlation of the answers to one question."""


class Population(NamedTuple):
    """A population of questions: its name, a draw of rates of questions, and their mean."""

    name: str
    draw: Callable[[np.random.Generator, tuple[int, int]], Floats]
    mean: float


def beta_rates(rate: float, correlation: float) -> Population:
    size = 1 / correlation - 1
    name = f"beta, rate {rate:g}, correlation {correlation:g}"
    return Population(name, lambda rng, shape: rng.beta(rate * size, (1 - rate) * size, shape), rate)


def logit_normal_rates(middle: float, deviation: float) -> Population:
    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
        return 1 / (1 + np.exp(-rng.normal(middle, deviation, shape)))

    nodes, weights = np.polynomial.hermite_e.hermegauss(99)
    mean = float((weights / (1 + np.exp(-(middle + deviation * nodes)))).sum() / weights.sum())
    return Population(f"logit-normal, sd {deviation:g}", draw, mean)


def carried_rates(name: str, share: float, lowest: float, highest: float, others: float) -> Population:
    """A `share` of questions with uniform rates from `lowest` to `highest`, and the rate `others` for all others."""

    def draw(rng: np.random.Generator, shape: tuple[int, int]) -> Floats:
        carriers = rng.random(shape) < share
        return np.where(carriers, rng.uniform(lowest, highest, shape), others)

    return Population(name, draw, share * (lowest + highest) / 2 + (1 - share) * others)


POPULATIONS = (
    *(beta_rates(rate, correlation) for rate in (0.01, 0.1, 0.4) for correlation in (0.1, 0.3, 0.6)),
    beta_rates(0.2, 0.9),
    logit_normal_rates(-5.6, 2.0),
    carried_rates("a tenth of the questions carry it", 0.1, 0.1, 0.6, 0.001),
    carried_rates("a quarter of the questions carry it", 0.25, 0.05, 0.6, 0.002),
)
CONCENTRATED = (*POPULATIONS[-3:], beta_rates(0.1, 0.3))
