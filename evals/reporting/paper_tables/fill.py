"""Fill a table from runs: the measured and published figure of every cell, and whether they overlap."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from evals.errors import BadInput
from evals.reporting.paper_tables.likeness import NOT_MEASURED, Provenance, differences, judging_rows, provenance
from evals.reporting.paper_tables.measured import (
    MeasuredFigure,
    measure_increase,
    measure_rows,
    rows_at,
)
from evals.reporting.paper_tables.published import PublishedFigure, figures
from evals.reporting.paper_tables.rows import PromptRow, read_run
from evals.reporting.paper_tables.table import BASE, Absent, Line, Series, Table

_ROUNDED = 0.5


@dataclass(frozen=True)
class Filled:
    """One cell: emeval's figure or why it is missing, with the published figure, if any.

    `differences` says why the two cannot be compared: other questions, another rubric, another judge.
    """

    line: Line
    ours: MeasuredFigure | Absent
    published: PublishedFigure | None
    provenance: Provenance = NOT_MEASURED
    differences: tuple[str, ...] = ()

    @property
    def overlaps(self) -> bool | None:
        """Whether the two 95% intervals overlap, None if either is missing, is approximate, or cannot be compared.

        A figure published without error counts as rounded to a whole percent.
        """
        if isinstance(self.ours, Absent) or self.published is None:
            return None
        if self.differences or self.published.is_approximate:
            return None
        reach = _ROUNDED if self.published.error_95 is None else self.published.error_95
        return self.ours.low <= self.published.value + reach and self.published.value - reach <= self.ours.high


@dataclass(frozen=True)
class Section:
    """A column of the table: its models and runs, and the published series to compare with."""

    models: tuple[str, ...]
    runs: tuple[str, ...]
    beside: Series | None
    cells: tuple[Filled, ...]


@dataclass(frozen=True)
class FilledTable:
    """A table with its filled columns."""

    table: Table
    sections: tuple[Section, ...]


def fill_table(
    table: Table,
    folders: Sequence[Path],
    base: Path | None,
    stands_for: Mapping[str, str],
    paper_rubrics: frozenset[str] = frozenset(),
) -> FilledTable:
    """Fill `table` from run folders. `stands_for` maps a model to a published series, by any words of its name.

    `paper_rubrics` are the sha256 of rubrics that hold the paper's own text.

    Raises BadInput for a folder that is no run, a missing or unused base, and an unknown series.
    """
    if table.over_base and base is None:
        raise BadInput(f"--base is missing: {table.name} shows the increase over a base model's run")
    if base is not None and not table.over_base and not any(_is_base(series) for series in _series(table)):
        raise BadInput(f"--base: {table.name} has no figures of a base model; name that run with the others")
    given = list(dict.fromkeys([*folders, base] if base is not None and not table.over_base else folders))
    rows = [row for folder in given for row in read_run(folder, is_base=folder == base)]
    base_rows = _rows_of_base(base) if table.over_base and base is not None else []
    return fill_from(table, rows, base_rows, stands_for, paper_rubrics)


def fill_from(
    table: Table,
    rows: Sequence[PromptRow],
    base_rows: Sequence[PromptRow],
    stands_for: Mapping[str, str],
    paper_rubrics: frozenset[str] = frozenset(),
) -> FilledTable:
    """Fill `table` from the rows of runs. `base_rows` are those of the base model, for tables of increases over it.

    Raises BadInput for an unknown series.
    """
    named = {model: _find_series(table, model, words) for model, words in stands_for.items()}
    unknown = [model for model in named if model not in {row.model for row in rows}]
    if unknown:
        known = ", ".join(sorted({row.model for row in rows}))
        raise BadInput(f"--as: no run has a model {unknown[0]!r}; they have: {known}")

    def beside(row: PromptRow) -> Series | None:
        return named.get(row.model) or table.beside(row.run.config, row.run.is_base)

    columns = _columns(table, rows, beside)
    under = base_rows if table.over_base else None
    sections: list[Section] = []
    for series, column in columns:
        cells = (_filled(line, column, under, _published(table, line, series), paper_rubrics) for line in table.lines)
        models, runs = dict.fromkeys(row.model for row in column), dict.fromkeys(row.run.id for row in column)
        sections.append(Section(tuple(models), tuple(runs), series, tuple(cells)))
    return FilledTable(table, tuple(sections))


def _rows_of_base(folder: Path) -> list[PromptRow]:
    rows = read_run(folder, is_base=True)
    models = sorted({row.model for row in rows})
    if len(models) != 1:
        raise BadInput(f"--base: {folder} must hold one model, and holds {', '.join(models) or 'none'}")
    return rows


def _filled(
    line: Line,
    rows: Sequence[PromptRow],
    base: Sequence[PromptRow] | None,
    figure: PublishedFigure | None,
    paper_rubrics: frozenset[str],
) -> Filled:
    found = rows_at(line.place, rows)
    if isinstance(found, Absent):
        return Filled(line, found, figure)
    used = judging_rows(found, rows)
    if base is None:
        ours = measure_rows(found, mean=line.place.mean)
    else:
        under = rows_at(line.place, base)
        if isinstance(under, Absent):
            return Filled(line, Absent(f"of the base model, {under.reason}"), figure)
        ours = measure_increase(found, under)
        used += judging_rows(under, base)
    unlike = () if figure is None else differences(line.place, used, figure, paper_rubrics)
    return Filled(line, ours, figure, provenance(used, paper_rubrics), unlike)


# --- columns ----------------------------------------------------------------------------------------------------------


def _columns(
    table: Table, rows: Sequence[PromptRow], beside: Callable[[PromptRow], Series | None]
) -> list[tuple[Series | None, list[PromptRow]]]:
    """The rows of each column: one model in one setting, from any number of runs.

    Runs that fill the same cell become separate columns, as do models in a table of several models.
    """
    keys: list[Callable[[PromptRow], object]] = [
        lambda row: (row.model, beside(row), row.run.is_base),
        lambda row: (row.model, beside(row), row.run),
    ]
    if table.together:
        keys.insert(0, lambda row: (beside(row), row.run.is_base))
    columns = [list(rows)]
    for depth, key in enumerate(keys):
        split: list[list[PromptRow]] = []
        for column in columns:
            split += _grouped(column, key) if depth == 0 or _is_ambiguous(table, column) else [column]
        columns = split
    return [(beside(column[0]), column) for column in columns]


def _grouped(rows: Iterable[PromptRow], key: Callable[[PromptRow], object]) -> list[list[PromptRow]]:
    groups: dict[object, list[PromptRow]] = {}
    for row in rows:
        groups.setdefault(key(row), []).append(row)
    return list(groups.values())


def _is_ambiguous(table: Table, rows: Sequence[PromptRow]) -> bool:
    """Whether a cell could be filled from more than one source."""
    for line in table.lines:
        found = rows_at(line.place, rows)
        if not isinstance(found, Absent):
            sources = {(row.suite, row.run, row.model) for row in found}
            if len(sources) > len(line.place.suites):
                return True
    return False


# --- published --------------------------------------------------------------------------------------------------------


def _series(table: Table) -> list[Series]:
    """The published columns of a table, in the paper's order."""
    return list(dict.fromkeys(Series(it.model, it.training) for it in figures() if it.source in table.sources))


def _is_base(series: Series) -> bool:
    return series.training.split(",")[0] == BASE


def _find_series(table: Table, model: str, words: str) -> Series:
    known = _series(table)
    exact = [series for series in known if words.lower() in (str(series).lower(), series.training.lower())]
    found = exact or [series for series in known if words.lower() in str(series).lower()]
    if len(found) == 1:
        return found[0]
    problem = "is several columns" if found else "is no column"
    raise BadInput(f"--as {model}: {words!r} {problem} of {table.name}; it has: {'; '.join(map(str, known))}")


def _published(table: Table, line: Line, series: Series | None) -> PublishedFigure | None:
    if series is None:
        return None
    training = series.training if line.training is None else line.training
    key = (series.model, training, line.item, line.metric)
    for figure in figures():
        if figure.source in table.sources and (figure.model, figure.training, figure.item, figure.metric) == key:
            return figure
    return None
