"""Atomic writes: temporary file, fsync, rename."""

from __future__ import annotations

import csv
import json
import os
import threading
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from io import TextIOWrapper
from pathlib import Path
from typing import IO, Any

from evals.errors import BadInput, JournalFull
from evals.text import spreadsheet_safe


def write_whole(path: Path, content: str | bytes) -> None:
    """A file that a person asked for. Raises BadInput; what was there before then stays."""
    try:
        with whole_file(path) as file:
            file.buffer.write(content.encode() if isinstance(content, str) else content)
    except OSError as error:
        raise BadInput(f"{path}: cannot be written: {error.strerror}") from None


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """A CSV of `rows`; None is a blank cell, and a text that a spreadsheet would run is made safe."""
    with replacing(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(row[name]) for name in columns] for row in rows)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """`value` as JSON that every reader takes: without NaN, and with names as they are."""
    with replacing(path) as file:
        file.write(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


@contextmanager
def replacing(path: Path) -> Generator[IO[str]]:
    """A result file of a run to write to. Raises JournalFull; what was there before then stays."""
    try:
        with whole_file(path) as file:
            yield file
    except OSError as error:
        raise JournalFull(
            f"{path}: cannot be written ({error.strerror}); the journal is whole: `emeval rates` writes it again"
        ) from None


@contextmanager
def whole_file(path: Path) -> Generator[TextIOWrapper]:
    """A file that takes the place of `path` once it is whole. Raises OSError; what was there before then stays."""
    writer = f"{os.getpid()}-{threading.get_ident()}"  # two may write the files of one run
    partial = path.with_name(f".{path.name}.{writer}.part")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    finally:
        partial.unlink(missing_ok=True)


def _cell(value: object) -> str:
    match value:
        case None:
            return ""
        case bool():
            return str(int(value))
        case float():
            return f"{value:.10g}"
        case str():
            return spreadsheet_safe(value)
        case _:
            return str(value)
