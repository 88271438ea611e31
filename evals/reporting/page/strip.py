"""The strip of a report's first screen: a dot and its intervals for each model and condition.

All lengths are percent of the strip's width, so that the drawing fits any screen.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from typing import NamedTuple

from evals.numbers import out_of, percent
from evals.reporting.console.layout.words import short_range
from evals.reporting.console.summary.cells import MatrixCell, MatrixRow, matrix_rows
from evals.reporting.figures.drawing.frames import short, short_names
from evals.reporting.figures.drawing.theme import condition_classes
from evals.runner.count import Counted
from evals.scoring.label_metrics import PREFIX
from evals.scoring.rates.rows import is_led_by_question

FEW = 10
"""Below so many answers a dot is hollow."""
LANE = 13
"""The height of a condition, in px."""
_SHORT_NAME, _LONGEST_NAME = 36, 64
_SCALES = (0.05, 0.1, 0.2, 0.5, 1.0)
_OPEN_ROWS = 24
"""The most models that are shown outside of a fold, besides those of the first strip."""


class Span(NamedTuple):
    start: float
    end: float


class Lane(NamedTuple):
    """A condition of a model. `middle` is its height in px, `place` that of the dot; both spans are 95% intervals: of
    new answers to these questions, and of other questions of this kind. None for what was not measured."""

    condition: str
    colour: str
    middle: float
    place: float | None
    same: Span | None
    new: Span | None
    text: str
    is_hollow: bool


class StripRow(NamedTuple):
    name: str
    full_name: str
    lanes: list[Lane]

    @property
    def height(self) -> int:
        return LANE * len(self.lanes)


class Strip(NamedTuple):
    """The models of one suite, format and metric. `ticks` are places with their labels."""

    title: str
    rows: list[StripRow]
    ticks: list[tuple[float, str]]
    conditions: list[tuple[str, str]]
    is_open: bool


def strips(runs: Sequence[Counted]) -> list[Strip]:
    """A strip for each suite, format and metric of the matrix, the models with the largest effects first."""
    numbered = [(run, row) for run in runs for row in matrix_rows(run.manifest, run.tables)]
    names = _names(numbered, many_runs=len(runs) > 1)
    order = {_place(row): place for place, (_, row) in reversed(list(enumerate(numbered)))}
    ordered = sorted(numbered, key=lambda pair: order[_place(pair[1])])
    found: list[Strip] = []
    for _, group in groupby(ordered, key=lambda pair: _place(pair[1])):
        members = list(group)
        rows = [(*names[run.manifest.run_id, row.model], row) for run, row in members]
        shown = sum(len(strip.rows) for strip in found) + len(rows)
        found.append(_strip(rows, is_open=not found or shown <= _OPEN_ROWS))
    return found


def _place(row: MatrixRow) -> tuple[str, str, str]:
    return row.suite, row.format, row.metric


def _names(numbered: Sequence[tuple[Counted, MatrixRow]], *, many_runs: bool) -> dict[tuple[str, str], tuple[str, str]]:
    """A short and a full name for each run and model."""
    keys = list(dict.fromkeys((run.manifest.run_id, row.model) for run, row in numbered))
    models = short_names(list(dict.fromkeys(model for _, model in keys)), _SHORT_NAME, _LONGEST_NAME)
    return {
        (run, model): (f"{models[model]} ({short(run)})", f"{model} ({run})") if many_runs else (models[model], model)
        for run, model in keys
    }


def _strip(named: Sequence[tuple[str, str, MatrixRow]], *, is_open: bool) -> Strip:
    suite, fmt, metric = _place(named[0][2])
    cells = [cell for _, _, row in named for cell in row.cells.values()]
    classes = condition_classes(dict.fromkeys(cell.row["condition"] for cell in cells))
    highest = max((high for cell in cells for _, high in _intervals(cell)), default=0.0)
    whole = next(scale for scale in _SCALES if scale >= min(highest, 1.0))
    rows = [
        StripRow(name, full, [_lane(cell, classes, whole, place) for place, cell in enumerate(row.cells.values())])
        for name, full, row in named
    ]
    title = f"{suite} ({fmt}): {metric.removeprefix(PREFIX).replace('_', ' ')}"
    ticks = [(25.0 * place, f"{25 * place * whole:g}%") for place in range(5)]
    conditions = list(dict.fromkeys((cell.name, classes[cell.row["condition"]]) for cell in cells))
    return Strip(title, rows, ticks, conditions, is_open)


def _intervals(cell: MatrixCell) -> Iterator[tuple[float, float]]:
    row = cell.row
    names = (("bound_low", "bound_high"),) if cell.is_over else (("gen_low", "gen_high"), ("ci_low", "ci_high"))
    for low, high in names:
        if row["n"] and row[low] is not None:
            yield row[low], row[high]


def _lane(cell: MatrixCell, classes: dict[str, str], whole: float, place: int) -> Lane:
    row = cell.row
    spans = [Span(100 * low / whole, 100 * high / whole) for low, high in _intervals(cell)]
    rate = row["rate_by_question"] if row["n"] and is_led_by_question(row) else row["rate"]
    dot = 100 * rate / whole if row["n"] and not cell.is_over else None
    colour, middle = classes[row["condition"]], LANE * (place + 0.5)
    if cell.is_over:
        return Lane(cell.name, colour, middle, dot, None, spans[0], _text(cell, rate), is_hollow=True)
    same, new = (*spans, None, None)[:2]
    return Lane(cell.name, colour, middle, dot, same, new, _text(cell, rate), is_hollow=row["n"] < FEW)


def _text(cell: MatrixCell, rate: float | None) -> str:
    row = cell.row
    if not row["n"]:
        return "nothing counted"
    if cell.is_over:
        bounds = short_range(row["bound_low"], row["bound_high"])
        return f"{bounds} ({out_of(row['k'], row['n'])}, {cell.missing} missing)"
    return f"{percent(rate)} ({out_of(row['k'], row['n'])})"
