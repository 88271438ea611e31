"""What a journal must be when it is opened: whole, and of a schema that this version of emeval knows."""

from __future__ import annotations

import os
import sqlite3
from pathlib import Path

from evals.errors import BadInput
from evals.trials.storage.journal_file import connect_to_read, damaged
from evals.trials.storage.layouts import CURRENT, OLD, layout_of
from evals.trials.storage.migrate import OLD_VERSIONS, copy_paths, define_tables, migrate, migrated_copy, shrink
from evals.trials.storage.schema import SCHEMA_VERSION
from evals.trials.storage.store import Store
from evals.trials.storage.verify import has_checksums, is_whole


def prepare(connection: sqlite3.Connection, path: Path, large: int) -> bool:
    """Make the tables of a new journal, and those of one of an earlier schema anew; any other must be whole.

    Of a journal of `large` trials or more only the small tables have been verified: then it returns True.
    """
    is_new = not connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    if is_new:
        _begin(connection)
    is_large = layout_of(connection) is CURRENT and has_checksums(connection) and is_above(connection, large)
    refuse_damage(connection, path, small_tables=is_large)
    version = schema_version(connection)
    if version in OLD_VERSIONS:
        migrate(connection, path, version)
        refuse_damage(connection, path)
    for copy in copy_paths(path):
        copy.unlink(missing_ok=True)
    shrink(connection)
    return is_large


def open_to_read(path: Path, large: int | None) -> tuple[sqlite3.Connection, sqlite3.Connection | None, bool]:
    """The journal at `path` for reading, a copy of it in this schema if it is of an earlier one, and whether it has
    `large` trials or more: then only its small tables have been verified. Raises BadInput for one that is damaged."""
    connection = connect_to_read(path)
    try:
        # A folder that cannot be written may need a private copy of it to be read, and one copy is enough.
        is_large = (
            large is not None
            and os.access(path.parent, os.W_OK)
            and layout_of(connection) is CURRENT
            and has_checksums(connection)
            and is_above(connection, large)
        )
        refuse_damage(connection, path, small_tables=is_large)
        copy = migrated_copy(connection) if schema_version(connection) in OLD_VERSIONS else None
    except BaseException:
        connection.close()
        raise
    return connection, copy, is_large


def is_above(connection: sqlite3.Connection, trials: int) -> bool:
    """Whether a journal of this schema holds at least so many trials, as far as can be told from its totals."""
    row = connection.execute("SELECT \"rows\" FROM totals WHERE name = 'draws'").fetchone()
    return row is not None and isinstance(row[0], int) and row[0] >= trials


def _begin(connection: sqlite3.Connection) -> None:
    connection.execute("BEGIN IMMEDIATE")
    try:
        define_tables(connection)
        store = Store(connection)
        with store.writing():
            store.put("meta", ("schema_version", str(SCHEMA_VERSION)))
        connection.commit()
    except BaseException:
        connection.rollback()
        raise


def refuse_damage(connection: sqlite3.Connection, path: Path, *, small_tables: bool = False) -> None:
    """Raises BadInput for a journal that is damaged or of another version. One of schema 3 has no checksums."""
    version = schema_version(connection)
    if version == "3" and not has_checksums(connection):
        return
    if version is not None and version.isdecimal() and version not in (str(OLD.version), str(SCHEMA_VERSION)):
        raise BadInput(
            f"{path}: written by another version of emeval (schema {version}, this one has {SCHEMA_VERSION})"
        )
    is_known = version == str(layout_of(connection).version) and has_checksums(connection)
    if not is_known or not is_whole(connection, small_tables=small_tables):
        raise BadInput(damaged(path))


def schema_version(connection: sqlite3.Connection) -> str | None:
    """The schema version of a journal, None for one that names none."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
        return None
    row = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    return None if row is None else str(row[0])
