"""Simulated decisions of comparisons (`evals.statistics.noninferiority`): what is decided, and how often wrongly."""

from __future__ import annotations

import math
from collections.abc import Iterator

import numpy as np

from benchmarks.populations import CORRELATION
from evals.statistics.noninferiority import Pairs, decide


def pairs(rng: np.random.Generator, rate: float, increase: float = 0.0, prompts: int = 40, samples: int = 4) -> Pairs:
    """One cell of a comparison: prompts with different rates, with `samples` answers on both sides."""
    spread = 1 / CORRELATION - 1
    base = rng.beta(rate * spread, (1 - rate) * spread, prompts)
    ours = base + increase * (1 - base) / (1 - rate)
    counted = np.full(prompts, float(samples))
    hits, base_hits = rng.binomial(samples, ours) * 1.0, rng.binomial(samples, base) * 1.0
    return Pairs(hits, counted, base_hits, counted, np.arange(prompts))


def at_the_limit(
    rng: np.random.Generator, rate: float, prompts: int, samples: int, limit: float
) -> tuple[Pairs, float]:
    """A cell whose true change on its questions is the limit, or as near to it as rates up to 1 allow; and that change.

    By turns all questions change alike, in proportion to their room, or a few carry the change.
    """
    base, shape = np.full(prompts, rate), rng.integers(3)
    if shape == 0:
        change = np.full(prompts, limit)
    elif shape == 1:
        spread = 1 / CORRELATION - 1
        base = rng.beta(rate * spread, (1 - rate) * spread, prompts)
        change = limit * prompts * (1 - base) / (1 - base).sum()
    else:
        carrying = min(prompts, max(1, math.ceil(limit * prompts / (0.9 - rate))))
        change = np.where(np.arange(prompts) < carrying, limit * prompts / carrying, 0.0)
    ours = np.minimum(base + change, 1.0)
    counted = np.full(prompts, float(samples))
    hits, base_hits = rng.binomial(samples, ours) * 1.0, rng.binomial(samples, base) * 1.0
    return Pairs(hits, counted, base_hits, counted, np.arange(prompts)), float((ours - base).mean())


def decisions_at_the_limit(rate: float, prompts: int, samples: int, limit: float, draws: int) -> dict[str, float]:
    """The share of each decision where the change is exactly what is allowed."""
    rng = np.random.default_rng([2026, prompts, samples, round(1000 * rate)])
    cells = [at_the_limit(rng, rate, prompts, samples, limit) for _ in range(draws)]
    found = [decide([cell], [change])[0].decision for cell, change in cells]
    return {word: found.count(word) / draws for word in ("regression", "unclear", "within")}


def false_regressions(rate: float, prompts: int, samples: int, limit: float, draws: int, cells: int = 6) -> float:
    """The share of comparisons of unchanged cells with any false regression."""
    rng = np.random.default_rng(2026)
    false = 0
    for _ in range(draws):
        found = decide([pairs(rng, rate, prompts=prompts, samples=samples) for _ in range(cells)], [limit] * cells)
        false += any(cell.decision == "regression" for cell in found)
    return false / draws


def comparison_lines() -> Iterator[str]:
    yield "| base rate, questions × samples | L = 0: any of 6 unchanged | one cell | +5 = L: regression | within |"
    yield "|---|---|---|---|---|"
    for rate, prompts, samples in (
        *((0.01, 8, 100), (0.1, 8, 100), (0.3, 8, 100), (0.01, 44, 10), (0.1, 44, 10), (0.3, 44, 10)),
        *((0.01, 100, 4), (0.1, 100, 4), (0.3, 100, 4), (0.1, 8, 20), (0.3, 3, 5)),
    ):
        shares = [false_regressions(rate, prompts, samples, 0.0, 500)]
        shares.append(false_regressions(rate, prompts, samples, 0.0, 2000, cells=1))
        found = decisions_at_the_limit(rate, prompts, samples, 0.05, 4000)
        shares += [found["regression"], found["within"]]
        named = f"{rate:.2f}, {prompts} × {samples}"
        yield f"| {named} | {' | '.join(f'{100 * share:.1f}%' for share in shares)} |"


def change_lines() -> Iterator[str]:
    yield "| change | questions | regression | unclear | within |"
    yield "|---|---|---|---|---|"
    rng = np.random.default_rng(2026)
    for increase, sizes in (
        (0.2, (20, 40)),
        (0.1, (40, 100, 200)),
        (0.06, (100,)),
        (0.05, (100,)),
        (0.0, (40, 100, 400)),
    ):
        for prompts in sizes:
            found = [decide([pairs(rng, 0.1, increase, prompts)], [0.05])[0].decision for _ in range(1000)]
            shares = (found.count(word) / len(found) for word in ("regression", "unclear", "within"))
            named = f"+{100 * increase:.0f} points" if increase else "none"
            yield f"| {named} | {prompts} | {' | '.join(f'{100 * share:.1f}%' for share in shares)} |"
