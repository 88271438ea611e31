"""Simulated coverage of AUROC and of what one monitor gains over another (`evals.statistics.monitors.ranking`)."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evals.statistics.monitors.ranking import Answers, Measures, gain, measures

Floats = npt.NDArray[np.float64]
SIZES = ((8, 100), (24, 10), (44, 10))
_FLAGGED_FROM = 50.0
_QUESTION_SD, _SHARED = 0.6, 0.3
"""How much questions shift scores, in units of the spread of scores of one question, and what of the variance of two
monitors' scores is the answer's own."""


class Setting(NamedTuple):
    """The mean share of misaligned answers, and how far two monitors score them above others, likewise."""

    misaligned: float
    first: float
    second: float

    def __str__(self) -> str:
        return f"{self.misaligned:.0%} misaligned, scores {self.first:g} and {self.second:g} apart"


SETTINGS = (Setting(0.3, 2.0, 1.2), Setting(0.1, 1.5, 1.5), Setting(0.3, 4.5, 1.0))


class Coverage(NamedTuple):
    """Shares of runs whose interval holds the truth, of the same questions and of the population: of the gain in TPR x
    TNR, of the gain in AUROC, and of the first monitor's AUROC."""

    product_same: float
    product_new: float
    auroc_gain_same: float
    auroc_gain_new: float
    auroc_same: float
    auroc_new: float


class _Population(NamedTuple):
    """Of each question the chance of a misaligned answer, and by monitor and kind the shift of its scores."""

    rates: Floats
    shifts: Floats

    @classmethod
    def drawn(cls, rng: np.random.Generator, setting: Setting, questions: int) -> _Population:
        rates = rng.beta(2 * setting.misaligned, 2 * (1 - setting.misaligned), questions)
        return cls(rates, rng.normal(0, _QUESTION_SD, (questions, 2, 2)))

    def answers(self, rng: np.random.Generator, setting: Setting, number: int) -> tuple[Answers, Floats]:
        """`number` answers to each question, and the scores of both monitors, in tens from 0 to 100."""
        question = np.repeat(np.arange(len(self.rates)), number)
        misaligned = rng.random(len(question)) < self.rates[question]
        noise = np.sqrt(1 - _SHARED) * rng.normal(size=(len(question), 2))
        noise += np.sqrt(_SHARED) * rng.normal(size=(len(question), 1))
        shift = self.shifts[question, :, misaligned.astype(int)]
        apart = misaligned[:, None] * np.array([setting.first, setting.second])
        return Answers(question, misaligned), np.clip(np.round(2 + 1.8 * (noise + shift + apart)), 0, 10) * 10


def _measured(answers: Answers, scores: Floats) -> tuple[Measures, Measures]:
    first, second = (measures(answers, scores[:, place], _FLAGGED_FROM)[1] for place in (0, 1))
    return first, second


def _values(population: _Population, rng: np.random.Generator, setting: Setting, number: int) -> Floats:
    """The gain in TPR x TNR and in AUROC, and the AUROC of the first, from `number` answers to each question."""
    first, second = _measured(*population.answers(rng, setting, number))
    if first.g_mean2 is None or second.g_mean2 is None or first.auroc is None or second.auroc is None:
        raise ValueError("all answers are of one kind")
    gains = (first.g_mean2.value - second.g_mean2.value, first.auroc.value - second.auroc.value)
    return np.array([*gains, first.auroc.value])


def coverage_of_gain(setting: Setting, questions: int, answers: int, number: int) -> Coverage:
    """`number` seeded runs of two monitors on the same answers."""
    rng = np.random.default_rng([questions, answers, int(100 * setting.misaligned), int(10 * setting.first)])
    truth = _values(_Population.drawn(rng, setting, 20_000), rng, setting, 30)
    held, made = np.zeros(6), 0
    for _ in range(number):
        population = _Population.drawn(rng, setting, questions)
        drawn, scores = population.answers(rng, setting, answers)
        first, second = _measured(drawn, scores)
        if first.g_mean2 is None or second.g_mean2 is None or first.auroc is None or second.auroc is None:
            continue
        here = _values(population, rng, setting, 20 * answers)
        product = gain(drawn, first.g_mean2, second.g_mean2)
        ranks = gain(drawn, first.auroc, second.auroc)
        if product.new is None or ranks.new is None or first.auroc.new is None:
            continue
        made += 1
        found = (product, ranks, first.auroc)
        for place, entry in enumerate(found):
            assert entry.new is not None
            held[2 * place] += entry.same.low <= here[place] <= entry.same.high
            held[2 * place + 1] += entry.new.low <= truth[place] <= entry.new.high
    return Coverage(*(held / made).tolist())


def gain_table(number: int = 1000) -> Iterator[str]:
    """The table of docs/statistics.md."""
    yield "| answers | questions x answers | gain in TPR x TNR | gain in AUROC | AUROC |"
    yield "|---|---|---|---|---|"
    for setting in SETTINGS:
        for questions, answers in SIZES:
            found = coverage_of_gain(setting, questions, answers, number)
            pairs = (f"{100 * found[place]:.0f}, {100 * found[place + 1]:.0f}" for place in (0, 2, 4))
            yield f"| {setting} | {questions} x {answers} | {' | '.join(pairs)} |"
