"""Paths as people write them, and the one way to open a file of the user's: no device, no pipe, nothing endless."""

from __future__ import annotations

import errno
import os
import stat
from io import BufferedReader
from pathlib import Path

MIB = 1 << 20
MOST_TEXT = MIB
"""Bytes of a file that a person writes: settings, a rubric, a system message, prices."""
MOST_JSON = 64 * MIB
"""Bytes of a JSON file that a program writes."""
MOST_DATA = 256 * MIB
"""Bytes of a dataset, of anchors, of anything whose rows are held in memory together."""

_KINDS = (
    (stat.S_ISDIR, "it is a folder"),
    (stat.S_ISFIFO, "it is a pipe, and only regular files are read; write its content to a file first"),
    (stat.S_ISSOCK, "it is a socket, and only regular files are read"),
    (stat.S_ISCHR, "it is a device, and only regular files are read"),
    (stat.S_ISBLK, "it is a device, and only regular files are read"),
)


def expanded(path: str | Path) -> Path:
    """The path with `~` and `~user` expanded; as written if there is no such user."""
    return Path(os.path.expanduser(path))  # noqa: PTH111  Path.expanduser raises RuntimeError


def open_file(path: Path, most: int | None = None) -> BufferedReader:
    """A regular file, or what a link to one leads to, open for reading, of at most `most` bytes. Never waits.

    Raises OSError, whose `strerror` also says that it is something else, or too large.
    """
    _check(os.stat(path), most)  # noqa: PTH116  opening a device can already do something
    # Without O_NONBLOCK a pipe that has come to be there since would make this wait for a writer.
    file = open(os.open(path, os.O_RDONLY | os.O_CLOEXEC | os.O_NONBLOCK), "rb")  # noqa: PTH123, SIM115  it is returned
    try:
        _check(os.fstat(file.fileno()), most)
    except OSError:
        file.close()
        raise
    return file


def read_file(path: Path, most: int) -> bytes:
    """The content of a file that `open_file` opens. Raises OSError."""
    with open_file(path, most) as file:
        content = file.read(most + 1)  # some files of /proc are said to be empty
    if len(content) > most:
        raise _too_large(most)
    return content


def read_text(path: Path, most: int) -> str:
    """The text in UTF-8 of a file, with a line feed for every line end. Raises OSError and UnicodeDecodeError."""
    return read_file(path, most).decode().replace("\r\n", "\n").replace("\r", "\n")


def _check(facts: os.stat_result, most: int | None) -> None:
    for is_kind, said in _KINDS:
        if is_kind(facts.st_mode):
            raise OSError(errno.EINVAL, said)
    if most is not None and facts.st_size > most:
        raise _too_large(most)


def _too_large(most: int) -> OSError:
    return OSError(errno.EFBIG, f"it is larger than {most // MIB} MiB, which no file of this kind is")
