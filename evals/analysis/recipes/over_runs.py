"""Recipes over the seeds of several runs (`emeval recipes`): the estimators of recipes.csv on answers of all of them.

The runs have to be comparable, as two runs are for `emeval compare`: the same questions, judge, sampling and trigger.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

from evals.analysis.comparison.counts import AnswerCounts, CellCounts, ComparedRun
from evals.analysis.comparison.result import ComparisonKey, Gate, cell_name
from evals.analysis.comparison.several import counted_together, shared_cells
from evals.analysis.recipes.members import Design, Member, design_of
from evals.analysis.recipes.result import RecipeResult, SeedRow
from evals.analysis.seeds import notes_on_seeds
from evals.numbers import counted
from evals.runner.count import Recipes, run_facts
from evals.scoring.metric import Metric
from evals.scoring.rates.effects import Groups
from evals.scoring.rates.recipes import differences_of_recipes, rows_of_recipes
from evals.scoring.rates.tally import RunFacts
from evals.statistics.intervals import stratified_wilson_interval
from evals.trials.condition import run_order

_BETWEEN = ", "
_MOST_LISTED = 3

Cells = Mapping[ComparisonKey, Metric]


def recipes_over_runs(
    folders: Sequence[Path], recipes: Recipes | None = None, base: str | None = None, gate: Gate | None = None
) -> RecipeResult:
    """The recipes over the runs in `folders`, on the metrics that `gate` wants, by default what each suite is about.

    Raises NotComparable with every reason, and BadInput for seeds that cannot be found.
    """
    gate = gate or Gate()
    runs = [ComparedRun.read(folder) for folder in dict.fromkeys(folder.resolve() for folder in folders)]
    design = design_of(runs, recipes, base)
    seeds = [member.place for members in design.recipes.values() for member in members]
    cells, others = shared_cells(seeds, gate, "seed")
    counts = counted_together([member.place for member in design.members], cells)
    answers = dict(zip(design.members, counts, strict=True))
    facts = _facts(runs, design, cells)
    by_metric = _by_metric(answers, cells)
    rows = rows_of_recipes(by_metric.items(), facts, _missing(answers, cells))
    return RecipeResult(
        rows,
        differences_of_recipes(by_metric.items(), facts),
        [row for recipe, members in design.recipes.items() for row in _seed_rows(recipe, members, answers, cells)],
        (*_seed_notes(design, rows, answers, cells, gate), *design.notes, *_left_out(others)),
        tuple(dict.fromkeys(member.run_name for member in design.members)),
        facts.base,
    )


def _facts(runs: Sequence[ComparedRun], design: Design, cells: Cells) -> RunFacts:
    """The facts of the first run, with recipes and base over all of them."""
    names = dict.fromkeys(member.run_name for member in design.members)
    return replace(
        run_facts(runs[0].manifest),
        run_id=_BETWEEN.join(names),
        conditions=tuple(run_order(key.condition for key in cells)),
        base=design.base.name if design.base is not None else "",
        recipes={name: tuple(member.name for member in members) for name, members in design.recipes.items()},
    )


def _by_metric(answers: Mapping[Member, AnswerCounts], cells: Cells) -> dict[str, Groups]:
    found: dict[str, Groups] = {}
    for member, counts in answers.items():
        for key in cells:
            cell, groups = counts[member.place.model, key], found.setdefault(key.metric, {})
            pairs = groups.setdefault((key.suite, key.format, member.name), {}).setdefault(key.condition, {})
            for wording in cell.wordings:
                k, n = pairs.get(wording, (0, 0))
                pairs[wording] = k + cell.hits[wording], n + cell.counted[wording]
    return found


def _missing(answers: Mapping[Member, AnswerCounts], cells: Cells) -> dict[tuple[str, ...], float]:
    """The share without a score, by suite, format, model, condition and metric."""
    return {
        (key.suite, key.format, member.name, key.condition, key.metric): _cell(counts, member, key)
        .side(metric)
        .unscored_share
        for member, counts in answers.items()
        for key, metric in cells.items()
    }


def _cell(counts: AnswerCounts, member: Member, key: ComparisonKey) -> CellCounts:
    return counts[member.place.model, key]


def _seed_rows(
    recipe: str, members: Sequence[Member], answers: Mapping[Member, AnswerCounts], cells: Cells
) -> Iterator[SeedRow]:
    for key, metric in cells.items():
        for member in members:
            cell = _cell(answers[member], member, key)
            side = cell.side(metric)
            used = [wording for wording, number in cell.counted.items() if number]
            interval = stratified_wilson_interval(
                np.array([cell.hits[wording] for wording in used], float),
                np.array([cell.counted[wording] for wording in used], float),
            )
            yield SeedRow(
                recipe,
                member.name,
                member.run_name,
                *(key.suite, key.format, key.condition, key.metric),
                *(side.k, side.n, side.rate),
                interval.low if interval else None,
                interval.high if interval else None,
                side.n_trials,
            )


def _seed_notes(
    design: Design, rows: Sequence[dict[str, object]], answers: Mapping[Member, AnswerCounts], cells: Cells, gate: Gate
) -> Iterator[str]:
    """What to know of seeds that failed or are in large part unread."""
    over: dict[tuple[str, ...], tuple[int, int]] = {}
    for member, counts in answers.items():
        for key, metric in cells.items():
            side = _cell(counts, member, key).side(metric)
            if side.unscored_share > gate.max_unscored:
                over[key.suite, key.format, member.name, key.condition] = sum(side.unscored.values()), side.n_trials
    models = {name: [member.name for member in members] for name, members in design.recipes.items()}
    yield from dict.fromkeys(notes_on_seeds(rows, models, over, gate.max_unscored))


def _left_out(others: Sequence[ComparisonKey]) -> Iterator[str]:
    if others:
        names = "; ".join(cell_name(key) for key in others[:_MOST_LISTED])
        more = len(others) - _MOST_LISTED
        yield f"Not compared, as not every seed has it: {names}" + (
            f" and {counted(more, 'more cell')}." if more > 0 else "."
        )
