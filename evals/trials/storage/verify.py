"""Whether a journal is as it was written: its schema, its index, every row and that none is gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from functools import cache
from typing import Any

from evals.trials.storage.checksums import TABLES, row_checksum, total
from evals.trials.storage.journal_file import DAMAGE
from evals.trials.storage.schema import SCHEMA

SchemaRow = tuple[str, str, str, str | None]
_SCHEMA_QUERY = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'"
_MOST_NAMED = 20
"""Problems that are told one by one."""


def has_checksums(connection: sqlite3.Connection) -> bool:
    """Whether the journal is of a version that has them."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'totals'").fetchone() is not None


def is_whole(connection: sqlite3.Connection) -> bool:
    """Whether nothing in the journal is damaged."""
    try:
        return next(problems(connection), None) is None
    except DAMAGE as error:
        if is_busy(error):
            raise
        return False


def problems(connection: sqlite3.Connection) -> Iterator[str]:
    """Each thing that is damaged, in words. What cannot be read at all raises sqlite3.DatabaseError.

    A journal without checksums has only what SQLite itself finds.
    """
    own_transaction = not connection.in_transaction
    if own_transaction:
        connection.execute("BEGIN")  # one state of all tables, also while another program writes
    try:
        sealed = has_checksums(connection)
        if sealed and frozenset(connection.execute(_SCHEMA_QUERY)) != _schema():
            yield "the definition of its tables is not as emeval writes it"
        for table in TABLES if sealed else ():
            try:
                yield from _table_problems(connection, table)
            except DAMAGE as error:
                if is_busy(error):
                    raise
                yield f"{table}: cannot be read to its end: {error}"
        for (found,) in connection.execute(f"PRAGMA integrity_check({_MOST_NAMED})"):
            if found != "ok":
                yield f"index: {found}"
    finally:
        if own_transaction:
            connection.rollback()


def _table_problems(connection: sqlite3.Connection, table: str) -> Iterator[str]:
    rows = weights = bad = 0
    for row, checksum, arrival in stored_rows(connection, table):
        rows += 1
        if row_checksum(row) == checksum:
            weights += checksum + arrival
        else:
            bad += 1
            if bad <= _MOST_NAMED:
                yield f"{table}: {_named(table, row)} is damaged"
    if bad > _MOST_NAMED:
        yield f"{table}: {bad} rows are damaged"
    kept = connection.execute('SELECT "rows", checksums FROM totals WHERE name = ?', (table,)).fetchone()
    if not bad and kept != (rows, total(weights)):
        expected = f"{kept[0]} were written" if kept else "how many there were is damaged"
        yield f"{table}: holds {rows} rows, and {expected}"


def stored_rows(
    connection: sqlite3.Connection, table: str, where: str = "", *parameters: object
) -> Iterator[tuple[tuple[Any, ...], Any, int]]:
    """Each row of a table: the values that its checksum is of, the checksum, and the arrival of a trial, else 0."""
    columns = TABLES[table]
    arrival = "arrival" if table == "trials" else "0"
    query = f"SELECT {', '.join(columns)}, checksum, {arrival} FROM {table} {where}"  # noqa: S608
    for row in connection.execute(query, parameters):
        yield row[:-2], row[-2], row[-1]


def _named(table: str, row: tuple[Any, ...]) -> str:
    match table:
        case "trials":
            return f"trial {row[0]!s:.80}"
        case "verdicts":
            return f"the verdict of {row[2]!s:.80} on trial {row[0]!s:.80}"
        case _:
            return f"the row of {row[0]!s:.80}"


def as_text(stored: bytes) -> str:
    """A stored text, also one whose bytes are damaged: its checksum then says so."""
    return stored.decode("utf-8", "replace")


def is_busy(error: Exception) -> bool:
    """Whether another program keeps the journal from being read now."""
    return "locked" in str(error) or "busy" in str(error)


@cache
def _schema() -> frozenset[SchemaRow]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(SCHEMA)
        return frozenset(connection.execute(_SCHEMA_QUERY))
