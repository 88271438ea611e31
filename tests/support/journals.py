"""Journals that were changed on purpose: by hand and sealed again, as no damage is."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path

from evals.trials.storage.checksums import TABLES, insert, sealed


def alter(folder: Path, statement: str, parameters: tuple[object, ...] = ()) -> None:
    """Run a statement on the journal in `folder`, and give every row its checksum again."""
    with closing(sqlite3.connect(folder / "journal.sqlite", timeout=30)) as journal, journal:
        journal.execute(statement, parameters)
        for table, columns in TABLES.items():
            rows = journal.execute(f"SELECT {', '.join(columns)} FROM {table}").fetchall()  # noqa: S608
            journal.execute(f"DELETE FROM {table}")  # noqa: S608
            journal.executemany(insert(table), map(sealed, rows))


def as_version_3(run: Path) -> None:
    """Make the journal of a run one of the version before checksums."""
    with closing(sqlite3.connect(run / "journal.sqlite")) as journal, journal:
        for (name,) in journal.execute("SELECT name FROM sqlite_master WHERE type = 'trigger'").fetchall():
            journal.execute(f"DROP TRIGGER {name}")
        journal.execute("DROP TABLE totals")
        journal.execute("UPDATE meta SET value = '3' WHERE key = 'schema_version'")
        for table in TABLES:
            journal.execute(f"ALTER TABLE {table} DROP COLUMN checksum")
