"""Generated trials as rows of schema 4."""

from __future__ import annotations

import json
from typing import Any

from evals.trials.journal_schema import verdict_fields
from evals.trials.prompt import wire_messages
from evals.trials.reference import criterion_of, reference_row
from evals.trials.response import Failure
from evals.trials.storage.old_layout import TABLES
from tests.trials.storage.generated import Row

TIMES = ("2026-11-29T09:52:28.864+00:00", "1999-12-31T23:59:59.000+00:00", "2026-11-29T09:52:28+00:00", "then", "")


def old_rows_of(run: list[Row]) -> dict[str, list[dict[str, Any]]]:
    verdicts = [row for place, trial in enumerate(run) for row in _verdicts(trial, TIMES[place % len(TIMES)])]
    others = [
        {"judge_id": judge.id, "request_id": ruling.request_id, "judge_model": judge.model, "answered_as": other}
        for _, _, rulings in run
        for judge, ruling in rulings
        if (other := ruling.answered_as)
    ]
    gone = {"judge_id": "gone", "request_id": "0" * 32, "judge_model": "m", "answered_as": "who"}
    return {
        "meta": [{"key": "schema_version", "value": "4"}, {"key": "stopping", "value": "{}"}],
        "cells": [dict(zip(TABLES["cells"], ("s", "mcq", "m", "off", "", "p", "em", 3), strict=True))],
        "trials": [
            {"arrival": 3 * place + 1} | _trial(trial, TIMES[place % len(TIMES)]) for place, trial in enumerate(run)
        ],
        "verdicts": verdicts,
        "other_judges": list({(row["judge_id"], row["request_id"]): row for row in [*others, gone]}.values()),
    }


def _trial(row: Row, when: str) -> dict[str, Any]:
    trial, result, _ = row
    named = ("position", "suite", "format", "model", "prompt_id", "variant", "condition", "trigger", "distractor")
    options = trial.options and {"A": trial.options.a, "B": trial.options.b, "misaligned": "A"}
    values: dict[str, Any] = dict.fromkeys(TABLES["trials"])
    values |= {name: getattr(trial, name) for name in (*named, "placement", "repeat", "seed")}
    values |= {
        "trial_id": trial.id,
        "measure": criterion_of(trial.reference),
        "reference": trial.reference and json.dumps(reference_row(trial.reference), ensure_ascii=False),
        "messages": json.dumps(wire_messages(trial.messages), ensure_ascii=False),
        "options": options and json.dumps(options),
        "recorded_at": when,
        "attempts": result.attempts,
    }
    if isinstance(result, Failure):
        return values | {"failure": result.kind, "failure_detail": result.detail}
    return values | {name: getattr(result, name) for name in TABLES["trials"] if hasattr(result, name)}


def _verdicts(row: Row, when: str) -> list[dict[str, Any]]:
    trial, _, rulings = row
    return [
        dict(
            zip(
                TABLES["verdicts"],
                (
                    *(trial.id, *judge, ruling.request_id, *verdict_fields(ruling.verdict), ruling.reply, when),
                    *(ruling.prompt_tokens, ruling.completion_tokens),
                ),
                strict=True,
            )
        )
        for judge, ruling in rulings
    ]
