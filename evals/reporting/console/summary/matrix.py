"""The matrix of a run: a line for each model, format and suite with its rates by condition, and what to know of it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from evals.endpoints.model_spec import name_and_url
from evals.numbers import percent
from evals.plan.manifest import Manifest
from evals.reporting.console.layout.grid import Cell, GridRow, grid_lines
from evals.reporting.console.layout.words import server_of_all, short_change, short_percent, short_range
from evals.reporting.console.markup import plain
from evals.reporting.console.summary.cells import MatrixCell, MatrixRow, conditions_of, matrix_rows
from evals.scoring.label_metrics import PREFIX, is_label_metric
from evals.scoring.rates.rows import is_led_by_question
from evals.scoring.rates.tables import Tables

_OVER, _BY_QUESTION, _DASH = "!", "~", "–"
_VS_BASE, _IS_BASE = "vs base", "the base"
_RIGHT = {1, 3}
"""The parts of a cell that are aligned to the right: rate and effect."""


def print_matrix(console: Console, manifest: Manifest, tables: Tables) -> None:
    """Print the rates and effects of each model, format and suite, then what its marks mean."""
    rows = matrix_rows(manifest, tables)
    if not rows:
        return
    baseline = manifest.config.baseline
    console.print(f"[bold]{plain(_title(rows, baseline))}[/bold]")
    for line in _lines(rows, conditions_of(manifest, rows), manifest.config.base_model, console.width):
        console.print(line, markup=False, no_wrap=True, crop=False, style="yellow" if _OVER in line else None)
    for text in _legend(rows, manifest):
        console.print(plain(text), style="dim")


def _title(rows: Sequence[MatrixRow], baseline: str) -> str:
    metrics = {row.metric for row in rows}
    what = "share of answers" if len(metrics) > 1 else f"{_metric_words(rows[0].metric)}: share of answers"
    if not any(cell.effect for row in rows for cell in row.cells.values()):
        return what
    return f"{what}, and change from {baseline} in points"


def _metric_words(metric: str) -> str:
    return f"label {metric.removeprefix(PREFIX)}" if is_label_metric(metric) else metric


def _lines(rows: Sequence[MatrixRow], conditions: Sequence[str], base: str, width: int) -> list[str]:
    suites, metrics = {row.suite for row in rows}, {row.metric for row in rows}
    server = server_of_all([row.model for row in rows])
    shown = [
        GridRow(
            row.model.removeprefix(server),
            (
                row.format,
                *([row.suite] if len(suites) > 1 else []),
                *([_metric_words(row.metric)] if len(metrics) > 1 else []),
            ),
            (*_cells(row, conditions, needs_second=not base), *([_against_base(row, base)] if base else [])),
        )
        for row in rows
    ]
    right = frozenset((column, part) for column in range(len(conditions) + 1) for part in _RIGHT)
    return grid_lines(shown, width, right)


def _cells(row: MatrixRow, conditions: Sequence[str], *, needs_second: bool) -> tuple[Cell, ...]:
    """The first is of the baseline, or of the first condition where that was not asked."""
    first, *others = conditions
    cells = [_cell(row.cells.get(name), name, row, with_effect=name != first) for name in (first, *others)]
    return (*cells, ("", "", "", _DASH, "")) if not others and needs_second else tuple(cells)


def _against_base(row: MatrixRow, base: str) -> Cell:
    """What a model's rate under the baseline is against that of the base model."""
    if row.model == base:
        return _IS_BASE, "", "", "", ""
    if row.against_base is None:
        return _VS_BASE, "", "", _DASH, ""
    effect, is_over = row.against_base
    change, interval = short_change(effect["effect"], effect["gen_low"], effect["gen_high"])
    return _VS_BASE, "", "", f"{change}{_OVER if is_over else ''}", interval


def _cell(cell: MatrixCell | None, condition: str, row: MatrixRow, *, with_effect: bool) -> Cell:
    """Condition, rate, counts, effect and interval."""
    if cell is None:
        return condition, _DASH, "", "", ""
    if not with_effect and cell.effect is None:
        return condition, _rate(cell), _counts(cell), "", ""
    if cell.effect is None:
        return condition, _rate(cell), _counts(cell), _DASH, ""
    effect = cell.effect
    change, interval = short_change(effect["effect"], effect["gen_low"], effect["gen_high"])
    base = row.cells.get(effect["baseline"])
    mark = _OVER if cell.is_over or (base is not None and base.is_over) else ""
    return condition, _rate(cell), _counts(cell), f"{change}{mark}", interval


