"""What is in the folder of the answer cache, and how old or surplus entries are deleted: nothing but entries is."""

from __future__ import annotations

import re
import time
from collections.abc import Iterable, Iterator
from contextlib import suppress
from pathlib import Path
from typing import NamedTuple

from evals.errors import BadInput
from evals.text import one_line, shown_path

_FOLDER, _NAME = re.compile(r"[0-9a-f]{2}"), re.compile(r"[0-9a-f]{62}")
_SECONDS = {"h": 3600.0, "d": 86400.0, "w": 604800.0}
_BYTES = {"mb": 1_000_000, "gb": 1_000_000_000}


class CacheEntry(NamedTuple):
    """A file of the cache, its size in bytes, and when it was written, in seconds since the epoch."""

    path: Path
    size: int
    written_at: float


def cache_entries(folder: Path) -> list[CacheEntry]:
    """The entries in a folder, by their names. Raises BadInput where it cannot be read."""
    try:
        return list(_entries(folder))
    except OSError as error:
        raise BadInput(f"{shown_path(folder)}: cannot be read: {error.strerror}") from None


def _entries(folder: Path) -> Iterator[CacheEntry]:
    for inner in folder.iterdir():
        if not _FOLDER.fullmatch(inner.name) or inner.is_symlink() or not inner.is_dir():
            continue
        for file in inner.iterdir():
            if _NAME.fullmatch(file.name) and not file.is_symlink() and file.is_file():
                facts = file.stat()
                yield CacheEntry(file, facts.st_size, facts.st_mtime)


def surplus(entries: Iterable[CacheEntry], older_s: float | None, most_bytes: int | None) -> list[CacheEntry]:
    """The entries written more than `older_s` seconds ago, then the oldest of the others beyond `most_bytes`."""
    oldest_first = sorted(entries, key=lambda entry: entry.written_at)
    now = time.time()
    found = [entry for entry in oldest_first if older_s is not None and now - entry.written_at > older_s]
    kept = oldest_first[len(found) :]
    left = sum(entry.size for entry in kept)
    for entry in kept:
        if most_bytes is None or left <= most_bytes:
            break
        found.append(entry)
        left -= entry.size
    return found


def delete(entries: Iterable[CacheEntry]) -> None:
    """Delete entries, and the folders that are empty then. Raises BadInput where that cannot be done."""
    for entry in entries:
        try:
            entry.path.unlink(missing_ok=True)
        except OSError as error:
            raise BadInput(f"{shown_path(entry.path)}: cannot be deleted: {error.strerror}") from None
        with suppress(OSError):  # it is not empty
            entry.path.parent.rmdir()


def seconds_of(text: str) -> float:
    """`12h`, `30d`, `4w` in seconds. Raises BadInput for anything else."""
    number, unit = _split(text, "--older", "12h, 30d or 4w", "hdw")
    return number * _SECONDS[unit]


def bytes_of(text: str) -> int:
    """`500MB`, `2GB` in bytes. Raises BadInput for anything else."""
    number, unit = _split(text, "--max", "500MB or 2GB", "mb|gb")
    return int(number * _BYTES[unit])


def _split(text: str, option: str, examples: str, units: str) -> tuple[float, str]:
    group = units if "|" in units else f"[{units}]"
    found = re.fullmatch(rf"(\d{{1,9}}(?:\.\d{{1,3}})?) ?({group})", text.strip().lower(), re.ASCII)
    if found is None:
        raise BadInput(f"{option}: {one_line(text, 40)!r}: write it as {examples}")
    return float(found[1]), found[2]
