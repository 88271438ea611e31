"""Whether a journal is as it was written: its schema, its index, every row and that none is gone."""

from __future__ import annotations

import sqlite3
from collections.abc import Collection, Iterator
from contextlib import closing, suppress
from functools import cache
from typing import Any

from evals.numbers import counted
from evals.trials.storage.checksums import total
from evals.trials.storage.journal_file import DAMAGE
from evals.trials.storage.layouts import OLD, Layout, layout_of
from evals.trials.storage.schema import ASKED, ENDINGS, SHOWN_AS
from evals.trials.storage.texts import unpacked_id

SchemaRow = tuple[str, str, str, str | None]
_SCHEMA_QUERY = "SELECT type, name, tbl_name, sql FROM sqlite_master WHERE name NOT LIKE 'sqlite_stat%'"
_LARGE = ("draws", "rulings")
_MOST_NAMED = 20
"""Problems that are told one by one."""


def has_checksums(connection: sqlite3.Connection) -> bool:
    """Whether the journal is of a version that has them."""
    return connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'totals'").fetchone() is not None


def is_whole(connection: sqlite3.Connection, *, small_tables: bool = False, to_count: bool = False) -> bool:
    """Whether nothing in the journal is damaged, or in its `small_tables`: all but those with a row for each trial.
    `to_count`: what its indices say of each row is not looked at, which counting does not ask them."""
    try:
        return next(problems(connection, small_tables=small_tables, to_count=to_count), None) is None
    except DAMAGE as error:
        if is_busy(error):
            raise
        return False


def problems(connection: sqlite3.Connection, *, small_tables: bool = False, to_count: bool = False) -> Iterator[str]:
    """Each thing that is damaged, in words. What cannot be read at all raises sqlite3.DatabaseError.

    A journal of schema 3 has no checksums, and only what SQLite itself finds.
    """
    own_transaction = not connection.in_transaction
    if own_transaction:
        connection.execute("BEGIN")  # one state of all tables, also while another program writes
    try:
        layout = layout_of(connection)
        if has_checksums(connection) or layout is not OLD:
            yield from _row_problems(connection, layout, _LARGE if small_tables else ())
        # To compare each index with its table takes as long as to verify every row.
        pragma = "quick_check" if to_count else "integrity_check"
        whole_file = () if small_tables else connection.execute(f"PRAGMA {pragma}({_MOST_NAMED})")
        for (found,) in whole_file:
            if found != "ok":
                yield f"index: {found}"
        if to_count and not small_tables:
            yield from _short_indices(connection)
    finally:
        if own_transaction:
            connection.rollback()


def _row_problems(connection: sqlite3.Connection, layout: Layout, left_out: Collection[str]) -> Iterator[str]:
    if frozenset(connection.execute(_SCHEMA_QUERY)) != _schema(layout.definitions):
        yield "the definition of its tables is not as emeval writes it"
    bad: dict[str, set[Any]] = {table: set() for table in layout.tables}
    for table in layout.tables:
        if table in left_out:
            continue
        try:
            yield from _table_problems(connection, layout, table, bad[table])
        except DAMAGE as error:
            if is_busy(error):
                raise
            yield f"{SHOWN_AS.get(table, table)}: cannot be read to its end: {error}"
    if any(bad[table] for table in ("texts", "asked", "endings") if table in bad):
        with suppress(*DAMAGE):
            yield from _lost_with(connection, bad)


def _short_indices(connection: sqlite3.Connection) -> Iterator[str]:
    """The indices of large tables with more or fewer entries than rows: SQLite counts rows by them."""
    for table in _LARGE:
        query = f"SELECT COUNT(*) FROM {table} "  # noqa: S608
        (rows,) = connection.execute(f"{query} NOT INDEXED").fetchone()
        for _, name, *_ in connection.execute(f"PRAGMA index_list({table})").fetchall():
            (entries,) = connection.execute(f'{query} INDEXED BY "{name}"').fetchone()
            if entries != rows:
                yield f"index: {name} has {counted(entries, 'entry')} for {counted(rows, 'row')}"