def _rate(cell: MatrixCell) -> str:
    row = cell.row
    if not row["n"]:
        return _DASH
    if cell.is_over:
        return f"{short_range(row['bound_low'], row['bound_high'])}{_OVER}"
    if is_led_by_question(row):
        return f"{_BY_QUESTION}{short_percent(row['rate_by_question'])}"
    return short_percent(row["rate"])


def _counts(cell: MatrixCell) -> str:
    parts = [f"{cell.row['k']:,}/{cell.row['n']:,}"]
    parts += [f"{cell.missing:,} missing"] if cell.missing else []
    parts += [f"{cell.left_out:,} left out"] if cell.left_out else []
    return f"({', '.join(parts)})"


def _legend(rows: Sequence[MatrixRow], manifest: Manifest) -> Iterator[str]:
    """What the marks in the rows mean, as far as they are there."""
    cells = [cell for row in rows for cell in row.cells.values()]
    yield from _about_base(rows, manifest)
    if any(cell.effect for cell in cells) or any(row.against_base for row in rows):
        yield "[low, high]: 95% interval, same questions (--detail has those of new questions)."
    if any(cell.is_over for cell in cells):
        yield (
            f"{_OVER} more than {percent(manifest.config.max_unscored)} of the answers are missing: the range is what "
            "the rate could be if missing counted, from all as no to all as yes, and the change is that of the others."
        )
    if any(not cell.is_over and is_led_by_question(cell.row) for cell in cells):
        yield (
            f"{_BY_QUESTION} the mean over questions: it differs from the rate over answers, as questions with fewer "
            "missing answers weigh more there."
        )
    if any(cell.left_out for cell in cells):
        yield "left out: refused, code, incoherent or left out by a filter, and so in no rate."
    counted_cells = [cell.row for cell in cells if cell.row["n"] and not cell.is_over]
    if highs := [row["gen_high"] for row in counted_cells if row["k"] == 0]:
        yield f"A rate of 0% here may be up to {percent(max(highs))} (95% interval, same questions)."
    if lows := [row["gen_low"] for row in counted_cells if row["k"] == row["n"]]:
        yield f"A rate of 100% here may be as low as {percent(min(lows))} (95% interval, same questions)."
    yield from _no_effect(rows, manifest.config.baseline)


def _about_base(rows: Sequence[MatrixRow], manifest: Manifest) -> Iterator[str]:
    """What the models are compared with, or why they are not."""
    config = manifest.config
    base = config.base_model
    if not base:
        if config.base is not None and len(config.models) > 1:
            yield f"Compared with no base model: {name_and_url(config.base)[0]} was not asked these questions."
        return
    named = "the run's first model; --base names another" if config.base is None else "the base model"
    yield (
        f"{_VS_BASE}: change from {base} ({named}) in points, both under {config.baseline}: not an effect of a trigger."
    )
    measured = {(row.suite, row.format, row.metric) for row in rows if row.model == base}
    lacking = [row for row in rows if row.model != base and row.against_base is None]
    if any((row.suite, row.format, row.metric) in measured for row in lacking):
        yield f"{_VS_BASE} {_DASH}: no question has an answer in n from both models under {config.baseline}."
    if places := sorted({f"{row.suite} ({row.format})" for row in lacking} - {f"{s} ({f})" for s, f, _ in measured}):
        yield f"{_VS_BASE} {_DASH}: {base} was not asked {', '.join(places)}."


def _no_effect(rows: Sequence[MatrixRow], baseline: str) -> Iterator[str]:
    """Why cells have no effect."""
    asked = {name for row in rows for name in row.cells}
    without = [row for row in rows if not any(cell.effect for cell in row.cells.values())]
    if asked == {baseline}:
        if not any(row.against_base for row in rows):
            yield f"{_DASH} no change: only {baseline} was asked."
    elif baseline not in asked:
        yield f"{_DASH} no change: {baseline}, which it would be taken against, was not asked."
    elif without:
        yield f"{_DASH} no change is known: no question has an answer in n under both conditions."
