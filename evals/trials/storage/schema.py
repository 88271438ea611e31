"""The tables of a journal, and the views in which other tools read it.

What is the same in many rows (a prompt, a rubric, a name) stands once, in `texts`; `asked`, `endings` and `manners`
hold the combinations of them that occur, and `draws` and `rulings` refer to these. The views `trials` and `verdicts`
put all of it together again.
"""

from __future__ import annotations

from evals.trials.storage.checksums import totals_schema

SCHEMA_VERSION = 5

ASKED = (
    *("suite", "format", "model", "prompt_id", "variant", "condition", "trigger", "distractor", "placement", "measure"),
    *("reference", "messages", "options"),
)
"""What is asked in a cell; the last three are JSON."""
ENDINGS = ("failure", "prefill", "reasoning_state", "finish_reason", "reported_model")
MANNERS = ("judge", "judge_model", "kind", "letter", "mode", "answered_as")
DRAWS = (
    *("arrival", "trial_id", "position", "asked", "ending", "repeat", "seed", "recorded_at", "attempts"),
    *("failure_detail", "refusal", "base", "raw", "raw_reasoning", "reasoning", "answer"),
    *("prompt_tokens", "completion_tokens", "latency_s"),
)
RULINGS = (
    *("trial", "judge", "request", "manner", "score", "option", "detail", "reply", "recorded_at"),
    *("prompt_tokens", "completion_tokens"),
)

TABLES: dict[str, tuple[str, ...]] = {
    "meta": ("key", "value"),
    "cells": ("suite", "format", "model", "condition", "trigger", "prompt_id", "measure", "planned"),
    "texts": ("id", "hash", "text"),
    "asked": ("id", *ASKED),
    "endings": ("id", *ENDINGS),
    "manners": ("id", *MANNERS),
    "draws": DRAWS,
    "rulings": RULINGS,
    "other_replies": ("judge", "request", "judge_model", "answered_as"),
}
"""The columns of each table that its checksum is of, in their order."""
KEYS = {"meta": 1, "cells": 6, "rulings": 2, "other_replies": 2}
"""How many columns of a table tell its rows apart, 1 where it is not said."""
SHOWN_AS = {"draws": "trials", "rulings": "verdicts"}
"""The views in which people know a table."""


def _text(reference: str) -> str:
    return f"(SELECT text FROM texts WHERE id = {reference})"  # noqa: S608


def _id(stored: str) -> str:
    return f"CASE typeof({stored}) WHEN 'blob' THEN lower(hex({stored})) ELSE {stored} END"


def _time(stored: str) -> str:
    iso = f"strftime('%Y-%m-%dT%H:%M:%S', {stored} / 1000, 'unixepoch') || printf('.%03d+00:00', {stored} % 1000)"
    return f"CASE typeof({stored}) WHEN 'integer' THEN {iso} ELSE {stored} END"


def _part(stored: str, whole: str) -> str:
    """A text or the part of another that it is; NULL where that one is deflated."""
    places = (
        f"CASE WHEN {stored} >= 0 AND typeof(raw) = 'text' THEN substr(raw, ({stored} >> 24) + 1, {stored} & 16777215) "
        f"WHEN {stored} < 0 AND typeof(raw_reasoning) = 'text' "
        f"THEN substr(raw_reasoning, (~{stored} >> 24) + 1, ~{stored} & 16777215) "
        f"WHEN {stored} & 16777215 = 0 THEN '' END"
    )
    return f"CASE typeof({stored}) WHEN 'null' THEN {whole} WHEN 'integer' THEN {places} ELSE {stored} END"


def _digit(place: int) -> str:
    return f"instr('123456789ABCDEF', substr(hex(d.trial_id), {place}, 1))"


_SEED = " | ".join(f"({_digit(25 + place)} << {4 * (7 - place)})" for place in range(8))

_COMBINATIONS = "\n".join(
    f"CREATE TABLE {name} (id INTEGER PRIMARY KEY, {' INTEGER, '.join(columns)} INTEGER, checksum INTEGER NOT NULL);"
    for name, columns in (("asked", ASKED), ("endings", ENDINGS), ("manners", MANNERS))
)

_VIEWS = f"""
CREATE VIEW trials AS SELECT arrival, {_id("trial_id")} AS trial_id, position,
    {", ".join(f"{_text(f'a.{name}')} AS {name}" for name in ASKED)}, repeat,
    COALESCE(seed, ({_SEED}) & 2147483647) AS seed, {_time("recorded_at")} AS recorded_at, attempts,
    {_text("e.failure")} AS failure, failure_detail,
    {_text("e.prefill")} AS prefill, raw, raw_reasoning,
    {_part("reasoning", "raw_reasoning")} AS reasoning, {_part("answer", "raw")} AS answer,
    {", ".join(f"{_text(f'e.{name}')} AS {name}" for name in ENDINGS[2:])}, refusal,
    prompt_tokens, completion_tokens, latency_s
    FROM draws d JOIN asked a ON a.id = d.asked JOIN endings e ON e.id = d.ending;
CREATE VIEW verdicts AS SELECT
    {_id("COALESCE((SELECT trial_id FROM draws WHERE arrival = r.trial), r.trial)")} AS trial_id,
    {_text("r.judge")} AS judge_id, {_text("m.judge")} AS judge, {_text("m.judge_model")} AS judge_model,
    {_id("r.request")} AS request_id, {_text("m.kind")} AS kind, score, {_text("m.letter")} AS letter, option,
    {_text("m.mode")} AS mode, detail, reply, {_time("recorded_at")} AS recorded_at, prompt_tokens, completion_tokens,
    {_text("m.answered_as")} AS answered_as
    FROM rulings r JOIN manners m ON m.id = r.manner;
"""  # noqa: S608

SCHEMA = f"""
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE cells (
    suite TEXT NOT NULL, format TEXT NOT NULL, model TEXT NOT NULL, condition TEXT NOT NULL, trigger TEXT NOT NULL,
    prompt_id TEXT NOT NULL, measure TEXT NOT NULL, planned INTEGER NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (suite, format, model, condition, trigger, prompt_id)
) WITHOUT ROWID;
CREATE TABLE texts (id INTEGER PRIMARY KEY, hash BLOB NOT NULL UNIQUE, text NOT NULL, checksum INTEGER NOT NULL);
{_COMBINATIONS}
CREATE TABLE draws (
    arrival INTEGER PRIMARY KEY, trial_id NOT NULL UNIQUE, position INTEGER NOT NULL, asked INTEGER NOT NULL,
    ending INTEGER NOT NULL, repeat INTEGER NOT NULL, seed INTEGER, recorded_at NOT NULL, attempts INTEGER NOT NULL,
    failure_detail TEXT, refusal TEXT, base INTEGER, raw, raw_reasoning, reasoning, answer,
    prompt_tokens INTEGER, completion_tokens INTEGER, latency_s REAL, checksum INTEGER NOT NULL
);
CREATE TABLE rulings (
    trial NOT NULL, judge INTEGER NOT NULL, request NOT NULL, manner INTEGER NOT NULL, score REAL, option TEXT,
    detail TEXT, reply, recorded_at NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (trial, judge)
) WITHOUT ROWID;
CREATE TABLE other_replies (
    judge INTEGER NOT NULL, request NOT NULL, judge_model INTEGER NOT NULL, answered_as INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (judge, request)
) WITHOUT ROWID;
CREATE INDEX draws_by_asked ON draws (asked);
CREATE INDEX asked_by_messages ON asked (messages);
CREATE INDEX rulings_by_request ON rulings (substr(request, 1, 4));
{_VIEWS}
{totals_schema(TABLES)}
"""
