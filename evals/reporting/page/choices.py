"""The table of a report on choices whose probabilities were read, instead of counted."""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evals.numbers import counted
from evals.runner.count import Counted
from evals.scoring.choices.words import effect_words, number_range, probability_words, small_percent
from evals.scoring.rates.rows import Row


class ProbabilityRow(NamedTuple):
    """A row of probabilities.csv in words."""

    run: str
    suite: str
    model: str
    condition: str
    probability: str
    interval: str
    log_odds: str
    effect: str
    read_from: str
    left_out: str


def probability_table(runs: Sequence[Counted]) -> list[ProbabilityRow]:
    """The rows of all runs; empty where no letters were read."""
    return [_row(run.manifest.run_id, row) for run in runs for row in run.tables.probability_rows]


def _row(run: str, row: Row) -> ProbabilityRow:
    interval = number_range(small_percent(row["ci_low"]), small_percent(row["ci_high"]))
    ends = "" if row["log_odds_low"] is None else f" [{row['log_odds_low']:.2f}, {row['log_odds_high']:.2f}]"
    return ProbabilityRow(
        run,
        row["suite"],
        row["model"],
        row["condition"] + (f": {row['trigger']}" if row["trigger"] else ""),
        probability_words(row),
        interval,
        "–" if row["log_odds"] is None else f"{row['log_odds']:.2f}{ends}",
        "–" if row["effect"] is None else f"against {row['baseline']}: {effect_words(row)}",
        _read_from(row),
        row["unread"] or "",
    )


def _read_from(row: Row) -> str:
    orders = f"{row['n_orders']} option orders" if row["n_orders"] > 1 else "1 option order"
    questions = f"{row['n_questions']} of {counted(row['n_asked'], 'question')} x {orders}"
    if not row["n_thoughts"]:
        return questions
    return f"{questions}, {counted(row['n_thoughts'], 'thought')}, of which {row['n_turned']} turned the choice"
