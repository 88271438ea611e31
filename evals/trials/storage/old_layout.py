"""Journals of schema 3 and 4, as earlier versions of emeval wrote them: every text stood in every row.

They are read through a copy of schema 5 and migrated when they are opened to be written. Schema 3 had no checksums.
"""

from __future__ import annotations

import zlib
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

_KEPT = 1 << 48
_CELL = "suite, format, model, condition, trigger, prompt_id"


def row_checksum(row: tuple[Any, ...]) -> int:
    text = "\x1f".join([value if type(value) is str else ascii(value) for value in row])
    return zlib.crc32(text.encode("utf-8", "surrogatepass"))


def _totals() -> str:
    """The table of totals, and the triggers that kept it."""
    statements = [
        'CREATE TABLE IF NOT EXISTS totals (name TEXT PRIMARY KEY, "rows" INTEGER NOT NULL, '
        "checksums INTEGER NOT NULL) WITHOUT ROWID;"
    ]
    for table in TABLES:
        added, removed = (
            f"{row}.checksum + {row}.arrival" if table == "trials" else f"{row}.checksum" for row in ("NEW", "OLD")
        )
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


SCHEMA = f"""
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cells (
    suite TEXT NOT NULL, format TEXT NOT NULL, model TEXT NOT NULL, condition TEXT NOT NULL, trigger TEXT NOT NULL,
    prompt_id TEXT NOT NULL, measure TEXT NOT NULL, planned INTEGER NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY ({_CELL})
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trials (
    arrival INTEGER PRIMARY KEY, trial_id TEXT NOT NULL UNIQUE, position INTEGER NOT NULL, suite TEXT NOT NULL,
    format TEXT NOT NULL, model TEXT NOT NULL, prompt_id TEXT NOT NULL, variant TEXT NOT NULL, condition TEXT NOT NULL,
    trigger TEXT NOT NULL, distractor TEXT NOT NULL, placement TEXT, measure TEXT NOT NULL, reference TEXT,
    repeat INTEGER NOT NULL, seed INTEGER NOT NULL, messages TEXT NOT NULL, options TEXT,
    recorded_at TEXT NOT NULL, attempts INTEGER NOT NULL,
    failure TEXT, failure_detail TEXT,
    prefill TEXT, raw TEXT, raw_reasoning TEXT, reasoning TEXT, answer TEXT, reasoning_state TEXT,
    finish_reason TEXT, refusal TEXT, reported_model TEXT, prompt_tokens INTEGER, completion_tokens INTEGER,
    latency_s REAL, checksum INTEGER NOT NULL
);
CREATE TABLE IF NOT EXISTS verdicts (
    trial_id TEXT NOT NULL, judge_id TEXT NOT NULL, judge TEXT NOT NULL, judge_model TEXT NOT NULL,
    request_id TEXT NOT NULL, kind TEXT NOT NULL, score REAL, letter TEXT, option TEXT, mode TEXT, detail TEXT,
    reply TEXT, recorded_at TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (trial_id, judge_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS other_judges (
    judge_id TEXT NOT NULL, request_id TEXT NOT NULL, judge_model TEXT NOT NULL, answered_as TEXT NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (judge_id, request_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS verdicts_by_request ON verdicts (judge_id, request_id);
{_totals()}
"""
"""Of schema 4, to the letter: a journal of it must have these definitions."""


def weight(table: str, checksum: int, arrival: int) -> int:
    """What a row of schema 4 added to the total of its table."""
    return checksum + arrival if table == "trials" else checksum
