"""Models of several runs at once: the cells that all of them have, and whether their rates may be held together."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

from evals.analysis.comparison.cells import incomplete, reworded, selected_cells
from evals.analysis.comparison.comparable import Difference, NotComparable, Scope, differences, worse_when
from evals.analysis.comparison.counts import (
    AnswerCounts,
    CellToCompare,
    ComparedRun,
    RunCell,
    count_cells,
    metrics_of,
    suite_metrics,
)
from evals.analysis.comparison.result import ComparisonKey, Gate
from evals.errors import BadInput
from evals.scoring.metric import PRIMARY, Metric
from evals.scoring.metric_table import metrics_by_name
from evals.text import one_line
from evals.trials.condition import run_order


class RunModel(NamedTuple):
    """A model of a run."""

    run: ComparedRun
    model: str


def shared_cells(
    models: Sequence[RunModel], gate: Gate, each: str
) -> tuple[dict[ComparisonKey, Metric], list[ComparisonKey]]:
    """The cells that every model has and `gate` selects, with their metrics, and the selected cells that only some
    have. `each` is what a message calls one of them, such as `checkpoint`. Raises BadInput where none is shared."""
    runs = list({point.run.folder: point.run for point in models}.values())
    table = metrics_by_name(runs[0].manifest.config.denominator)
    own = suite_metrics(runs, table[PRIMARY["poll"]])
    known = {*table, *(name for metrics in own.values() for name in (*metrics.labels, *metrics.sides))}
    unknown = next((name for name in gate.metrics if name not in known), None)
    if unknown is not None:
        names = one_line(", ".join(sorted(known)), 2000)
        raise BadInput(f"--metric: unknown metric {one_line(unknown, 60)!r}; known: {names}")
    by_model = [selected_cells(point.run, point.model, table, own, [gate]) for point in models]
    every = dict.fromkeys(key for cells in by_model for key in cells)
    shared = [key for key in every if all(key in cells for cells in by_model)]
    if not shared:
        raise BadInput(
            "no cell (suite, format, condition, metric) that --suite, --format, --condition and --metric name is in "
            f"every {each}"
        )
    places = {name: place for place, name in enumerate(run_order(key.condition for key in shared))}
    cells = list(dict.fromkeys((key.suite, key.format) for key in shared))
    shared.sort(key=lambda key: (cells.index((key.suite, key.format)), places[key.condition]))
    others = [key for key in every if key not in shared]
    return {key: metrics_of(key.suite, table, own)[key.metric] for key in shared}, others


def counted_together(models: Sequence[RunModel], cells: Mapping[ComparisonKey, Metric]) -> list[AnswerCounts]:
    """The answers of each model in these cells. Raises NotComparable, with every reason, unless all runs are complete
    and comparable with the first one."""
    runs = list({point.run.folder: point.run for point in models}.values())
    _check_comparable(runs, cells)
    counts: dict[int, AnswerCounts] = {}
    for number, run in enumerate(runs):
        of_run = [point.model for point in models if point.run is run]
        wanted = [RunCell(model, key, metric) for model in of_run for key, metric in cells.items()]
        counts[number] = count_cells(run, wanted)
    found = [counts[next(number for number, run in enumerate(runs) if run is point.run)] for point in models]
    _check_wording(models, cells, found)
    return found


def _check_comparable(runs: Sequence[ComparedRun], cells: Mapping[ComparisonKey, Metric]) -> None:
    scope = Scope(
        suites=frozenset(key.suite for key in cells),
        formats=frozenset(key.format for key in cells),
        conditions=frozenset(key.condition for key in cells),
        metrics=tuple({metric.name: metric for metric in cells.values()}.values()),
    )
    first = runs[0]
    for run in runs:
        found = incomplete(one_line(run.manifest.run_id, 80), run)
        found += differences(first.manifest, run.manifest, scope) if run is not first else []
        if found:
            raise NotComparable(str(first.folder), str(run.folder), found)


def _check_wording(
    models: Sequence[RunModel], cells: Mapping[ComparisonKey, Metric], counts: Sequence[AnswerCounts]
) -> None:
    first = models[0]
    for point, made in zip(models[1:], counts[1:], strict=True):
        pairs = [
            CellToCompare(key, metric, first.model, point.model, 0.0, worse_when(key.metric))
            for key, metric in cells.items()
        ]
        found: list[Difference] = list(reworded(pairs, counts[0], made))
        if found:
            raise NotComparable(str(first.run.folder), str(point.run.folder), found)
