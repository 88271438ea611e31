"""Simulated nights against one baseline (`evals.statistics.online_discoveries`): what is said to differ, and how often
wrongly."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from benchmarks.populations import beta_rates
from evals.statistics.online_discoveries import online_discoveries
from evals.statistics.these_questions import effect_on_these_questions

NIGHTS = 60
RATES = beta_rates(0.1, 0.3)


class Discoveries(NamedTuple):
    """Over series of nights: the mean share of false ones among those found, the share of series with any false one,
    and the share found of those that differ (None where none does), by LORD++; and the last with p below 0.05, with its
    mean share of false ones."""

    false: float
    any_false: float
    found: float | None
    unadjusted_false: float
    unadjusted_found: float | None


def discoveries_of_nights(differing: float, change: float, questions: int, answers: int, number: int) -> Discoveries:
    """`number` seeded series of NIGHTS checkpoints. The share `differing` of them has rates that are higher by `change`
    of what there is room for. All are compared with the same answers of one baseline."""
    rng = np.random.default_rng([round(100 * differing), questions, answers])
    counted = np.full(questions, float(answers))
    rows: list[tuple[float, ...]] = []
    for rates in RATES.draw(rng, (number, questions)):
        base = rng.binomial(answers, rates).astype(float)
        differ = rng.random(NIGHTS) < differing
        p_values: list[float] = []
        for other in differ:
            hits = rng.binomial(answers, rates + (change * (1 - rates) if other else 0)).astype(float)
            tested = effect_on_these_questions(hits, counted, base, counted)
            assert tested is not None
            p_values.append(tested.p_value)
        row: list[float] = []
        for found in (np.array(online_discoveries(p_values)), np.array(p_values) < 0.05):
            false = float((found & ~differ).sum())
            row += [false / max(1, found.sum()), float(false > 0)]
            row.append(float((found & differ).sum() / max(1, differ.sum())))
        rows.append(tuple(row))
    means = np.mean(rows, axis=0).tolist()
    some = differing > 0
    return Discoveries(means[0], means[1], means[2] if some else None, means[3], means[5] if some else None)


def night_lines(number: int = 200) -> Iterator[str]:
    """The table of docs/nightly.md."""
    yield "| differ | questions × answers | false | series with any | found | p < 0.05: false | found |"
    yield "|---|---|---|---|---|---|---|"
    for differing, change in ((0.0, 0.0), (0.1, 0.1), (0.5, 0.1)):
        for questions, answers in ((8, 100), (44, 10)):
            row = discoveries_of_nights(differing, change, questions, answers, number)
            shares = ("–" if share is None else f"{100 * share:.1f}%" for share in row)
            yield f"| {100 * differing:.0f}% | {questions} × {answers} | {' | '.join(shares)} |"
