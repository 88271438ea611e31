"""What the checksums and totals of a journal are of, in each schema that has them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from evals.trials.storage import checksums, old_layout, schema

Row = tuple[Any, ...]


@dataclass(frozen=True)
class Layout:
    """`weight` is what a row adds to the total of its table, from its checksum and, for trials, their arrival; None
    where it is its checksum."""

    version: int
    definitions: str
    tables: Mapping[str, tuple[str, ...]]
    row_checksum: Callable[[Row], int]
    weight: Callable[[str, int, int], int] | None
    trials: str
    verdicts: str


CURRENT = Layout(
    schema.SCHEMA_VERSION,
    schema.SCHEMA,
    schema.TABLES,
    checksums.row_checksum,
    None,
    "draws",
    "rulings",
)
OLD = Layout(4, old_layout.SCHEMA, old_layout.TABLES, old_layout.row_checksum, old_layout.weight, "trials", "verdicts")


def layout_of(connection: sqlite3.Connection) -> Layout:
    """The layout of a journal, by its tables: what it says of its version may be damaged."""
    is_current = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'draws'").fetchone() is not None
    is_old = connection.execute("SELECT 1 FROM sqlite_master WHERE name = 'trials' AND type = 'table'").fetchone()
    return OLD if is_old is not None and not is_current else CURRENT
