"""Read a large journal beside its run: to verify it or add it up takes seconds, and no request need wait for that."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from collections.abc import Callable
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Generic, TypeVar

from evals.errors import BadInput
from evals.io.package import package_folder
from evals.trials.storage.journal_file import connect, connect_to_read, damaged
from evals.trials.storage.verify import is_whole

LARGE = 20_000
"""Trials from which a journal is verified beside the run. Nothing is counted before that has come to its end."""
_STEPS = 10_000
"""Instructions of SQLite's from one look at whether to go on to the next: about a millisecond."""
_Found = TypeVar("_Found")


class Aside(Generic[_Found]):
    """What `read` finds in the journal at `path` as it is now, in a thread of its own while others write."""

    def __init__(self, path: Path, read: Callable[[sqlite3.Connection], _Found]) -> None:
        self._is_over = False
        self._connection = connect(path)
        self._connection.execute("BEGIN")
        self._connection.execute("SELECT COUNT(*) FROM sqlite_master").fetchone()  # the first read says what is seen

        # An interruption ends the statement that is at work, and there may be none just then.
        self._connection.set_progress_handler(lambda: self._is_over, _STEPS)

        def found() -> _Found:
            try:
                return read(self._connection)
            finally:
                self._connection.rollback()  # what is seen is kept from the log's reuse as long as it is in use

        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="aside")
        self.found: Future[_Found] = self._thread.submit(found)

    def stop(self) -> None:
        """End it, whatever it has found."""
        self._is_over = True
        self._connection.interrupt()
        self._thread.shutdown(wait=True)
        self._connection.close()


class Check(Aside[bool]):
    """Verifies what is in the journal at `path` now."""

    def __init__(self, path: Path) -> None:
        self._path = path
        super().__init__(path, is_whole)

    def refuse_damage(self, *, wait: bool) -> None:
        """Raises BadInput if the journal is damaged, as far as that is known by now, or once it is known."""
        if (wait or self.found.done()) and not self.found.result():
            raise BadInput(damaged(self._path))


_IN_CHILD = """
import sys
sys.path.insert(0, sys.argv[1])
from evals.trials.storage.checking import verify_in_child
verify_in_child(sys.argv[2])
"""


class ChildCheck:
    """Verifies what counting reads of the journal at `path` in a process of its own, as this one is about to count it:
    every row, and no index."""

    def __init__(self, path: Path) -> None:
        self._path = path
        command = [sys.executable, "-I", "-c", _IN_CHILD, str(package_folder().parent), str(path.absolute())]
        nowhere = subprocess.DEVNULL
        self._child = subprocess.Popen(  # noqa: S603  of ours
            command, stdin=nowhere, stdout=nowhere, stderr=nowhere
        )

    def refuse_damage(self, *, wait: bool) -> None:
        """Raises BadInput if the journal is damaged, as far as that is known by now, or once it is known."""
        if not wait and self._child.poll() is None:
            return
        if self._child.wait() == 0:
            return
        with closing(connect_to_read(self._path)) as connection:  # it may be the process that failed
            if not is_whole(connection, to_count=True):
                raise BadInput(damaged(self._path))

    def stop(self) -> None:
        """End it, whatever it has found."""
        self._child.kill()
        self._child.wait()


def verify_in_child(path: str) -> None:
    """Exits with 0 if the journal is whole, with 1 if not."""
    with closing(connect_to_read(Path(path))) as connection:
        sys.exit(0 if is_whole(connection, to_count=True) else 1)
