"""Make a journal of schema 3 or 4 one of this version: in its place, or as a copy that is only read.

In its place it is one transaction, and a copy of the file is kept until it is done.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator, Sequence
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

from evals.trials.storage.old_layout import TABLES
from evals.trials.storage.schema import ASKED, ENDINGS, MANNERS, SCHEMA, SCHEMA_VERSION
from evals.trials.storage.store import Draw, Ruling, Store
from evals.trials.storage.texts import packed_id, packed_time

OLD_VERSIONS = ("3", "4")
_WORTH_SHRINKING = 1000
"""Free pages of a file that is made smaller, if they are most of it."""


def migrate(connection: sqlite3.Connection, path: Path, version: str) -> None:
    """Migrate the journal at `path`, which `connection` has open and nobody else writes to. Raises sqlite3.Error."""
    copy = copy_path(path, version)
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(copy)) as kept:
        connection.backup(kept)
    connection.execute("BEGIN IMMEDIATE")
    try:
        tables = _tables(connection)
        for (trigger,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            connection.execute(f'DROP TRIGGER "{trigger}"')
        connection.execute("DROP TABLE IF EXISTS totals")
        for table in tables:
            connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
        _fill(connection, connection, "old_", tables)
        for table in tables:
            connection.execute(f"DROP TABLE old_{table}")
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    copy.unlink(missing_ok=True)


def shrink(connection: sqlite3.Connection) -> None:
    """Give back the space that a migration left, if it is most of the file."""
    (free,), (pages,) = (connection.execute(f"PRAGMA {name}").fetchone() for name in ("freelist_count", "page_count"))
    if free > _WORTH_SHRINKING and 2 * free > pages:
        with suppress(sqlite3.OperationalError):  # the disk is full or someone reads: the file is only too large
            connection.execute("VACUUM")


def migrated_copy(source: sqlite3.Connection) -> sqlite3.Connection:
    """A private copy of a journal of an earlier schema in this one; SQLite deletes it when it is closed."""
    made = sqlite3.connect("", check_same_thread=False)
    try:
        made.execute("PRAGMA journal_mode = OFF")
        made.execute("PRAGMA synchronous = OFF")
        made.execute("BEGIN")
        _fill(source, made, "", _tables(source))
        made.commit()
    except BaseException:
        made.close()
        raise
    return made


def copy_path(path: Path, version: str) -> Path:
    """Where the journal at `path` is kept as it was while it is migrated."""
    return path.with_name(f"{path.name}.v{version}")


def copy_paths(path: Path) -> list[Path]:
    return [copy_path(path, version) for version in OLD_VERSIONS]


def define_tables(connection: sqlite3.Connection) -> None:
    """Make the tables within a transaction, which a script would end."""
    statement = ""
    for line in SCHEMA.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            connection.execute(statement)
            statement = ""


def _tables(connection: sqlite3.Connection) -> list[str]:
    there = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
    return [table for table in TABLES if table in there]


def _fill(source: sqlite3.Connection, made: sqlite3.Connection, prefix: str, tables: Sequence[str]) -> None:
    """Make the tables in `made`, and fill them from those of `source`."""
    define_tables(made)
    store = Store(made)

    def rows(columns: Sequence[str], table: str, rest: str = "") -> Iterator[tuple[Any, ...]]:
        return source.execute(f"SELECT {', '.join(columns)} FROM {prefix}{table} t {rest}")  # noqa: S608

    with store.writing():
        for key, value in rows(TABLES["meta"], "meta"):
            store.put("meta", (key, str(SCHEMA_VERSION) if key == "schema_version" else value))
        for row in rows(TABLES["cells"], "cells"):
            store.put("cells", row)
        for arrival, *row in rows(("arrival", *TABLES["trials"]), "trials", "ORDER BY arrival"):
            copy_trial(store, row, arrival)
        columns = tuple(f"t.{column}" for column in TABLES["verdicts"])
        if "other_judges" not in tables:
            for row in rows(columns, "verdicts"):
                copy_verdict(store, row, "")
            return
        same = "{0}.judge_id = t.judge_id AND {0}.request_id = t.request_id AND {0}.judge_model = t.judge_model"
        named = f"LEFT JOIN {prefix}other_judges o ON {same.format('o')}"
        for *row, answered_as in rows((*columns, "o.answered_as"), "verdicts", named):
            copy_verdict(store, row, answered_as or "")
        alone = f"WHERE NOT EXISTS (SELECT 1 FROM {prefix}verdicts v WHERE {same.format('v')})"  # noqa: S608
        for row in rows(TABLES["other_judges"], "other_judges", alone):
            copy_other_judge(store, row)


def copy_trial(store: Store, row: Sequence[Any], arrival: int) -> None:
    """Record a trial from a row of the old table."""
    old = dict(zip(TABLES["trials"], row, strict=True))
    values = tuple(old[name] for name in ASKED)
    ending = store.ending(tuple(old[name] for name in ENDINGS))
    old["recorded_at"] = packed_time(old["recorded_at"])
    store.draw(Draw(*(old[name] for name in Draw._fields)), store.asked(values, lambda: values), ending, arrival)


def copy_verdict(store: Store, row: Sequence[Any], answered_as: str) -> None:
    """Record a verdict from a row of the old table."""
    old: dict[str, Any] = {**dict(zip(TABLES["verdicts"], row, strict=True)), "answered_as": answered_as}
    old["recorded_at"] = packed_time(old["recorded_at"])
    store.ruling(Ruling(*(old[name] for name in Ruling._fields)), tuple(old[name] for name in MANNERS))


def copy_other_judge(store: Store, row: Sequence[Any]) -> None:
    """Keep the name that a reply gave whose verdict is gone."""
    judge_id, request_id, judge_model, answered_as = row
    named = (store.text(judge_model), store.text(answered_as))
    store.put("other_replies", (store.text(judge_id), packed_id(request_id), *named))
