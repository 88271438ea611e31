"""`python -m benchmarks.simulate [NAME...]`: simulated coverage of intervals and error rates of decisions.

Prints the Markdown tables of docs/statistics.md. Everything is seeded, and the tests have a short version of each
(`tests/statistics/test_coverage.py`, `tests/statistics/test_confidence_sequence.py`,
`tests/statistics/test_missing_answers.py`, `tests/statistics/test_recipes.py`, `tests/analysis/test_comparison.py`).
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from typing import NamedTuple

import numpy as np

from benchmarks.decisions import change_lines, comparison_lines
from benchmarks.effects import effect_lines
from benchmarks.finetuning_seeds import recipe_lines
from benchmarks.interactions import interaction_lines
from benchmarks.labels import corrected_effect_lines, kappa_lines, panel_lines
from benchmarks.log_odds import coverage_lines
from benchmarks.monitor_gains import gain_table
from benchmarks.monitors import monitor_table
from benchmarks.nights import night_lines
from benchmarks.populations import CORRELATION, POPULATIONS, Floats, Population
from benchmarks.rare import coverage_table
from benchmarks.recipe_pairs import difference_lines
from benchmarks.score_bins import bin_lines
from benchmarks.simulate_curves import discovery_lines, onset_lines, trend_lines
from evals.statistics.confidence_sequence import Capital
from evals.statistics.intervals import Interval, generalisation_interval, paired_effect, stratified_wilson_interval
from evals.statistics.missing_answers import missing_answers_interval
from evals.statistics.these_questions import fixed_questions_interval, question_weights

SAMPLES = (1, 4, 10, 30, 100, 300)
QUESTIONS = (8, 20, 44, 100)
Method = Callable[[Floats, Floats], Interval | None]


class Runs(NamedTuple):
    """Simulated runs: `hits` and the `rates` that they were drawn with, both (runs, prompts); `counted` by prompt."""

    rates: Floats
    hits: Floats
    counted: Floats


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


class MissingAnswers(NamedTuple):
    """What was found where answers are missing: the mean share of them and the mean rate among those counted, and the
    share of runs in which the population's rate was in the ordinary interval, within the bounds, and in their interval.
    """

    missing: float
    rate: float
    ordinary: float
    bounds: float
    bounds_interval: float


def missing_answers(
    rate: float, prompts: int, answers: int, number: int, hits_missing: float = 0.3, misses_missing: float = 0.03
) -> MissingAnswers:
    """Runs whose hits and misses are missing with these chances."""
    made = runs(rate, prompts, answers, number)
    rng = np.random.default_rng([int(1000 * rate), prompts, answers, 2])
    hits = rng.binomial(made.hits.astype(int), 1 - hits_missing).astype(float)
    counted = hits + rng.binomial((made.counted - made.hits).astype(int), 1 - misses_missing)
    found: list[tuple[float, ...]] = []
    for k, n in zip(hits, counted, strict=True):
        asked = made.counted.sum()
        ordinary, interval = generalisation_interval(k, n), missing_answers_interval(k, n, made.counted)
        assert ordinary is not None
        assert interval is not None
        within_bounds = k.sum() / asked <= rate <= (k.sum() + asked - n.sum()) / asked
        held = (ordinary.low <= rate <= ordinary.high, within_bounds, interval.low <= rate <= interval.high)
        found.append((1 - n.sum() / asked, k.sum() / n.sum(), *map(float, held)))
    return MissingAnswers(*(float(mean) for mean in np.mean(found, axis=0)))


def weights(prompts: int, number: int, most: int = 100) -> tuple[float, float, float, float]:
    """Runs whose questions lose answers as their rates rise (a coherence filter on broken answers). The mean rate of
    the questions, the mean rates over answers and by question, and the share of runs in which the interval by question
    holds the questions' own mean."""
    rng = np.random.default_rng([prompts, number])
    tilted = np.where(np.arange(prompts) % 4 == 0, 1.0, 0.0)
    found: list[tuple[float, ...]] = []
    for _ in range(number):
        rates = np.where(tilted > 0, rng.uniform(0.05, 0.6, prompts), 0.002)
        counted = np.rint(most * (1 - 0.7 * np.minimum(1, 3 * rates)))
        hits = rng.binomial(counted.astype(int), rates).astype(float)
        equal = question_weights(np.arange(prompts))
        interval = fixed_questions_interval(hits, counted, equal)
        assert interval is not None
        mean = rates.mean()
        by_question = float((equal * hits / counted).sum())
        held = float(interval.low <= mean <= interval.high)
        found.append((float(mean), float(hits.sum() / counted.sum()), by_question, held))
    true, over_answers, by_question, held = (float(mean) for mean in np.mean(found, axis=0))
    return true, over_answers, by_question, held


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


