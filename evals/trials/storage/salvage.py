"""What is whole in a damaged journal."""

from __future__ import annotations

import sqlite3
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from evals.trials.storage.checksums import TABLES, insert, row_checksum, sealed
from evals.trials.storage.journal_file import DAMAGE, connect, connect_to_read
from evals.trials.storage.schema import SCHEMA, SCHEMA_VERSION
from evals.trials.storage.verify import as_text, stored_rows

_KEY_COLUMNS = {"meta": 1, "cells": 6, "trials": 1, "verdicts": 2, "other_judges": 2}
_ORDER = {"trials": "arrival", "meta": "key", "cells": "suite", "verdicts": "trial_id", "other_judges": "judge_id"}
_Rows = dict[tuple[Any, ...], tuple[int, tuple[Any, ...]]]


def copy_whole_rows(damaged: Path, new: Path) -> int:
    """Make a journal at `new` of the rows of a journal that are whole; the number of its trials.

    A verdict on a trial that is not whole is left out: the trial is asked again, and so is its judge. Raises
    sqlite3.DatabaseError where the file is no database at all.
    """
    with closing(connect_to_read(damaged)) as source, closing(connect(new)) as made:
        source.text_factory = as_text
        source.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        trials = _whole(source, "trials")
        made.executescript(SCHEMA)
        with made:
            for table in TABLES:
                rows = trials if table == "trials" else _whole(source, table)
                kept = (
                    row
                    for _, row in sorted(rows.values(), key=lambda found: found[0])
                    if table != "verdicts" or (row[0],) in trials
                )
                made.executemany(insert(table), map(sealed, kept))
            made.execute(insert("meta", replace=True), sealed(("schema_version", str(SCHEMA_VERSION))))
        return len(trials)


def _whole(connection: sqlite3.Connection, table: str) -> _Rows:
    """The rows of a table whose checksum is right, from both ends of it and, for trials, from between."""
    found: _Rows = {}
    for direction in ("", " DESC"):
        _add(found, connection, table, f"ORDER BY {_ORDER[table]}{direction}")
    if table == "trials":
        for arrival in range(1, 1 + max((arrival for arrival, _ in found.values()), default=0)):
            _add(found, connection, table, "WHERE arrival = ?", arrival)
    return found


def _add(found: _Rows, connection: sqlite3.Connection, table: str, where: str, *parameters: object) -> None:
    with suppress(*DAMAGE):
        for row, checksum, arrival in stored_rows(connection, table, where, *parameters):
            if row_checksum(row) == checksum:
                found.setdefault(row[: _KEY_COLUMNS[table]], (arrival, row))
