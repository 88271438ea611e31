"""What a journal must be when it is opened: whole, and of a schema that this version of emeval knows."""

from __future__ import annotations

import sqlite3
from pathlib import Path

from evals.errors import BadInput
from evals.trials.storage.checksums import insert, sealed
from evals.trials.storage.journal_file import damaged
from evals.trials.storage.migrate import OLD_VERSION, copy_path, migrate
from evals.trials.storage.schema import SCHEMA, SCHEMA_VERSION
from evals.trials.storage.verify import has_checksums, is_whole


def prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Make the tables of a new journal, and those of a journal of schema 3 anew; any other must be whole."""
    if schema_version(connection) == OLD_VERSION and not has_checksums(connection):
        migrate(connection, path, SCHEMA_VERSION)
    is_new = not connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()[0]
    if is_new:
        connection.executescript(SCHEMA)
        with connection:
            connection.execute(insert("meta"), sealed(("schema_version", str(SCHEMA_VERSION))))
    refuse_damage(connection, path)
    copy_path(path).unlink(missing_ok=True)


def refuse_damage(connection: sqlite3.Connection, path: Path) -> None:
    """Raises BadInput for a journal that is damaged or of another version. One of schema 3 has no checksums."""
    version = schema_version(connection)
    if not has_checksums(connection) and version == OLD_VERSION:
        return
    if version is not None and version.isdecimal() and int(version) != SCHEMA_VERSION:
        raise BadInput(
            f"{path}: written by another version of emeval (schema {version}, this one has {SCHEMA_VERSION})"
        )
    if version != str(SCHEMA_VERSION) or not is_whole(connection):
        raise BadInput(damaged(path))


def schema_version(connection: sqlite3.Connection) -> str | None:
    """The schema version of a journal, None for one that names none."""
    if connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'meta'").fetchone() is None:
        return None
    row = connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone()
    return None if row is None else str(row[0])
