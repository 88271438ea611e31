"""The checksum that each row of a journal is stored with, and the totals of each table, which miss a row that is gone.

Triggers keep the totals, in the transaction that writes or deletes a row.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterable
from typing import Any

TABLES: dict[str, tuple[str, ...]] = {
    "meta": ("key", "value"),
    "cells": ("suite", "format", "model", "condition", "trigger", "prompt_id", "measure", "planned"),
    "trials": (
        *("trial_id", "position", "suite", "format", "model", "prompt_id", "variant", "condition", "trigger"),
        *("distractor", "placement", "measure", "reference", "repeat", "seed", "messages", "options", "recorded_at"),
        *("attempts", "failure", "failure_detail", "prefill", "raw", "raw_reasoning", "reasoning", "answer"),
        *("reasoning_state", "finish_reason", "refusal", "reported_model", "prompt_tokens", "completion_tokens"),
        "latency_s",
    ),
    "verdicts": (
        *("trial_id", "judge_id", "judge", "judge_model", "request_id", "kind", "score", "letter", "option", "mode"),
        *("detail", "reply", "recorded_at", "prompt_tokens", "completion_tokens"),
    ),
    "other_judges": ("judge_id", "request_id", "judge_model", "answered_as"),
}
"""The columns of each table that its checksum is of, in their order. The arrival of a trial is in the totals."""

_KEPT = 1 << 48  # sums stay far from the largest integer of SQLite


def sealed(values: Iterable[Any]) -> tuple[Any, ...]:
    """The values of a row, and its checksum at the end."""
    row = tuple(values)
    return (*row, row_checksum(row))


def row_checksum(row: tuple[Any, ...]) -> int:
    # Not of repr: which characters it writes out differs from one version of Python to another.
    text = "\x1f".join([value if type(value) is str else ascii(value) for value in row])
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def insert(table: str, *, replace: bool = False) -> str:
    """The statement that writes a sealed row."""
    columns = (*TABLES[table], "checksum")
    word = "INSERT OR REPLACE" if replace else "INSERT"
    return f"{word} INTO {table} ({', '.join(columns)}) VALUES ({', '.join('?' * len(columns))})"


def weight(table: str, row: str = "") -> str:
    """What a row adds to the totals of its table, in SQL; `row` is NEW or OLD in a trigger."""
    dot = f"{row}." if row else ""
    return f"{dot}checksum + {dot}arrival" if table == "trials" else f"{dot}checksum"


def totals_schema() -> str:
    """The table of totals, and the triggers that keep it."""
    statements = [
        'CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, "rows" INTEGER NOT NULL, '
        "checksums INTEGER NOT NULL) WITHOUT ROWID;"
    ]
    for table in TABLES:
        added, removed = weight(table, "NEW"), weight(table, "OLD")
        events = {
            "insert": ("INSERT", "+ 1", f"+ {added}"),
            "delete": ("DELETE", "- 1", f"- ({removed})"),
            "update": ("UPDATE", "+ 0", f"+ {added} - ({removed})"),
        }
        statements.append(f"INSERT OR IGNORE INTO totals VALUES ('{table}', 0, 0);")  # noqa: S608
        statements += [
            f"CREATE TRIGGER IF NOT EXISTS {table}_{name} AFTER {event} ON {table} BEGIN "  # noqa: S608
            f'UPDATE totals SET "rows" = "rows" {count}, checksums = (checksums {change} + {_KEPT}) % {_KEPT} '
            f"WHERE name = '{table}'; END;"
            for name, (event, count, change) in events.items()
        ]
    return "\n".join(statements)


def total(weights: int) -> int:
    """The sum of the weights of all rows as the totals hold it."""
    return weights % _KEPT
