"""Files and folders in the making: named for the process that writes them, and removed if it was killed."""

from __future__ import annotations

import os
import re
import shutil
import sys
import threading
from collections.abc import Generator, Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_PART = re.compile(r"\.(?P<name>.+)\.(?P<pid>[1-9][0-9]{0,9})-[0-9]+\.(?P<kind>part|old)", re.DOTALL)


def partial_path(path: Path, kind: str = "part") -> Path:
    """Where this thread writes what replaces `path`, or keeps what it replaces (`old`)."""
    writer = f"{os.getpid()}-{threading.get_ident()}"  # two processes may write the files of one run
    return path.with_name(f".{path.name}.{writer}.{kind}")


def hold(descriptor: int) -> None:
    """Mark an open file or folder as being written until it is closed, at the latest by the death of the process."""
    if sys.platform != "win32":
        with suppress(OSError):  # where it cannot be marked, nobody removes it
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)


@contextmanager
def new_folder(path: Path) -> Generator[Path]:
    """The folder at `path`, made now and marked as being written. Raises OSError."""
    path.mkdir(parents=True)
    descriptor = os.open(path, os.O_RDONLY) if sys.platform != "win32" else -1
    try:
        hold(descriptor)
        yield path
    finally:
        if descriptor >= 0:
            os.close(descriptor)


def remove_leftovers(folder: Path) -> None:
    """Remove the files in the folder that processes were writing which are gone."""
    for entry, _, kind in _leftovers(folder):
        if kind == "part" and entry.is_file(follow_symlinks=False) and _is_abandoned(entry.path):
            with suppress(OSError):
                os.unlink(entry.path)  # noqa: PTH108  an entry of a scan


def remove_left_folders(target: Path) -> None:
    """Remove the folders that processes which are gone were about to put in the place of `target`, or have replaced."""
    for entry, name, kind in _leftovers(target.parent):
        is_replaced = kind == "part" or target.is_dir()  # an old folder may be the only copy
        if name == target.name and is_replaced and entry.is_dir(follow_symlinks=False) and _is_abandoned(entry.path):
            shutil.rmtree(entry.path, ignore_errors=True)


def _leftovers(folder: Path) -> Iterator[tuple[os.DirEntry[str], str, str]]:
    """The entries named as what is in the making, with the name that they were to get and their kind, of processes that
    are gone."""
    found: list[os.DirEntry[str]] = []
    with suppress(OSError), os.scandir(folder) as entries:
        found += (entry for entry in entries if entry.name.endswith((".part", ".old")))
    for entry in found:
        named = _PART.fullmatch(entry.name)
        if named is not None and _is_gone(int(named["pid"])):
            yield entry, named["name"], named["kind"]


def _is_gone(pid: int) -> bool:
    if sys.platform == "win32":
        return False  # asking whether a process lives would end it
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except (PermissionError, OverflowError):
        return False
    return False


def _is_abandoned(path: str) -> bool:
    """Whether nobody writes the file or folder, a process of another machine or container included."""
    if sys.platform == "win32":
        return False
    try:
        descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
    except OSError:
        return False
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    else:
        return True
    finally:
        os.close(descriptor)
