"""Make a journal of schema 3, which had no checksums, one of schema 4.

It is one transaction, and a copy is kept until it is done.
"""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from evals.trials.storage.checksums import TABLES, insert, sealed
from evals.trials.storage.schema import SCHEMA

OLD_VERSION = "3"


def migrate(connection: sqlite3.Connection, path: Path, version: int) -> None:
    """Migrate the journal at `path`, which `connection` has open and nobody else writes to. Raises sqlite3.Error."""
    copy = copy_path(path)
    copy.unlink(missing_ok=True)
    with closing(sqlite3.connect(copy)) as kept:
        connection.backup(kept)
    connection.execute("BEGIN IMMEDIATE")
    try:
        tables = {str(name) for (name,) in connection.execute("SELECT name FROM sqlite_master WHERE type = 'table'")}
        old = [table for table in TABLES if table in tables]
        for table in old:
            connection.execute(f"ALTER TABLE {table} RENAME TO old_{table}")
        connection.execute("DROP INDEX IF EXISTS verdicts_by_request")
        for statement in _statements():
            connection.execute(statement)
        for table in old:
            _copy_rows(connection, table)
            connection.execute(f"DROP TABLE old_{table}")
        connection.execute(insert("meta", replace=True), sealed(("schema_version", str(version))))
        connection.commit()
    except BaseException:
        connection.rollback()
        raise
    copy.unlink(missing_ok=True)


def copy_path(path: Path) -> Path:
    """Where the journal at `path` is kept as it was while it is migrated."""
    return path.with_name(f"{path.name}.v{OLD_VERSION}")


def _copy_rows(connection: sqlite3.Connection, table: str) -> None:
    columns = TABLES[table]
    order = " ORDER BY arrival" if table == "trials" else ""
    rows = connection.execute(f"SELECT {', '.join(columns)} FROM old_{table}{order}")  # noqa: S608
    connection.executemany(insert(table), (sealed(row) for row in rows))


def _statements() -> list[str]:
    """The statements of the schema, one by one: a script would end the transaction."""
    found: list[str] = []
    statement = ""
    for line in SCHEMA.splitlines(keepends=True):
        statement += line
        if sqlite3.complete_statement(statement):
            found.append(statement)
            statement = ""
    return found
