"""Read Parquet files with DuckDB (the extra `parquet`): one file, no globs, no extensions, bounded memory."""

from __future__ import annotations

import importlib
from collections.abc import Generator, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from evals.errors import BadInput
from evals.text import install_extra, one_line

_BATCH = 256


def need_parquet_reader(what: str) -> None:
    """Raise BadInput unless parquet files can be read; `what` is that file, as the beginning of a sentence."""
    try:
        importlib.import_module("duckdb")
    except ImportError:
        raise BadInput(f"{what}: {install_extra('parquet')}") from None


def parquet_columns(path: Path) -> tuple[str, ...]:
    """The names of the columns. Raises BadInput."""
    with _opened(path) as (connection, source):
        return tuple(str(row[0]) for row in connection.execute(f"DESCRIBE {_SELECT.format('*')}", source).fetchall())


def parquet_rows(path: Path, columns: Sequence[str]) -> Iterator[dict[str, Any]]:
    """The rows, with the values of `columns` as Python has them. Raises BadInput."""
    names = ", ".join('"' + name.replace('"', '""') + '"' for name in columns)
    with _opened(path) as (connection, source):
        result = connection.execute(_SELECT.format(names), source)
        while batch := result.fetchmany(_BATCH):
            for values in batch:
                yield dict(zip(columns, values, strict=True))


_SELECT = "SELECT {} FROM read_parquet(?)"


@contextmanager
def _opened(path: Path) -> Generator[tuple[Any, list[str]]]:
    """A connection, and the argument of `read_parquet`. DuckDB's errors become BadInput."""
    need_parquet_reader(f"{path} is a parquet file")
    duckdb: Any = importlib.import_module("duckdb")
    # A small file can hold huge pages.
    settings = {
        "memory_limit": "2GB",
        "threads": 1,
        "autoinstall_known_extensions": False,
        "autoload_known_extensions": False,
    }
    escaped = "".join(f"[{char}]" if char in "*?[" else char for char in str(path))
    try:
        with duckdb.connect(":memory:", config=settings) as connection:
            yield connection, [escaped]
    except duckdb.Error as error:
        raise BadInput(f"{path}: is not a parquet file that can be read: {one_line(str(error), 120)}") from None
