"""A comparison as JSON: every number, with the runs, judges and datasets it depends on."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from evals.analysis.comparison.result import CellChange, Compared, QuestionChange, Side
from evals.analysis.comparison.words import cell_words, decision_words

SCHEMA_VERSION = 1


def comparison_json(compared: Compared) -> str:
    """The whole comparison as JSON: shares are fractions in [0, 1], missing values are null."""
    content: dict[str, Any] = {
        "schema_version": SCHEMA_VERSION,
        "decision": compared.decision,
        "verdict": decision_words(compared),
        "base": compared.base._asdict(),
        "candidate": compared.candidate._asdict(),
        "cells": [_cell(cell) for cell in compared.cells],
        "changed_questions": [_question(change) for change in compared.changed],
        "notes": list(compared.notes),
    }
    return json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n"


def _cell(cell: CellChange) -> dict[str, Any]:
    fields = {name: value for name, value in asdict(cell).items() if name not in ("key", "base", "candidate")}
    sides = {"base": _side(cell.base), "candidate": _side(cell.candidate)}
    return cell.key._asdict() | fields | {"words": cell_words(cell)} | sides


def _side(side: Side) -> dict[str, Any]:
    return side._asdict() | {"unscored_share": side.unscored_share}


def _question(change: QuestionChange) -> dict[str, Any]:
    fields = {name: value for name, value in change._asdict().items() if name != "cell"}
    return change.cell._asdict() | fields | {"increase": change.increase}
