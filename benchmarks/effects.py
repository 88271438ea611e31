"""Simulated effects of a condition, which may be carried by few questions."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from benchmarks.populations import CONCENTRATED, Floats, Population
from evals.statistics.intervals import paired_effect
from evals.statistics.these_questions import effect_on_these_questions

_BASE, _FEW, _UP, _DOWN = 0.3, 0.1, 0.6, -0.1


def effects_held(
    population: Population, base: float, prompts: int, answers: int, number: int, sign: int = 1
) -> tuple[float, float]:
    """The shares of `number` seeded runs whose interval holds the mean effect: on these questions, and on others like
    them. Effects on questions are drawn from the population, of what there is room for above the `base` rate. With the
    `sign` -1 it is the baseline that has them."""
    rng = np.random.default_rng([prompts, answers, 3])
    drawn = population.draw(rng, (number, prompts)) * (1 - base)
    return _held(rng, drawn, base, answers, population.mean * (1 - base), sign)


def opposed_effects_held(prompts: int, answers: int, number: int) -> tuple[float, float]:
    """The same where most questions go down a little from 30%, and the few that carry the effect far up."""
    rng = np.random.default_rng([prompts, answers, 4])
    drawn = np.where(rng.random((number, prompts)) < _FEW, _UP, _DOWN)
    return _held(rng, drawn, _BASE, answers, _FEW * _UP + (1 - _FEW) * _DOWN)


def _held(
    rng: np.random.Generator, drawn: Floats, base: float, answers: int, mean: float, sign: int = 1
) -> tuple[float, float]:
    number, prompts = drawn.shape
    counted = np.full(prompts, float(answers))
    here = elsewhere = 0
    for effects in drawn:
        sides = [rng.binomial(answers, rates).astype(float) for rates in (base + effects, np.full(prompts, base))]
        hits, others = sides[::sign]
        found = effect_on_these_questions(hits, counted, others, counted)
        wider = paired_effect(hits, counted, others, counted)
        assert found is not None
        assert wider is not None
        here += found.interval.low <= sign * effects.mean() <= found.interval.high
        elsewhere += wider.interval.low <= sign * mean <= wider.interval.high
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
    mean = 100 * (_FEW * _UP + (1 - _FEW) * _DOWN)
    for prompts, answers in ((8, 100), (20, 100), (60, 10), (60, 100)):
        shares = " | ".join(f"{100 * share:.1f}" for share in opposed_effects_held(prompts, answers, 500))
        name = f"{100 * _DOWN:+.0f} points, a tenth of the questions {100 * _UP:+.0f}, mean {mean:.1f}"
        yield f"| {100 * _BASE:g}% | {name} | {prompts} × {answers} | {shares} |"
