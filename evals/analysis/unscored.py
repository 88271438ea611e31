"""How much of a run was not measured, and whether that is too much for its rates.

A rate covers the answers that could be measured. If many could not, the rest may be biased: long answers are cut off,
hard ones fail. Answers left out for their content (refused, code, incoherent) are findings and not missing here.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any, NamedTuple

from evals.numbers import percent
from evals.plan.manifest import Manifest
from evals.scoring.judge_set import IMPORTED
from evals.scoring.label_metrics import is_label_metric
from evals.scoring.metric import PRIMARY
from evals.scoring.outcome import Outcome
from evals.scoring.rates.rows import Row, headline_rows
from evals.scoring.rates.tables import Tables
from evals.text import one_line, program, quoted_path
from evals.trials.reference import BY_RULE, Criterion

_COLUMN: dict[Outcome, str] = {
    "truncated": "n_truncated",
    "empty": "n_empty",
    "failed": "n_failed",
    "judge_unreadable": "n_unreadable",
    "judge_refused": "n_unreadable",
    "judge_failed": "n_unreadable",
    "unjudged": "n_pending",
}
"""The outcomes without a measurement, each with the column of rates.csv that counts it."""
_MEASURE_OF: dict[str, Criterion] = {metric: measure for measure, metric in PRIMARY.items()}


class Unscored(NamedTuple):
    """The trials of a cell that were not measured, by cause; `trials` is the number planned."""

    suite: str
    format: str
    model: str
    condition: str
    metric: str
    causes: Counter[Outcome]
    trials: int

    @property
    def unscored(self) -> int:
        return self.causes.total()

    @property
    def share(self) -> float:
        return self.unscored / self.trials

    @property
    def cause(self) -> Outcome:
        """The most frequent cause."""
        return self.causes.most_common(1)[0][0]


def unscored_cells(manifest: Manifest, tables: Tables) -> list[Unscored]:
    """The cells with a larger unscored share than `max_unscored`, worst first."""
    cells = [_unscored(row, manifest, tables) for row in _row_of_each_cell(tables.rate_rows)]
    over = [cell for cell in cells if cell.share > manifest.config.max_unscored]
    return sorted(over, key=lambda cell: -cell.share)


def _row_of_each_cell(rates: Iterable[Row]) -> list[Row]:
    """One row of each cell and criterion: of several labels the first, since all lack the same trials."""
    first: dict[tuple[object, ...], Row] = {}
    for row in headline_rows(rates):
        place = (
            *(row[name] for name in ("suite", "format", "model", "condition", "trigger")),
            _measure_of(row["metric"]),
        )
        first.setdefault(place, row)
    return list(first.values())


def _measure_of(metric: str) -> Criterion:
    return "poll" if is_label_metric(metric) else _MEASURE_OF[metric]


def _unscored(row: Row, manifest: Manifest, tables: Tables) -> Unscored:
    cell = tuple(row[name] for name in ("suite", "format", "model", "condition", "trigger"))
    outcomes: Counter[Any] = Counter()
    for count in tables.trial_counts:
        if count[:5] == cell and count.measure == _measure_of(row["metric"]):
            outcomes[count.outcome] += count.trials
    counted: list[Outcome] = [
        outcome
        for outcome, column in _COLUMN.items()
        if row[column] and outcomes[outcome] and (outcome != "unjudged" or manifest.config.judge is not None)
    ]
    causes: Counter[Outcome] = Counter({outcome: outcomes[outcome] for outcome in counted})
    place = (row["suite"], row["format"], row["model"], row["condition"], row["metric"])
    return Unscored(*place, causes, int(row["n_trials"]))


def too_much_unscored(manifest: Manifest, tables: Tables, folder: Path) -> str | None:
    """One line on the worst cell over the limit: how much is unscored, why, and what to do. None if no cell is."""
    over = unscored_cells(manifest, tables)
    if not over:
        return None
    worst = over[0]
    words, advice = _explained(worst, manifest, folder)
    number = worst.causes[worst.cause]
    most = "all" if number == worst.unscored else f"{number} of them"
    others = len(over) - 1
    more = f"; {others} more cell{'s are' if others > 1 else ' is'} over it, too" if others else ""
    where = f"{worst.suite} ({worst.format}), {worst.model}, condition {worst.condition}"
    return (
        f"{one_line(where, 300)}: {worst.unscored} of {worst.trials} trials ({percent(worst.share)}) have no score, "
        f"and --max-unscored is {manifest.config.max_unscored:g}. Cause: {most} {words}; {advice}{more}"
    )


def _explained(cell: Unscored, manifest: Manifest, folder: Path) -> tuple[str, str]:
    """The most frequent cause in words, and what to do about it."""
    imported = manifest.imported is not None
    run = quoted_path(folder)
    judge = f"{program()} judge {run}{' --judge MODEL' if manifest.config.judge in (None, IMPORTED) else ''}"
    match cell.cause:
        case "truncated" if imported:
            return "cut off", "ask again with a higher token limit"
        case "truncated":
            return "cut off", f"raise --max-tokens ({manifest.config.max_tokens} here) in a new run"
        case "empty":
            return "empty", "look at the chat template and at the server's reasoning parser"
        case "failed" if imported:
            return "failed", "ask again"
        case "failed":
            return "failed", f"{program()} resume {run} --retry-failed asks again"
        case "judge_unreadable" if cell.format == "mcq" or _measure_of(cell.metric) in BY_RULE:
            return "not readable by rule", "look at some answers in responses.csv"
        case "judge_unreadable" if not imported and _measure_of(cell.metric) in ("hit", "poll"):
            look = f"{program()} show {run} --outcome judge_unreadable has its replies"
            return "judged in a way that cannot be read", f"{look}; one that reasons first needs `read` in its file"
        case "judge_unreadable":
            return "judged in a way that cannot be read", f"look at the judge; {judge} asks it or another again"
        case "judge_refused":
            return "refused by the judge", f"{program()} judge {run} --judge MODEL takes another"
        case "judge_failed":
            return "without a reply of the judge", f"look at its server; {judge} asks again"
        case _ if imported and _measure_of(cell.metric) != "alignment":  # a judge has nothing to compare these with
            return "not judged", f"{program()} judge {run} --judge imported counts the labels that came with them"
        case _:
            return "not judged", f"{judge} judges them"
