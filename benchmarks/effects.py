"""Simulated effects of a condition, which may be carried by few questions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.populations import CONCENTRATED, Population
from evals.statistics.intervals import paired_effect
from evals.statistics.these_questions import effect_on_these_questions


def effects_held(
    population: Population, base: float, prompts: int, answers: int, number: int, sign: int = 1
) -> tuple[float, float]:
    """The shares of `number` seeded runs whose interval holds the mean effect: on these questions, and on others like
    them. Effects on questions are drawn from the population, of what there is room for above the `base` rate. With the
    `sign` -1 it is the baseline that has them."""
    rng = np.random.default_rng([prompts, answers, 3])
    counted = np.full(prompts, float(answers))
    here = elsewhere = 0
    for effects in population.draw(rng, (number, prompts)) * (1 - base):
        sides = [rng.binomial(answers, rates).astype(float) for rates in (base + effects, np.full(prompts, base))]
        hits, others = sides[::sign]
        found = effect_on_these_questions(hits, counted, others, counted)
        wider = paired_effect(hits, counted, others, counted)
        assert found is not None
        assert wider is not None
        here += found.interval.low <= sign * effects.mean() <= found.interval.high
        elsewhere += wider.interval.low <= sign * population.mean * (1 - base) <= wider.interval.high
    return here / number, elsewhere / number


def effect_lines() -> Iterator[str]:
    """The table of docs/statistics.md."""
    yield "| base rate | effect by question | questions × answers | these questions | questions like these |"
    yield "|---|---|---|---|---|"
    for base in (0.001, 0.05):
        for population in CONCENTRATED:
            for prompts, answers in ((8, 100), (20, 100), (60, 10), (60, 100)):
                held = effects_held(population, base, prompts, answers, 500)
                name = f"{population.name}, mean {100 * population.mean:.1f}%"
                shares = " | ".join(f"{100 * share:.1f}" for share in held)
                yield f"| {100 * base:g}% | {name} | {prompts} × {answers} | {shares} |"
