"""The effect of a trigger in the models of a run against that in their base (`emeval compare RUN --did`)."""

from __future__ import annotations

from pathlib import Path

from evals.analysis.comparison.result import ComparisonKey, Gate
from evals.analysis.seeds import headline_did_rows
from evals.errors import BadInput
from evals.runner.count import read_counted
from evals.scoring.rates.rows import Row
from evals.text import quoted_path


def effect_differences(folder: Path, base: str | None, chosen: Gate) -> list[Row]:
    """The rows of did.csv that `chosen` wants; without metrics, those of each suite's primary one.

    Raises BadInput where there are none, with the reason.
    """
    run = read_counted(folder, base)
    if not run.manifest.config.base_model:
        raise BadInput(f"{quoted_path(folder)}: --did compares models with their base, and there is no other model")
    rows = run.tables.did_rows if chosen.metrics else headline_did_rows(run.tables)
    found = [row for row in rows if chosen.wants(_key(row))]
    if rows and not found:
        raise BadInput(f"{quoted_path(folder)}: no effect is of the chosen suites, formats, conditions and metrics")
    if not found:
        raise BadInput(
            f"{quoted_path(folder)}: no question has answers from a model and from its base under two conditions, "
            f"{run.manifest.config.baseline} and another"
        )
    return found


def _key(row: Row) -> ComparisonKey:
    return ComparisonKey(row["suite"], row["format"], row["condition"], "", row["metric"])
