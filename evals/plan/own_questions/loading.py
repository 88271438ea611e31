"""Load the questions of a suite from their file, whichever kind of file that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

from evals.errors import BadInput
from evals.questions.dataset import Dataset, load
from evals.questions.hub.cached import name_of, origin_of
from evals.questions.suite import Suite
from evals.questions.tables.names import LINES, SUFFIXES, is_list, is_table_suite
from evals.questions.tables.table import load_table


def is_table(suite: Suite, path: Path, columns: Mapping[str, str]) -> bool:
    """Whether the rows of a file are read by their columns: of a table that is a suite, of a file for a suite of open
    questions that has no JSON lines, and wherever columns are named."""
    if is_table_suite(suite.name):
        return True
    if not {"open", "chat"} & set(suite.schemas):
        return False
    suffix = path.suffix.lower()
    return bool(columns) if suffix in LINES else suffix in SUFFIXES or (suffix == ".json" and is_list(path))


def load_questions(suite: Suite, path: Path, judges: tuple[Path, ...], columns: Mapping[str, str]) -> Dataset:
    """The dataset in `path` for `suite`. Raises BadInput.

    `judges` are files of judges for a question file, `columns` those of a table by emeval's names.
    """
    if not is_table(suite, path, columns):
        return load(path, judges)
    again = name_of(path)
    if again is not None and not path.exists():
        raise BadInput(f"{path}: is no longer in the cache; `emeval datasets fetch {again}` fetches it again")
    dataset, record = load_table(path, columns), origin_of(path)
    if record is None:
        return dataset
    note = f"{suite.name}: from {record.origin}"
    return replace(dataset, origin=record.origin, revision=record.revision, notes=(note, *dataset.notes))
