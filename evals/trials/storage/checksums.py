"""The checksum that each row of a journal is stored with, and the totals of each table, which miss a row that is gone.

Each write of a row updates the totals, in the same transaction. What another program adds, changes or takes away
leaves them as they were, and is noticed.
"""

from __future__ import annotations

import marshal
import sqlite3
import zlib
from collections.abc import Iterable, Sequence
from typing import Any

KEPT = 1 << 48  # sums stay far from the largest integer of SQLite
_SIGN = 1 << 31


def row_checksum(row: tuple[Any, ...]) -> int:
    """A CRC-32 as a signed number, which SQLite stores in four bytes.

    It is of the row in version 2 of Python's marshal format, which has been the same since Python 2.5 and is by far the
    fastest way to bytes. Nothing is ever read back from it.
    """
    return (zlib.crc32(marshal.dumps(row, 2)) ^ _SIGN) - _SIGN


def sealed(row: tuple[Any, ...]) -> tuple[Any, ...]:
    """The values of a row, and its checksum at the end."""
    return (*row, row_checksum(row))


class Totals:
    """What a transaction adds to the totals. Call `write` before it is committed."""

    def __init__(self) -> None:
        self._changes: dict[str, list[int]] = {}

    def add(self, table: str, rows: Iterable[tuple[Any, ...]]) -> None:
        """Count sealed rows that are written."""
        checksums = [row[-1] for row in rows]
        self.change(table, len(checksums), sum(checksums))

    def change(self, table: str, rows: int, checksums: int) -> None:
        change = self._changes.setdefault(table, [0, 0])
        change[0] += rows
        change[1] += checksums

    def write(self, connection: sqlite3.Connection) -> None:
        for table, (rows, checksums) in self._changes.items():
            connection.execute(
                f'UPDATE totals SET "rows" = "rows" + ?, checksums = (checksums + ? + {KEPT}) % {KEPT} WHERE name = ?',  # noqa: S608
                (rows, checksums % KEPT, table),
            )
        self._changes.clear()


def totals_schema(tables: Iterable[str]) -> str:
    statements = [
        'CREATE TABLE totals (name TEXT PRIMARY KEY, "rows" INTEGER NOT NULL, checksums INTEGER NOT NULL) '
        "WITHOUT ROWID;"
    ]
    statements += [f"INSERT INTO totals VALUES ('{table}', 0, 0);" for table in tables]  # noqa: S608
    return "\n".join(statements)


def total(checksums: int) -> int:
    """The sum of the checksums of all rows as the totals hold it."""
    return checksums % KEPT


def insert(table: str, columns: Sequence[str]) -> str:
    """The statement that writes a sealed row."""
    named = (*columns, "checksum")
    return f"INSERT INTO {table} ({', '.join(named)}) VALUES ({', '.join('?' * len(named))})"  # noqa: S608
