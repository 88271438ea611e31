"""`python -m benchmarks.simulate [NAME...]`: simulated coverage of intervals and error rates of decisions.

Prints the Markdown tables of docs/statistics.md. Everything is seeded, and the tests have a short version of each
(`tests/statistics/test_coverage.py`, `tests/statistics/test_confidence_sequence.py`,
`tests/analysis/test_comparison.py`).
"""

from __future__ import annotations

import argparse
import math
import time
from collections.abc import Callable, Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evals.statistics.confidence_sequence import Capital
from evals.statistics.intervals import Interval, generalisation_interval, paired_effect, stratified_wilson_interval
from evals.statistics.noninferiority import Pairs, decide

CORRELATION = 0.3
"""Intra-class correlation of the answers to one question."""

Floats = npt.NDArray[np.float64]
SAMPLES = (1, 4, 10, 30, 100, 300)
QUESTIONS = (8, 20, 44, 100)
Method = Callable[[Floats, Floats], Interval | None]


class Runs(NamedTuple):
    """Simulated runs: `hits` and the `rates` that they were drawn with, both (runs, prompts); `counted` by prompt."""

    rates: Floats
    hits: Floats
    counted: Floats


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


def population_runs(population: Population, prompts: int, answers: int, number: int) -> Runs:
    """`number` runs of `prompts` questions from the population, with `answers` answers each."""
    rng = np.random.default_rng([prompts, answers])
    rates = population.draw(rng, (number, prompts))
    return Runs(rates, rng.binomial(answers, rates).astype(float), np.full(prompts, float(answers)))


def runs(rate: float, prompts: int, answers: int, number: int, correlation: float = CORRELATION) -> Runs:
    """`number` runs whose prompts have beta-distributed rates around `rate`, with `answers` answers each."""
    rng = np.random.default_rng([int(1000 * rate), prompts, answers])
    size = 1 / correlation - 1
    rates = rng.beta(rate * size, (1 - rate) * size, (number, prompts))
    return Runs(rates, rng.binomial(answers, rates).astype(float), np.full(prompts, float(answers)))


def coverage(method: Method, made: Runs, target: Floats | float) -> float:
    """The share of runs whose interval contains the target."""
    low, high = _ends(method, made.hits, made.counted).T
    return float(np.mean((low - 1e-12 <= target) & (target <= high + 1e-12)))


def _ends(method: Method, hits: Floats, counted: Floats) -> Floats:
    """The interval ends of each run. The order of prompts is irrelevant, so each distinct case is computed once."""
    cases, which = np.unique(np.sort(hits, axis=1), axis=0, return_inverse=True)
    found: list[tuple[float, float]] = []
    for case in cases:
        interval = method(case, counted)
        assert interval is not None
        found.append(interval[:2])
    return np.array(found)[which.ravel()]


def naive(hits: Floats, counted: Floats) -> Interval:
    """The rate and 1.96 standard errors, as if all answers were independent."""
    rate, total = hits.sum() / counted.sum(), counted.sum()
    reach = 1.96 * math.sqrt(rate * (1 - rate) / total)
    return Interval(rate - reach, rate + reach, "normal")


def rejections(made: Runs, seed: int) -> float:
    """The share of runs in which a null effect has a p-value below 0.05."""
    again = np.random.default_rng(seed).binomial(made.counted.astype(int), made.rates).astype(float)
    found = [paired_effect(hits, made.counted, base, made.counted) for hits, base in zip(made.hits, again, strict=True)]
    return float(np.mean([effect is not None and effect.p_value < 0.05 for effect in found]))


def pairs(rng: np.random.Generator, rate: float, increase: float = 0.0, prompts: int = 40, samples: int = 4) -> Pairs:
    """One cell of a comparison: prompts with different rates, with `samples` answers on both sides."""
    spread = 1 / CORRELATION - 1
    base = rng.beta(rate * spread, (1 - rate) * spread, prompts)
    ours = base + increase * (1 - base) / (1 - rate)
    counted = np.full(prompts, float(samples))
    hits, base_hits = rng.binomial(samples, ours) * 1.0, rng.binomial(samples, base) * 1.0
    return Pairs(hits, counted, base_hits, counted, np.arange(prompts))


def false_regressions(rate: float, prompts: int, samples: int, limit: float, draws: int, cells: int = 6) -> float:
    """The share of comparisons of unchanged cells with any false regression."""
    rng = np.random.default_rng(2026)
    false = 0
    for _ in range(draws):
        found = decide([pairs(rng, rate, prompts=prompts, samples=samples) for _ in range(cells)], [limit] * cells)
        false += any(cell.decision == "regression" for cell in found)
    return false / draws


def missed(rate: float, streams: int, looks: tuple[int, ...]) -> list[float]:
    """The share of streams whose true rate the confidence sequence has excluded by each of `looks`."""
    random = np.random.default_rng(20)
    capital = Capital(np.array([rate]), streams=streams)
    out = np.zeros(streams, dtype=bool)
    shares: list[float] = []
    for look in range(1, looks[-1] + 1):
        capital.update(random.random(streams) < rate)
        out |= (capital.too_low() | capital.too_high())[:, 0]
        if look in looks:
            shares.append(float(out.mean()))
    return shares


