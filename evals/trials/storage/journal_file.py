"""The file of a journal: how it is opened, what its errors mean, and which process owns it."""

from __future__ import annotations

import os
import shutil
import sqlite3
import tempfile
from collections.abc import Generator
from contextlib import contextmanager, suppress
from pathlib import Path
from urllib.parse import quote

from filelock import FileLock, Timeout

from evals.errors import BadInput, JournalFull, RunStopped
from evals.io.folders.locks import own_lock
from evals.io.folders.strange_files import has_name_elsewhere, refuse_links

OWNER_NAME = ".pid"
_LOCK_NAME = ".lock"
LOG_ENDS = ("-wal", "-shm", "-journal")
"""How the names of the files end that SQLite writes next to a database."""
DAMAGE = (sqlite3.DatabaseError, UnicodeDecodeError)
"""What reading a damaged journal raises; an error message of SQLite may hold the damaged bytes."""
_BUSY_S = 10.0
"""How long a commit waits for another program that writes to the journal; readers hold nobody up."""


def connect(path: Path) -> sqlite3.Connection:
    """An open connection to the database at `path`, set up for group commits."""
    connection = sqlite3.connect(path, timeout=_BUSY_S, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    # A commit survives the death of the process; the last few may go with the machine's power, and are asked again.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


def connect_to_read(path: Path) -> sqlite3.Connection:
    """An open connection to the database at `path` that only reads, wherever it lies.

    Where the files of a write-ahead log cannot be made (a folder of others, a full disk), the database is read as it
    is; if it has such a log, a private copy of both is read, because the log holds the last commits. A file that has a
    name elsewhere is read as it is too, so that nothing is made there.
    """
    if has_name_elsewhere(path):
        return _unchanged(path)
    refuse_links(path.with_name(f"{path.name}{end}") for end in LOG_ENDS)
    if os.access(path.parent, os.W_OK) and os.access(path, os.W_OK):
        with suppress(sqlite3.OperationalError):
            return _probed(connect(path))
    name = f"file:{quote(str(path.absolute()))}?mode=ro"
    with suppress(sqlite3.OperationalError):
        return _probed(sqlite3.connect(name, uri=True, timeout=_BUSY_S, check_same_thread=False))
    log = path.with_name(f"{path.name}-wal")
    if log.exists() and log.stat().st_size:
        return _private_copy(path, log)
    return _probed(sqlite3.connect(f"{name}&immutable=1", uri=True, check_same_thread=False))


def _unchanged(path: Path) -> sqlite3.Connection:
    """A connection to the database at `path` that writes nothing. Raises BadInput if commits are missing in it."""
    if any(path.with_name(f"{path.name}{end}").exists() for end in ("-wal", "-journal")):
        raise BadInput(f"{path}: is a link, and has a log of its own; copy the folder, with the file itself in it")
    name = f"file:{quote(str(path.absolute()))}?mode=ro&immutable=1"
    return _probed(sqlite3.connect(name, uri=True, check_same_thread=False))


def _probed(connection: sqlite3.Connection) -> sqlite3.Connection:
    """The connection, once it has read from its file. Closed if it cannot."""
    try:
        connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()
    except BaseException:
        connection.close()
        raise
    return connection


class _Private(sqlite3.Connection):
    """A connection to a copy that is deleted when it is closed."""

    folder: str | None = None

    def close(self) -> None:
        super().close()
        if self.folder is not None:
            shutil.rmtree(self.folder, ignore_errors=True)


def _private_copy(path: Path, log: Path) -> sqlite3.Connection:
    folder = tempfile.mkdtemp(prefix="emeval-")
    try:
        for file in (path, log):
            shutil.copyfile(file, Path(folder) / file.name)
        connection = sqlite3.connect(Path(folder) / path.name, check_same_thread=False, factory=_Private)
    except OSError as error:
        shutil.rmtree(folder, ignore_errors=True)
        raise BadInput(f"{path}: cannot be copied to {folder} to be read: {error.strerror}") from None
    connection.folder = folder
    return _probed(connection)


@contextmanager
def sqlite_errors(path: Path, *, reading: bool = False) -> Generator[None]:
    """Turns what SQLite raises in the block into JournalFull, RunStopped or BadInput. Where a journal is opened for
    `reading`, what is not that it is busy is damage."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if reading and "locked" not in str(error):
            raise BadInput(f"{damaged(path)} ({error})") from None
        if "full" in str(error) or "disk I/O" in str(error):
            raise JournalFull(
                f"{path}: the disk took no more ({error}); free some space and resume, nothing recorded is lost"
            ) from None
        raise RunStopped(f"{path}: {error}; nothing recorded is lost") from None
    except DAMAGE as error:
        raise BadInput(f"{damaged(path)} ({error})") from None


def damaged(path: Path) -> str:
    """What is said of a journal at `path` that is not as it was written."""
    return f"{path}: not a journal that can be read: it is damaged; `emeval check {path.parent}` says where"


def is_at_work(folder: Path) -> bool:
    """Whether a process has the journal in `folder` open to write; False where that cannot be found out."""
    if not (folder / _LOCK_NAME).is_file():
        return False
    lock = own_lock(folder / _LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        return True
    except OSError:
        return False
    lock.release()
    return False


def locked(folder: Path) -> FileLock:
    """The lock of the journal in `folder`, taken. Raises BadInput when another process is running there."""
    lock = own_lock(folder / _LOCK_NAME)
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise BadInput(
            f"{folder}: another emeval is running there (pid {_owner(folder)}); wait for it or stop it"
        ) from None
    except OSError as error:
        raise BadInput(f"{folder}: cannot be locked: {error.strerror}") from None
    return lock


def _owner(folder: Path) -> str:
    """The id of the process that writes to the journal in `folder`, "unknown" if it left none."""
    if not (folder / OWNER_NAME).is_file():  # a pipe would keep us waiting
        return "unknown"
    try:
        with (folder / OWNER_NAME).open(encoding="ascii") as file:
            pid = file.read(20)
    except (OSError, ValueError):
        return "unknown"
    return pid if pid.isdecimal() else "unknown"
