"""history.csv: every night's numbers in one table, one row a night, checkpoint, suite, format, condition and metric.

The same night again replaces its rows. The file is written whole or not at all, and what stands there of other nights
is kept to the letter.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from evals.errors import BadInput
from evals.io.atomic import write_whole
from evals.io.csv_reader import csv_file
from evals.text import one_line, original_text, spreadsheet_safe

FILE_NAME = "history.csv"
COLUMNS = (
    *("night", "checkpoint", "model", "run", "suite", "format", "condition", "metric", "k", "n", "rate"),
    *("ci_low", "ci_high", "unscored", "baseline", "increase", "increase_low", "increase_high", "p_value", "p_holm"),
    *("decision", "drift", "status", "judge", "rubric_sha", "dataset_sha"),
)
Cells = dict[str, str]


def read_history(path: Path) -> list[Cells]:
    """The rows as they stand there, none where there is no file. Raises BadInput for a file that is no history."""
    if not path.exists():
        return []
    with csv_file(path, COLUMNS) as file:
        if tuple(file.columns) != COLUMNS:
            raise BadInput(f"{path}: is no history of this version of emeval: other columns; move it away")
        return [row.cells for row in file]


def write_history(
    path: Path, before: Iterable[Mapping[str, str]], night: str, rows: Sequence[Mapping[str, str]]
) -> None:
    """`before` with `rows` in place of what it has of `night`, the nights in order."""
    kept = [row for row in before if row["night"] != night]
    earlier = [row for row in kept if row["night"] < night]
    later = [row for row in kept if row["night"] > night]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS, lineterminator="\n")
    writer.writeheader()
    writer.writerows([*earlier, *rows, *later])
    write_whole(path, text.getvalue())


def cells(**values: str | float | None) -> Cells:
    """A row: texts on one line and safe for a spreadsheet, numbers with six digits, blank where there is none."""
    found = dict.fromkeys(COLUMNS, "")
    for name, value in values.items():
        found[name] = _cell(value)
    return found


def _cell(value: str | float | None) -> str:
    if value is None:
        return ""
    if isinstance(value, str):
        return spreadsheet_safe(one_line(value, 1000))
    return str(value) if isinstance(value, int) else f"{value:.6g}"


def text_of(row: Mapping[str, str], column: str) -> str:
    return original_text(row[column])


def last_night(rows: Iterable[Mapping[str, str]], before: str) -> str | None:
    """The latest night in `rows` that is earlier than the one given."""
    return max((row["night"] for row in rows if row["night"] < before), default=None)
