"""Atomic writes: temporary file, fsync, rename."""

from __future__ import annotations

import json
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

from evals.errors import BadInput, JournalFull
from evals.io.csv_writer import csv_row
from evals.io.folders.leftovers import hold, partial_path, remove_leftovers


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file that the user asked for. If it raises BadInput, the old file stays."""
    try:
        with whole_file(path) as file:
            file.buffer.write(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from None


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """Write `rows` as CSV; None is a blank cell, and texts that a spreadsheet would run are escaped."""
    with replacing(path) as file:
        file.write(csv_row(columns))
        file.writelines(csv_row((row[name] for name in columns), ".10g") for row in rows)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """Write `value` as strict JSON: without NaN, and with non-ASCII text as it is."""
    with replacing(path) as file:
        file.write(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def replacing(path: Path) -> Generator[IO[str]]:
    """A result file of a run, open for writing. If it raises JournalFull, the old file stays."""
    try:
        with whole_file(path) as file:
            yield file
    except OSError as error:
        raise JournalFull(
            f"{path}: cannot be written ({error.strerror}); the journal is whole: `emeval rates` writes it again"
        ) from None


@contextmanager
def whole_file(path: Path) -> Generator[TextIOWrapper]:
    """A file that replaces `path` once it is complete. If it raises OSError, the old file stays.

    A link at `path` is replaced, not followed; what killed commands left in the folder is removed.
    """
    remove_leftovers(path.parent)
    partial = partial_path(path)
    partial.unlink(missing_ok=True)  # of a dead process with the same id
    try:
        with partial.open("x", encoding="utf-8", newline="") as file:  # a new file: never through a link
            hold(file.fileno())
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)
