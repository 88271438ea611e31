"""Files of a run folder that are none: pipes, sockets, devices, and links that writing would follow out of the folder.

A run folder may come from elsewhere. Files that are replaced by a rename need no check: the rename replaces a link.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Iterable
from contextlib import suppress
from pathlib import Path

from evals.errors import BadInput

_FILE_ENDS = (".csv", ".json", ".md", ".xml", ".sqlite")
_KINDS = (
    (stat.S_ISLNK, "a link"),
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a pipe"),
    (stat.S_ISSOCK, "a socket"),
)


def refuse_strange_entries(folder: Path) -> None:
    """Raises BadInput if an entry of the folder is a pipe, a socket or a device, or a folder that is named as a file;
    a link is what it points to."""
    found: list[os.DirEntry[str]] = []
    with suppress(OSError), os.scandir(folder) as entries:
        found += entries
    for entry in sorted(found, key=lambda entry: entry.name):
        with suppress(OSError):
            mode = entry.stat().st_mode
            if not stat.S_ISREG(mode) and not (stat.S_ISDIR(mode) and not entry.name.endswith(_FILE_ENDS)):
                raise BadInput(f"{folder / entry.name}: is {_kind(mode)}, not a file; remove it")


def refuse_links(paths: Iterable[Path]) -> None:
    """Raises BadInput if something at one of the paths is no file, or a file that has a name elsewhere too."""
    for path in paths:
        try:
            found = path.lstat()
        except OSError:
            continue
        if not stat.S_ISREG(found.st_mode):
            raise BadInput(f"{path}: is {_kind(found.st_mode)}, not a file; nothing was written")
        if found.st_nlink > 1:
            raise BadInput(f"{path}: is a hard link, and would be changed elsewhere too; copy the folder first")


def refuse_linked_folder(folder: Path) -> None:
    """Raises BadInput if what is written into the folder would go elsewhere, or nowhere."""
    with suppress(OSError):
        mode = folder.lstat().st_mode
        if not stat.S_ISDIR(mode):
            raise BadInput(f"{folder}: is {_kind(mode)}, not a folder; nothing was written")


def has_name_elsewhere(path: Path) -> bool:
    """Whether the file at the path is a link, or has a second name."""
    return path.is_symlink() or path.stat().st_nlink > 1


def _kind(mode: int) -> str:
    return next((name for is_kind, name in _KINDS if is_kind(mode)), "a device")
