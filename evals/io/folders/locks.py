"""The lock files of a folder."""

from __future__ import annotations

from pathlib import Path

from filelock import FileLock

from evals.io.folders.strange_files import refuse_links


def own_lock(path: Path) -> FileLock:
    """A lock on the file at the path, which locking empties. Raises BadInput if it is a link, or no file."""
    refuse_links((path,))
    return FileLock(path)
