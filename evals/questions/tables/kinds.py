"""Which kind of file a file of questions is, where no suite says so."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

from evals.errors import BadInput
from evals.io.paths import open_file
from evals.questions.dataset import CSV_FIELDS, OF_NO_SCHEMA, Report, check
from evals.questions.tables.names import LINES, suite_of_table
from evals.questions.tables.table import check_table

_HEAD = 1 << 16


def check_any(path: Path, judges: Sequence[Path] = (), columns: Mapping[str, str] | None = None) -> Report:
    """The dataset in a file, or its problems: by the schema of its rows where it has one of emeval's, else as a table.

    Raises BadInput for what cannot be read as a table.
    """
    is_table = suite_of_table(path) is not None
    if columns:
        if not is_table:
            raise BadInput(f"--columns: is for a table of questions; {path} is not one")
        return check_table(path, columns)
    if is_table and path.suffix.lower() not in LINES:
        return check(path, judges) if _is_truthfulqa(path) else check_table(path)
    report = check(path, judges)
    if not is_table or not any(OF_NO_SCHEMA in problem.reason for problem in report.problems):
        return report
    try:
        return check_table(path)
    except BadInput:
        return report


def _is_truthfulqa(path: Path) -> bool:
    """Whether the first line of a file names the columns of TruthfulQA.csv that tell it from others."""
    try:
        with open_file(path) as file:
            head = file.readline(_HEAD).decode("utf-8-sig", "replace")
    except OSError:
        return False
    return path.suffix.lower() == ".csv" and all(name in head for name in CSV_FIELDS if name.endswith(" Answers"))
