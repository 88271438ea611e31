"""The folder of the answer cache: a private file for each reply, named by its key.

A file is written beside its place and renamed into it, so that two runs may share the folder. Nothing is written to the
disk's end: an entry that a power failure damages is a miss.
"""

from __future__ import annotations

import os
import secrets
import stat
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from evals.endpoints.cache.entry import MOST_BYTES
from evals.errors import BadInput
from evals.io.paths import read_file
from evals.text import shown_path

_OTHERS_MAY_WRITE = stat.S_IWGRP | stat.S_IWOTH


class CacheFolder:
    """`say` tells people, once, that nothing can be written there."""

    def __init__(self, path: Path, say: Callable[[str], None]) -> None:
        """Raises BadInput for a folder that cannot be used, or in which others may plant answers."""
        self.path = path
        self._say = say
        self._is_full = False
        try:
            path.mkdir(mode=0o700, parents=True, exist_ok=True)
            facts = path.stat()
        except OSError as error:
            raise BadInput(f"--cache: {shown_path(path)}: cannot be used: {error.strerror}") from None
        if facts.st_uid != os.getuid() or facts.st_mode & _OTHERS_MAY_WRITE:
            raise BadInput(
                f"--cache: {shown_path(path)}: others may write there, and so decide what models are said to answer; "
                "give a folder of your own (chmod go-w)"
            )

    def read(self, key: str) -> bytes | None:
        """The content of an entry, None where there is none that can be read."""
        place = self._place(key)
        try:
            if place.is_symlink():
                return None
            return read_file(place, MOST_BYTES)
        except OSError:
            return None

    def write(self, key: str, content: bytes) -> None:
        """Write an entry. A folder that takes nothing more costs a line, not the run."""
        if self._is_full:
            return
        place = self._place(key)
        partial = place.with_name(f".{secrets.token_hex(8)}")
        try:
            place.parent.mkdir(mode=0o700, exist_ok=True)
            file = os.open(partial, os.O_WRONLY | os.O_CREAT | os.O_EXCL | os.O_NOFOLLOW | os.O_CLOEXEC, 0o600)
            with os.fdopen(file, "wb") as written:
                written.write(content)
            partial.replace(place)
        except OSError as error:
            self._is_full = True
            self._say(f"--cache: {shown_path(self.path)}: cannot be written ({error.strerror}); nothing more is kept")
        finally:
            with suppress(OSError):
                partial.unlink(missing_ok=True)

    def _place(self, key: str) -> Path:
        return self.path / key[:2] / key[2:]
