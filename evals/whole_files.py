"""Write a result file whole or not at all: one that takes the old one's place once it is on the disk."""

from __future__ import annotations

import csv
import json
import os
from collections.abc import Generator, Iterable, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from evals.errors import JournalFull
from evals.text import spreadsheet_safe


def write_rows(path: Path, columns: Sequence[str], rows: Iterable[Mapping[str, object]]) -> None:
    """A CSV of `rows`; None is a blank cell, and a text that a spreadsheet would run is made safe."""
    with _replacing(path) as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(columns)
        writer.writerows([_cell(row[name]) for name in columns] for row in rows)


def write_json(path: Path, value: Mapping[str, Any]) -> None:
    """`value` as JSON that every reader takes: without NaN, and with names as they are."""
    with _replacing(path) as file:
        file.write(json.dumps(value, indent=1, ensure_ascii=False, allow_nan=False) + "\n")


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


@contextmanager
def _replacing(path: Path) -> Generator[IO[str]]:
    partial = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with partial.open("w", encoding="utf-8", newline="") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        partial.replace(path)
    except OSError as error:
        raise JournalFull(f"{path}: cannot be written ({error.strerror}); the journal is whole") from None
    finally:
        partial.unlink(missing_ok=True)
