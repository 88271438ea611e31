"""The file of a journal: how it is opened, what its errors mean, and which process owns it."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from evals.errors import BadInput, JournalFull, RunStopped

OWNER_NAME = ".pid"
_BUSY_S = 10.0
"""How long a commit waits for another program that writes to the journal; readers hold nobody up."""


def connect(path: Path) -> sqlite3.Connection:
    """An open connection to the database at `path`, set up for group commits."""
    connection = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    # A commit survives the death of the process; the last few may go with the machine's power, and are asked again.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


@contextmanager
def sqlite_errors(path: Path) -> Generator[None]:
    """Turns what SQLite raises in the block into JournalFull, RunStopped or BadInput."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" in str(error) or "disk I/O" in str(error):
            raise JournalFull(
                f"{path}: the disk took no more ({error}); free some space and resume, nothing recorded is lost"
            ) from None
        raise RunStopped(f"{path}: {error}; nothing recorded is lost") from None
    except sqlite3.DatabaseError as error:
        raise BadInput(f"{path}: not a journal that can be read: {error}") from None


def owner(folder: Path) -> str:
    """The id of the process that writes to the journal in `folder`, "unknown" if it left none."""
    if not (folder / OWNER_NAME).is_file():  # a pipe would keep us waiting
        return "unknown"
    try:
        with (folder / OWNER_NAME).open(encoding="ascii") as file:
            pid = file.read(20)
    except (OSError, ValueError):
        return "unknown"
    return pid if pid.isdecimal() else "unknown"
