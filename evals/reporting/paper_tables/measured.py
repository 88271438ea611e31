"""The measurements of runs for tables: the rows of their rates.csv, and the figure of each cell.

Tables read only rates.csv, so they work for a run folder without its journal, and show what that file shows.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evals.errors import BadInput
from evals.io.csv_reader import CsvFile, CsvRow, csv_file
from evals.plan.config import RunConfig
from evals.plan.recorded_run import manifest_of
from evals.reporting.paper_tables.table import TablePlace
from evals.statistics.intervals import (
    Counts,
    drawn_out_interval,
    generalisation_interval,
    paired_effect,
    paper_plus_minus,
)
from evals.text import original_text
from evals.trials.prompt import ALL

_TEXTS = ("suite", "format", "model", "condition", "trigger", "prompt_id", "metric")


class PromptRow(NamedTuple):
    """The counts of one prompt and metric in one cell of a run: k of n."""

    run: TableRun
    suite: str
    format: str
    model: str
    condition: str
    trigger: str
    prompt_id: str
    metric: str
    k: int
    n: int


@dataclass(frozen=True, eq=False)
class TableRun:
    """A run folder, with the id and configuration of the run."""

    folder: Path
    id: str
    config: RunConfig
    is_base: bool


@dataclass(frozen=True, slots=True)
class MeasuredFigure:
    """A rate in percent, or a difference of two rates in percentage points, with its 95% interval and counts.

    `paper_pm` is the half width by the paper's formula, None for a difference and below two answers. `suites` are those
    that were asked.
    """

    k: int
    n: int
    value: float
    paper_pm: float | None
    low: float
    high: float
    base_k: int | None = None
    base_n: int | None = None
    suites: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Absent:
    """Why a cell has no number."""

    reason: str


def read_run(folder: Path, *, is_base: bool = False) -> list[PromptRow]:
    """The rows of a run's prompts. Raises BadInput for a folder without them."""
    manifest = manifest_of(folder)
    path = folder / "rates.csv"
    if not path.is_file():
        raise BadInput(f"{folder} has no rates.csv: `emeval rates` writes it from the journal")
    run = TableRun(folder, manifest.run_id, manifest.config, is_base)
    with csv_file(path, (*_TEXTS, "k", "n")) as file:
        file.require(*_TEXTS, "k", "n")
        return [_row(file, row, run) for row in file if row.cells["prompt_id"] != ALL]


def _row(file: CsvFile, row: CsvRow, run: TableRun) -> PromptRow:
    counts: list[int] = []
    for name in ("k", "n"):
        cell = row.cells[name]
        if not (cell.isascii() and cell.isdigit() and len(cell) <= 15):
            raise BadInput(f"{file.path}:{row.line}: {name}: is not a count")
        counts.append(int(cell))
    k, n = counts
    if k > n:
        raise BadInput(f"{file.path}:{row.line}: k: is above n")
    texts = {name: original_text(row.cells[name]) for name in _TEXTS}
    return PromptRow(run=run, **texts, k=k, n=n)


def rows_at(place: TablePlace, rows: Sequence[PromptRow]) -> list[PromptRow] | Absent:
    """The rows of a cell, at least one, or why there are none."""
    found: list[PromptRow] = []
    asked = {row.suite for row in rows}
    for suite in place.suites if place.preferred not in asked else (place.preferred,):
        here = [row for row in rows if row.suite == suite]
        steps: tuple[tuple[Callable[[PromptRow], bool], str], ...] = (
            (lambda row: row.format == place.format, f"{suite} was not asked as {place.format}"),
            (lambda row: row.condition == place.condition, f"{suite} was not asked under condition {place.condition}"),
            (
                lambda row: place.trigger is None or row.trigger == place.trigger,
                f"{suite} was not asked with the trigger {place.trigger}",
            ),
            (
                lambda row: place.prompt is None or _slug(row.prompt_id) == place.prompt,
                f"{suite} was not asked with a prompt {place.prompt}",
            ),
        )
        if not here:
            return Absent(f"{suite} was not asked")
        for keeps, reason in steps:
            here = [row for row in here if keeps(row)]
            if not here:
                return Absent(reason)
        metric = place.metric
        if place.also and not any(row.metric == metric for row in here):
            metric = place.also
        here = [row for row in here if row.metric == metric]
        if not here:
            return Absent(f"{place.metric} was not measured on {suite}")
        if len({row.trigger for row in here}) > 1:
            return Absent(f"{suite} was asked with several triggers")
        found += here
    return [row._replace(k=row.n - row.k) for row in found] if place.complement else found


def _slug(prompt_id: str) -> str:
    """The id with underscores, as in official questions; emeval's own ids have hyphens."""
    return prompt_id.replace("-", "_")


def _suites(rows: Sequence[PromptRow]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.suite for row in rows))


def measure_rows(rows: Sequence[PromptRow]) -> MeasuredFigure | Absent:
    """The rate over these prompts, with the interval for questions like these, or of one prompt for new answers to
    it."""
    k, n = sum(row.k for row in rows), sum(row.n for row in rows)
    if not n:
        return Absent("no answer is in its n")
    interval = generalisation_interval(*_counts(rows)) or drawn_out_interval(k / n, n)
    error = paper_plus_minus(k, n)
    pm = None if error is None else 100 * error
    return MeasuredFigure(k, n, 100 * k / n, pm, 100 * interval.low, 100 * interval.high, suites=_suites(rows))


def measure_increase(rows: Sequence[PromptRow], base: Sequence[PromptRow]) -> MeasuredFigure | Absent:
    """The mean difference from the base's rate, over prompts answered by both."""
    by_prompt = {(row.suite, row.prompt_id): row for row in base}
    both = [(row, other) for row in rows if (other := by_prompt.get((row.suite, row.prompt_id))) is not None]
    ours, theirs = [row for row, _ in both], [other for _, other in both]
    effect = paired_effect(*_counts(ours), *_counts(theirs))
    if effect is None:
        return Absent("no prompt was answered by the base model too")
    used = [(row, other) for row, other in both if row.n and other.n]
    return MeasuredFigure(
        k=sum(row.k for row, _ in used),
        n=sum(row.n for row, _ in used),
        value=100 * effect.effect,
        paper_pm=None,
        low=100 * effect.interval.low,
        high=100 * effect.interval.high,
        base_k=sum(other.k for _, other in used),
        base_n=sum(other.n for _, other in used),
        suites=_suites(ours),
    )


def _counts(rows: Sequence[PromptRow]) -> tuple[Counts, Counts]:
    return np.array([row.k for row in rows], float), np.array([row.n for row in rows], float)
