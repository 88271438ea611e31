"""history.csv: all nights in one table, with a row per night, checkpoint, suite, format, condition and metric.

Running a night again replaces its rows; the rows of other nights are kept verbatim. The file is written atomically.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path

from evals.errors import BadInput
from evals.io.atomic import write_whole
from evals.io.columns import Column, column_names
from evals.io.csv_reader import csv_file
from evals.io.csv_writer import csv_cell, csv_row, raw_csv_row
from evals.scoring.rates.columns import (
    CI_HIGH,
    CI_LOW,
    CONDITION,
    DATASET_SHA,
    FORMAT,
    JUDGE,
    METRIC,
    RATE,
    RUBRIC_SHA,
    SUITE,
    K,
    N,
)
from evals.text import one_line, original_text

FILE_NAME = "history.csv"
HISTORY = (
    Column("night", "text", "the date"),
    Column("checkpoint", "text", "the checkpoint's name"),
    Column("model", "text", "the model as it was asked for"),
    Column("run", "text", "the run folder, relative to `out`"),
    *(SUITE, FORMAT, CONDITION, METRIC, K, N, RATE, CI_LOW, CI_HIGH),
    Column("unscored", "number", "share of the answers that should have been in n and are not"),
    Column("baseline", "text", "what it was compared with: a checkpoint, a night and checkpoint, or a folder"),
    Column("increase", "number", "rate less that of the baseline, mean over questions, from -1 to 1"),
    Column("increase_low", "number", "lower end of its 95% interval for questions like these"),
    Column("increase_high", "number", "its upper end"),
    Column("p_value", "number", "of no difference on questions like these"),
    Column("p_holm", "number", "adjusted for all compared rates of the checkpoint in this night"),
    Column("increase_gen_low", "number", "lower end of its 95% interval on these questions"),
    Column("increase_gen_high", "number", "its upper end"),
    Column("gen_p_value", "number", "of no difference on these questions (exact, stratified by question)"),
    Column("gen_p_holm", "number", "adjusted for all compared rates of the checkpoint in this night"),
    Column(
        "differs",
        "text",
        "whether the checkpoint differs from its baseline, `yes` or `no`, where 5% of all that are said to differ over "
        "all nights may be false (LORD++)",
    ),
    Column(
        "decision",
        "text",
        "`regression`, `above`, `below`, `unscored`, `not comparable`, `unclear`, `no baseline`, `baseline`, `within`: "
        "the worst of its gates; blank without one",
    ),
    Column(
        "drift",
        "text",
        "what changed since the nights before, by the anchors: `none`, `system`, `judge`, `unknown` (a change that "
        "cannot be told whose it is), `not watched`",
    ),
    Column("status", "text", "`complete`, `incomplete`, `failed`, `not started`"),
    JUDGE,
    RUBRIC_SHA,
    DATASET_SHA,
)
COLUMNS = column_names(HISTORY)
_ADDED = frozenset({"increase_gen_low", "increase_gen_high", "gen_p_value", "gen_p_holm", "differs"})
"""Columns that an earlier history may lack."""
Cells = dict[str, str]


def read_history(path: Path) -> list[Cells]:
    """The rows as they are in the file, [] if there is no file. Raises BadInput for a file that is no history.

    Cells of columns that were added later are blank.
    """
    if not path.exists():
        return []
    with csv_file(path, COLUMNS) as file:
        known = tuple(name for name in COLUMNS if name in file.columns or name not in _ADDED)
        if tuple(file.columns) != known:
            raise BadInput(f"{path}: is no history of this version of emeval: other columns; move it away")
        return [dict.fromkeys(COLUMNS, "") | row.cells for row in file]


def write_history(
    path: Path, before: Iterable[Mapping[str, str]], night: str, rows: Sequence[Mapping[str, str]]
) -> None:
    """Write `before` with its rows of `night` replaced by `rows`, in the order of nights."""
    others = [row for row in before if row["night"] != night]
    earlier = [row for row in others if row["night"] < night]
    later = [row for row in others if row["night"] > night]
    lines = [raw_csv_row(row[name] for name in COLUMNS) for row in (*earlier, *rows, *later)]
    write_whole(path, "".join((csv_row(COLUMNS), *lines)))


def cells(**values: str | float | None) -> Cells:
    """A row: texts on one line and safe for spreadsheets, numbers with six digits, blank for None."""
    found = dict.fromkeys(COLUMNS, "")
    for name, value in values.items():
        found[name] = csv_cell(one_line(value, 1000) if isinstance(value, str) else value, ".6g")
    return found


def text_of(row: Mapping[str, str], column: str) -> str:
    return original_text(row[column])


def last_night(rows: Iterable[Mapping[str, str]], before: str) -> str | None:
    """The latest night in `rows` earlier than `before`, or None."""
    return max((row["night"] for row in rows if row["night"] < before), default=None)
