"""The results of a run as JSON: all rows of its tables, with null for missing values."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from evals.plan.manifest import Manifest, SpendFacts
from evals.plan.spend import is_whole, total_usd
from evals.runner.count import RunResult

SCHEMA_VERSION = 1


def run_json(folder: Path, result: RunResult, *, gate: str | None, error: str | None, exit_code: int) -> dict[str, Any]:
    """Every row of rates.csv, effects.csv, the tables that labels correct, probabilities.csv and stopping.csv, with
    status and spend.

    `gate` is the problem with unscored answers, `error` the reason why the run stopped.
    """
    manifest, tables = result.manifest, result.tables
    return {
        "schema_version": SCHEMA_VERSION,
        "run": str(folder),
        "run_id": manifest.run_id,
        "status": manifest.status,
        "exit_code": exit_code,
        "error": error,
        "gate": gate,
        "trials": {"planned": manifest.trials_planned, "recorded": manifest.trials_recorded},
        "rates": plain_rows(tables.rate_rows),
        "effects": plain_rows(tables.all_effect_rows),
        "corrected": None if tables.corrected_rows is None else plain_rows(tables.corrected_rows),
        "corrected_effects": plain_rows(tables.corrected_effect_rows),
        "probabilities": plain_rows(tables.probability_rows),
        "stopping": plain_rows([row._asdict() for row in result.stopping]),
        "spend": _spend(manifest),
        "cache_hits": None if manifest.cache_hits is None else manifest.cache_hits.model_dump(mode="json"),
        "protocol": None if manifest.protocol is None else manifest.protocol.model_dump(mode="json"),
        "answered_as": {
            "models": {name: facts.answered_as for name, facts in manifest.models.items() if facts.answered_as},
            "judges": manifest.judges_answered_as,
        },
    }


def _spend(manifest: Manifest) -> dict[str, Any] | None:
    """The spend: `usd` covers what has a price, and `whole` says whether that is all."""
    if manifest.spend is None:
        return None
    charges = [row.charge() for row in manifest.spend]
    models = [_facts(row) for row in manifest.spend]
    return {"usd": total_usd(charges), "whole": is_whole(charges), "models": models}


def _facts(row: SpendFacts) -> dict[str, Any]:
    return row.model_dump(mode="json")


def plain_rows(rows: Iterable[Mapping[str, Any]]) -> list[dict[str, Any]]:
    """The rows of a table as JSON values."""
    return [{name: _plain(value) for name, value in row.items()} for row in rows]


def _plain(value: Any) -> Any:
    """`value` as a JSON value: non-finite numbers become null, numpy numbers plain ones."""
    item = getattr(value, "item", None)
    if item is not None:
        value = item()
    return None if isinstance(value, float) and not math.isfinite(value) else value