def _table_problems(connection: sqlite3.Connection, layout: Layout, table: str, bad: set[Any]) -> Iterator[str]:
    """What is wrong in a table. The first values of rows that are damaged are added to `bad`."""
    rows = weights = damaged = 0
    checksum_of, weight = layout.row_checksum, layout.weight
    shown = SHOWN_AS.get(table, table)
    for stored in connection.execute(_all_of(layout, table)):  # nothing more is done here for each of millions of rows
        rows += 1
        row, checksum = stored[:-2], stored[-2]
        if checksum_of(row) == checksum:
            weights += weight(table, checksum, stored[-1]) if weight else checksum
        else:
            damaged += 1
            bad.add(row[0])
            if damaged <= _MOST_NAMED:
                yield f"{shown}: {_named(layout, table, row)} is damaged"
    if damaged > _MOST_NAMED:
        yield f"{shown}: {counted(damaged, 'damaged row')}"
    kept = connection.execute('SELECT "rows", checksums FROM totals WHERE name = ?', (table,)).fetchone()
    if not damaged and kept != (rows, total(weights)):
        expected = f"{kept[0]} were written" if kept else "how many there were is damaged"
        yield f"{shown}: holds {counted(rows, 'row')}, and {expected}"


def _lost_with(connection: sqlite3.Connection, bad: dict[str, set[Any]]) -> Iterator[str]:
    """The trials that refer to a shared row that is damaged, themselves or through another."""
    numbers = {"asked": set(bad["asked"]), "endings": set(bad["endings"])}
    for table, columns in (("asked", ASKED), ("endings", ENDINGS)):
        for number, *texts in connection.execute(f"SELECT id, {', '.join(columns)} FROM {table}"):  # noqa: S608
            if bad["texts"].intersection(texts):
                numbers[table].add(number)
    lost = 0
    for trial_id, asked, ending in connection.execute("SELECT trial_id, asked, ending FROM draws"):
        if asked in numbers["asked"] or ending in numbers["endings"]:
            lost += 1
            if lost <= _MOST_NAMED:
                yield f"trials: what was asked in trial {_id(trial_id)} is damaged"
    if lost > _MOST_NAMED:
        yield f"trials: what was asked is damaged in {counted(lost, 'trial')}"


def stored_rows(
    connection: sqlite3.Connection, layout: Layout, table: str, where: str = "", *parameters: object
) -> Iterator[tuple[tuple[Any, ...], Any, int]]:
    """Each row of a table: the values that its checksum is of, the checksum, and the arrival of a trial, else 0."""
    for row in connection.execute(f"{_all_of(layout, table)} {where}", parameters):
        yield row[:-2], row[-2], row[-1]


def _all_of(layout: Layout, table: str) -> str:
    arrival = "arrival" if table == layout.trials else "0"
    return f"SELECT {', '.join(layout.tables[table])}, checksum, {arrival} FROM {table}"  # noqa: S608


def _named(layout: Layout, table: str, row: tuple[Any, ...]) -> str:
    columns = dict(zip(layout.tables[table], row, strict=True))
    if table == layout.trials:
        return f"trial {_id(columns['trial_id'])}"
    if table == "verdicts":
        return f"the verdict of {columns['judge']!s:.80} on trial {columns['trial_id']!s:.80}"
    if table == "rulings":
        return f"the verdict of judge {columns['judge']!s:.80} on trial {_id(columns['trial'])}"
    return f"the row of {row[0]!s:.80}"


def _id(stored: Any) -> str:
    return f"{unpacked_id(stored) if isinstance(stored, bytes) else stored!s:.80}"


def as_text(stored: bytes) -> str:
    """A stored text, also one whose bytes are damaged: its checksum then says so."""
    return stored.decode("utf-8", "replace")


def is_busy(error: Exception) -> bool:
    """Whether another program keeps the journal from being read now."""
    return "locked" in str(error) or "busy" in str(error)


@cache
def _schema(definitions: str) -> frozenset[SchemaRow]:
    with closing(sqlite3.connect(":memory:")) as connection:
        connection.executescript(definitions)
        return frozenset(connection.execute(_SCHEMA_QUERY))
