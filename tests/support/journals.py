"""Journals that were changed on purpose and are as whole as any, and journals of earlier versions of emeval."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from typing import Any

from evals.trials.journal import Journal
from evals.trials.record import RecordedTrial
from evals.trials.response import Response
from evals.trials.storage.checksums import Totals
from evals.trials.storage.old_layout import SCHEMA, TABLES, row_checksum
from evals.trials.storage.texts import unpacked

_TEXTS = ("raw", "raw_reasoning", "reasoning", "answer")


def alter(folder: Path, *statements: str, parameters: tuple[object, ...] = ()) -> None:
    """Change the journal in `folder` in SQL, by the tables `trials`, `verdicts`, `cells` and `other_judges`, and give
    every row its checksum again."""
    as_version_4(folder)
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal, journal:
        for statement in statements:
            journal.execute(statement, parameters)
        _seal(journal)
    with Journal.open(folder):
        pass


def as_version_4(folder: Path) -> None:
    """Make the journal in `folder` one of schema 4."""
    rows = old_rows(folder)
    for path in folder.glob("journal.sqlite*"):
        path.unlink()
    write_version_4(folder, rows)


def write_version_4(folder: Path, rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> None:
    """Make a journal of schema 4 of these rows."""
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal, journal:
        journal.execute("PRAGMA journal_mode = WAL")
        journal.executescript(SCHEMA)
        for table, found in rows.items():
            for row in found:
                columns = ", ".join((*row, "checksum"))
                values = (*row.values(), 0)
                journal.execute(f"INSERT INTO {table} ({columns}) VALUES ({', '.join('?' * len(values))})", values)  # noqa: S608
        _seal(journal)


def as_version_3(folder: Path) -> None:
    """Make the journal in `folder` one of schema 3, which had no checksums."""
    as_version_4(folder)
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal, journal:
        for (name,) in journal.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            journal.execute(f"DROP TRIGGER {name}")
        journal.execute("DROP TABLE totals")
        journal.execute("UPDATE meta SET value = '3' WHERE key = 'schema_version'")
        for table in TABLES:
            journal.execute(f"ALTER TABLE {table} DROP COLUMN checksum")


def old_rows(folder: Path) -> dict[str, list[dict[str, Any]]]:
    """The journal in `folder` as rows of the tables of schema 4."""
    with Journal.read(folder) as journal:
        trials = {trial.trial_id: trial for trial in journal.trials_in_plan_order()}
        others = [*_rows(folder, "SELECT * FROM verdicts")]
        replies = {
            (row["trial_id"], row["judge_id"]): ruling.reply
            for row in others
            if (ruling := journal.ruling_of(row["trial_id"], row["judge_id"])) is not None
        }
    named = [{name: row[name] for name in TABLES["other_judges"]} for row in others if row["answered_as"]]
    text = "(SELECT text FROM texts WHERE id = {0}) AS {1}"
    kept = ", ".join(
        text.format(*names)
        for names in (("judge", "judge_id"), ("judge_model", "judge_model"), ("answered_as", "answered_as"))
    )
    request = "CASE typeof(request) WHEN 'blob' THEN lower(hex(request)) ELSE request END AS request_id"
    named += _rows(folder, f"SELECT {kept}, {request} FROM other_replies")  # noqa: S608
    meta = [row for row in _rows(folder, "SELECT key, value FROM meta") if row["key"] != "schema_version"]
    return {
        "meta": [*meta, {"key": "schema_version", "value": "4"}],
        "cells": _rows(folder, f"SELECT {', '.join(TABLES['cells'])} FROM cells"),  # noqa: S608
        "trials": [_whole(row) | _said(trials[row["trial_id"]]) for row in _rows(folder, "SELECT * FROM trials")],
        "verdicts": [
            {name: row[name] for name in TABLES["verdicts"]} | {"reply": replies[row["trial_id"], row["judge_id"]]}
            for row in others
        ],
        "other_judges": list({(row["judge_id"], row["request_id"]): row for row in named}.values()),
    }


def _whole(row: dict[str, Any]) -> dict[str, Any]:
    """A row whose prompt and reference may be long."""
    return row | {name: unpacked(row[name]) for name in ("messages", "reference", "options") if row[name] is not None}


def _said(trial: RecordedTrial) -> dict[str, Any]:
    return {name: getattr(trial.result, name) for name in _TEXTS} if isinstance(trial.result, Response) else {}


def _rows(folder: Path, query: str) -> list[dict[str, Any]]:
    with closing(sqlite3.connect(folder / "journal.sqlite", timeout=30)) as journal:
        journal.row_factory = sqlite3.Row
        return [dict(row) for row in journal.execute(query)]


def _seal(journal: sqlite3.Connection) -> None:
    for table, columns in TABLES.items():
        arrival = ("arrival",) if table == "trials" else ()
        named = (*arrival, *columns)
        rows = journal.execute(f"SELECT {', '.join(named)} FROM {table}").fetchall()  # noqa: S608
        journal.execute(f"DELETE FROM {table}")  # noqa: S608
        marks = ", ".join("?" * (len(named) + 1))
        sealed = [(*row, row_checksum(row[len(arrival) :])) for row in rows]
        journal.executemany(f"INSERT INTO {table} ({', '.join(named)}, checksum) VALUES ({marks})", sealed)  # noqa: S608


def drop_trial(journal: sqlite3.Connection, arrival: int) -> None:
    """Take a trial out as if it had never been recorded."""
    checksum = journal.execute("SELECT checksum FROM draws WHERE arrival = ?", (arrival,)).fetchone()[0]
    journal.execute("DELETE FROM draws WHERE arrival = ?", (arrival,))
    count_rows(journal, "draws", -1, -checksum)


def count_rows(journal: sqlite3.Connection, table: str, rows: int, checksums: int) -> None:
    totals = Totals()
    totals.change(table, rows, checksums)
    totals.write(journal)
