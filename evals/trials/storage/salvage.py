"""What is whole in a damaged journal."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from evals.trials.storage.journal_file import DAMAGE, connect, connect_to_read
from evals.trials.storage.layouts import OLD, Layout, layout_of
from evals.trials.storage.migrate import copy_other_judge, copy_trial, copy_verdict, define_tables
from evals.trials.storage.schema import ASKED, DRAWS, ENDINGS, KEYS, MANNERS, SCHEMA_VERSION
from evals.trials.storage.store import Store
from evals.trials.storage.verify import as_text, stored_rows

_ORDER = {
    **{"meta": "key", "cells": "suite", "draws": "arrival", "rulings": "trial", "other_replies": "judge"},
    **{"trials": "arrival", "verdicts": "trial_id", "other_judges": "judge_id"},
}
_OLD_KEYS = {"meta": 1, "cells": 6, "trials": 1, "verdicts": 2, "other_judges": 2}
_Row = tuple[Any, ...]
_Rows = dict[_Row, tuple[int, _Row]]
"""The rows of a table by their key; of a trial with its arrival."""
_BASE = DRAWS.index("base")


def copy_whole_rows(damaged: Path, new: Path) -> int:
    """Make a journal at `new` of the rows of a journal that are whole; the number of its trials.

    A trial whose prompt is not whole is left out, and so is a verdict on a trial that is: both are asked again. Raises
    sqlite3.DatabaseError where the file is no database at all.
    """
    with closing(connect_to_read(damaged)) as source, closing(connect(new)) as made:
        source.text_factory = as_text
        source.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
        layout = layout_of(source)
        found = {table: _whole(source, layout, table) for table in layout.tables}
        made.execute("BEGIN IMMEDIATE")
        define_tables(made)
        store = Store(made)
        with store.writing():
            for (key,), (_, row) in found["meta"].items():
                if key != "schema_version":
                    store.put("meta", row)
            store.put("meta", ("schema_version", str(SCHEMA_VERSION)))
            for _, row in found["cells"].values():
                store.put("cells", row)
            (_copy_old if layout is OLD else _copy_current)(store, found)
        made.commit()
        return len(made.execute("SELECT arrival FROM draws").fetchall())


def _copy_old(store: Store, found: dict[str, _Rows]) -> None:
    trials = found["trials"]
    for arrival, row in sorted(trials.values(), key=lambda kept: kept[0]):
        copy_trial(store, row, arrival)
    others = found["other_judges"]
    for _, row in found["verdicts"].values():
        if (row[0],) in trials:
            named = others.pop((row[1], row[4]), None)
            copy_verdict(store, row, named[1][3] if named else "")
    for _, row in others.values():
        copy_other_judge(store, row)


def _copy_current(store: Store, found: dict[str, _Rows]) -> None:
    texts = {key[0] for key in found["texts"]}
    for _, row in found["texts"].values():
        store.put("texts", row)
    kept: dict[str, set[Any]] = {}
    for table, columns in (("asked", ASKED), ("endings", ENDINGS), ("manners", MANNERS)):
        kept[table] = set()
        for _, row in found[table].values():
            if _refer(row[1 : 1 + len(columns)], texts):
                kept[table].add(row[0])
                store.put(table, row)
    arrivals: set[Any] = {None}
    for row in _by_base(found["draws"]):
        if row[3] in kept["asked"] and row[4] in kept["endings"] and row[_BASE] in arrivals:
            arrivals.add(row[0])
            store.put("draws", row)
    for _, row in found["rulings"].values():
        if row[0] in arrivals and row[1] in texts and row[3] in kept["manners"]:
            store.put("rulings", row)
    for _, row in found["other_replies"].values():
        if _refer((row[0], *row[2:]), texts):
            store.put("other_replies", row)


def _refer(numbers: _Row, texts: Collection[Any]) -> bool:
    return all(number is None or number in texts for number in numbers)


def _by_base(draws: _Rows) -> Iterator[_Row]:
    """Trials, those first that others may be stored against."""
    rows = sorted((row for _, row in draws.values()), key=lambda row: row[0])
    yield from (row for row in rows if row[_BASE] is None)
    yield from (row for row in rows if row[_BASE] is not None)


def _whole(connection: sqlite3.Connection, layout: Layout, table: str) -> _Rows:
    """The rows of a table whose checksum is right, from both ends of it and, where they are numbered, from between."""
    found: _Rows = {}
    number = _ORDER.get(table, "id")
    for direction in ("", " DESC"):
        _add(found, connection, layout, table, f"ORDER BY {number}{direction}")
    if number in ("arrival", "id"):
        numbers = (arrival if layout is OLD else row[0] for arrival, row in found.values())
        for wanted in range(1, 1 + max(numbers, default=0)):
            _add(found, connection, layout, table, f"WHERE {number} = ?", wanted)
    return found


def _add(
    found: _Rows, connection: sqlite3.Connection, layout: Layout, table: str, where: str, *parameters: object
) -> None:
    keys = (_OLD_KEYS if layout is OLD else KEYS).get(table, 1)
    with suppress(*DAMAGE):
        for row, checksum, arrival in stored_rows(connection, layout, table, where, *parameters):
            if layout.row_checksum(row) == checksum:
                found.setdefault(row[:keys], (arrival, row))