def _missing() -> Iterator[str]:
    yield "| true rate | questions × answers | missing | mean rate | `ci` | bounds | `bound_ci` |"
    yield "|---|---|---|---|---|---|---|"
    for rate in (0.02, 0.05, 0.1):
        for prompts, answers in ((44, 10), (100, 4)):
            found = missing_answers(rate, prompts, answers, 2000)
            shares = (found.ordinary, found.bounds, found.bounds_interval)
            yield (
                f"| {100 * rate:.0f}% | {prompts} × {answers} | {100 * found.missing:.1f}% | {100 * found.rate:.1f}% "
                f"| {' | '.join(f'{100 * share:.1f}' for share in shares)} |"
            )


def _weights() -> Iterator[str]:
    yield "| questions | mean rate of the questions | over answers | by question | its interval holds the mean |"
    yield "|---|---|---|---|---|"
    for prompts in (8, 44):
        *means, held = weights(prompts, 2000)
        yield f"| {prompts} | {' | '.join(f'{100 * mean:.2f}%' for mean in means)} | {100 * held:.1f}% |"


def _effects() -> Iterator[str]:
    yield "| true rate of both | questions | 1, 4 and 10 answers a question |"
    yield "|---|---|---|"
    for rate in (0.01, 0.1, 0.5):
        for prompts in (3, 10, 50):
            shares = (rejections(runs(rate, prompts, answers, 5000), prompts) for answers in (1, 4, 10))
            yield f"| {rate} | {prompts} | {', '.join(f'{100 * share:.1f}' for share in shares)} |"


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
    "missing": (
        "Runs that hold the true rate, in percent; misaligned answers missing at 30%, others at 3%; 2,000 runs",
        _missing,
    ),
    "weights": ("Rates where questions lose answers as their rates rise, up to 100 answers each; 2,000 runs", _weights),
    "effects": ("Effects of nothing with a p-value below 0.05, in percent; 5,000 runs", _effects),
    "effect coverage": ("Runs whose interval of an effect holds the true one, in percent; 500 runs", effect_lines),
    "interactions": (
        "Runs whose interval of a difference of two effects holds the true one, and equal effects with a p-value below "
        "0.05, in percent; 500 runs",
        interaction_lines,
    ),
    "comparisons": ("False decisions; 500 comparisons of six cells, 2,000 and 4,000 of one", comparison_lines),
    "changes": (
        "What is decided at a base rate of 0.10, 4 samples a question, L = 5 points; 1,000 of each",
        change_lines,
    ),
    "corrected effects": (
        "Corrected intervals that hold the effect, in percent, and in brackets those as judged; 100 runs",
        corrected_effect_lines,
    ),
    "scores": ("Intervals of the share of hits among answers of a score that hold, in percent; 2,000 runs", bin_lines),
    "kappa": ("Intervals of kappa that hold, in percent; 250 runs", kappa_lines),
    "panels": ("Intervals of the latent class model that hold the rate, in percent; 100 runs", panel_lines),
    "monitors": ("Coverage of g-mean squared, in percent; 1,000 runs", monitor_table),
    "monitor gains": ("Coverage of gains of monitors and of AUROC, in percent; 1,000 runs", gain_table),
    "any of": (
        "Coverage of the chance of a hit among 2, 10 and 30 answers, in percent; 1,000 runs",
        coverage_table,
    ),
    "log-odds": ("Intervals of a difference in log-odds that hold it, in percent; 500 runs", coverage_lines),
    "recipes": (
        "Intervals that hold the rate or effect of a recipe, in percent, and median widths of those of its rate; 300 "
        "recipes",
        recipe_lines,
    ),
    "recipe differences": (
        "Intervals that hold the difference between two recipes, or a recipe and a base, in percent, median widths of "
        "those of two rates, and rates shown to differ for new questions; 300 pairs",
        difference_lines,
    ),
    "trends": (
        "Trends over steps with a p-value below 0.05 on these questions, and for questions like these, in percent; 300 "
        "curves",
        trend_lines,
    ),
    "onsets": ("The onset, the first step more than 5 points above the first; 300 curves", onset_lines),
    "discoveries": (
        "Steps found to differ from the first at a false discovery rate of 5%; 300 curves",
        discovery_lines,
    ),
    "nights": ("Of 60 checkpoints against one baseline, what is said to differ; 200 series", night_lines),
    "sequences": ("True rates excluded by the confidence sequence at any look; 4,000 streams", _sequences),
}


def _table(name: str) -> str:
    started = time.perf_counter()
    title, lines = SIMULATIONS[name]
    table = "\n".join(lines())
    return f"{title}:\n\n{table}\n\n({time.perf_counter() - started:.0f} s)\n"


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.simulate", description="Simulated coverage, as tables.")
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(SIMULATIONS)}")
    names = parser.parse_args().names or list(SIMULATIONS)
    unknown = [name for name in names if name not in SIMULATIONS]
    if unknown:
        parser.error(f"unknown simulation {unknown[0]!r}; known: {', '.join(SIMULATIONS)}")
    with ProcessPoolExecutor(mp_context=multiprocessing.get_context("spawn")) as pool:
        for table in pool.map(_table, names):
            print(table, flush=True)


if __name__ == "__main__":
    main()