def _generalisation() -> Iterator[str]:
    yield f"| rates of questions | mean | {' | '.join(f'{number} questions' for number in QUESTIONS)} |"
    yield f"|---|---|{'---|' * len(QUESTIONS)}"
    lowest = 1.0
    for population in POPULATIONS:
        cells: list[str] = []
        for prompts in QUESTIONS:
            made = [
                population_runs(population, prompts, answers, 1000 if answers > 1 else 20_000) for answers in SAMPLES
            ]
            shares = [coverage(generalisation_interval, some, population.mean) for some in made]
            lowest = min(lowest, *shares)
            cells.append(", ".join(f"{100 * share:.0f}" for share in shares))
        yield f"| {population.name} | {100 * population.mean:.1f}% | {' | '.join(cells)} |"
    yield ""
    yield f"The lowest is {100 * lowest:.1f}%."


def _widths() -> Iterator[str]:
    yield f"| rates of questions | mean | {' | '.join(f'{number} questions' for number in QUESTIONS)} |"
    yield f"|---|---|{'---|' * len(QUESTIONS)}"
    for population in POPULATIONS:
        cells: list[str] = []
        for prompts in QUESTIONS:
            widths: list[str] = []
            for answers in (1, 10, 100):
                made = population_runs(population, prompts, answers, 100)
                low, high = _ends(generalisation_interval, made.hits, made.counted).T
                widths.append(f"{100 * float(np.median(high - low)):.0f}")
            cells.append(", ".join(widths))
        yield f"| {population.name} | {100 * population.mean:.1f}% | {' | '.join(cells)} |"


def _intervals() -> Iterator[str]:
    methods = ("just these (`gen`)", "naive normal, like these", "naive normal, just these")
    yield f"| true rate | questions | {' | '.join(methods)} |"
    yield "|---|---|---|---|---|"
    lowest = 1.0
    for rate in (0.001, 0.01, 0.1, 0.5):
        for prompts in (5, 20, 100):
            cells: list[list[float]] = [[], [], []]
            for answers in (1, 4, 10):
                made = runs(rate, prompts, answers, 5000)
                these_rates = made.rates.mean(axis=1)
                for cell, method, target in (
                    (cells[0], stratified_wilson_interval, these_rates),
                    (cells[1], naive, rate),
                    (cells[2], naive, these_rates),
                ):
                    cell.append(coverage(method, made, target))
            lowest = min(lowest, *cells[0])
            shown = (", ".join(f"{100 * share:.0f}" for share in cell) for cell in cells)
            yield f"| {rate} | {prompts} | {' | '.join(shown)} |"
    yield ""
    yield f"The lowest is {100 * lowest:.1f}%."


def _effects() -> Iterator[str]:
    yield "| true rate of both | questions | 1, 4 and 10 answers a question |"
    yield "|---|---|---|"
    for rate in (0.01, 0.1, 0.5):
        for prompts in (3, 10, 50):
            shares = (rejections(runs(rate, prompts, answers, 5000), prompts) for answers in (1, 4, 10))
            yield f"| {rate} | {prompts} | {', '.join(f'{100 * share:.1f}' for share in shares)} |"


def _comparisons() -> Iterator[str]:
    yield "| nothing changed | regression in any of 6 cells, L = 0 | L = 5 points | in one cell, L = 0 |"
    yield "|---|---|---|---|"
    for rate, prompts, samples in ((0.3, 40, 4), (0.05, 40, 4), (0.01, 100, 1), (0.1, 8, 20), (0.5, 20, 5)):
        shares = [false_regressions(rate, prompts, samples, limit, 1000) for limit in (0.0, 0.05)]
        shares.append(false_regressions(rate, prompts, samples, 0.0, 2000, cells=1))
        named = f"rate {rate:.2f}, {prompts} questions, {samples} sample{'s' if samples > 1 else ''}"
        yield f"| {named} | {' | '.join(f'{100 * share:.1f}%' for share in shares)} |"


def _changes() -> Iterator[str]:
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


def _sequences() -> Iterator[str]:
    looks = (100, 1000, 5000)
    yield f"| true rate | {' | '.join(f'{look:,}' for look in looks)} |"
    yield f"|---{'|---' * len(looks)}|"
    for rate in (0.001, 0.01, 0.05, 0.1, 0.3, 0.5, 0.9):
        yield f"| {rate} | {' | '.join(f'{100 * share:.1f}%' for share in missed(rate, 4000, looks))} |"


SIMULATIONS = {
    "generalisation": (
        "Coverage of the generalisation interval, in percent, with 1, 4, 10, 30, 100 and 300 answers a question; 1,000 "
        "runs, of one answer 20,000",
        _generalisation,
    ),
    "widths": (
        "Median width of the generalisation interval, in points, with 1, 10 and 100 answers a question; 100 runs",
        _widths,
    ),
    "intervals": ("Coverage of 95% intervals, in percent, with 1, 4 and 10 answers a question; 5,000 runs", _intervals),
    "effects": ("Effects of nothing with a p-value below 0.05, in percent; 5,000 runs", _effects),
    "comparisons": ("Comparisons in which nothing changed; 1,000 of each, 2,000 of one cell", _comparisons),
    "changes": ("What is decided at a base rate of 0.10, 4 samples a question, L = 5 points; 1,000 of each", _changes),
    "sequences": ("True rates excluded by the confidence sequence at any look; 4,000 streams", _sequences),
}


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulate", description="Simulated coverage, as tables.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(SIMULATIONS)}")
    names = parser.parse_args().names or list(SIMULATIONS)
    unknown = [name for name in names if name not in SIMULATIONS]
    if unknown:
        parser.error(f"unknown simulation {unknown[0]!r}; known: {', '.join(SIMULATIONS)}")
    for name in names:
        started = time.perf_counter()
        title, lines = SIMULATIONS[name]
        print(f"{title}:\n")
        for line in lines():
            print(line, flush=True)
        print(f"\n({time.perf_counter() - started:.0f} s)\n", flush=True)


if __name__ == "__main__":
    main()
