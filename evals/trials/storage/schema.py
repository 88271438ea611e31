"""The tables of a journal."""

from __future__ import annotations

from evals.trials.storage.checksums import totals_schema

SCHEMA_VERSION = 4
SCHEMA = f"""
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL, checksum INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cells (
    suite TEXT NOT NULL, format TEXT NOT NULL, model TEXT NOT NULL, condition TEXT NOT NULL, trigger TEXT NOT NULL,
    prompt_id TEXT NOT NULL, measure TEXT NOT NULL, planned INTEGER NOT NULL, checksum INTEGER NOT NULL,
    PRIMARY KEY (suite, format, model, condition, trigger, prompt_id)
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
{totals_schema()}
"""
