"""The captions of figures of rates: counts and intervals in lines, and what is missing."""

from __future__ import annotations

from typing import Any

import pandas as pd

from evals.numbers import counted, out_of, percent, percent_range
from evals.scoring.rates.rows import is_of_one_question
from evals.scoring.rates.tables import pooled
from evals.trials.prompt import ALL

ABSENCES = {
    "n_refused": "refused",
    "n_code": "code",
    "n_incoherent": "incoherent",
    "n_outside": "left out by a filter",
    "n_truncated": "cut off",
    "n_empty": "empty",
    "n_failed": "failed",
    "n_unreadable": "unreadable by the judge",
    "n_pending": "not asked or not judged yet",
}


def rate_lines(rows: pd.DataFrame) -> list[str]:
    """A line for each row with answers: `model, condition: 12.5% (3 of 24, 95% interval 4.3% to 31.0%)`."""
    return [
        f"{row['series']}, {row['condition']}: {percent(row['rate'])} ({out_of(row['k'], row['n'])}, 95% interval "
        f"{_interval(row)})"
        for row in rows.to_dict("records")
    ]


def _interval(row: dict[Any, Any]) -> str:
    if is_of_one_question(row):
        return f"{percent_range(row['gen_low'], row['gen_high'])} for new answers to this question"
    return percent_range(row["ci_low"], row["ci_high"])


def counted_words(rates: pd.DataFrame) -> str:
    """How many of the trials are counted, and why the others are not."""
    rows = pooled(rates)
    trials, in_n = int(rows["n_trials"].sum()), int(rows["n"].sum())
    if in_n == trials:
        return f"All {counted(trials, 'trial')} are counted."
    reasons = [f"{int(rows[name].sum())} {words}" for name, words in ABSENCES.items() if rows[name].sum()]
    return f"Of {counted(trials, 'trial')} {in_n:,} are counted; not counted: {', '.join(reasons)}."


def absent_words(rates: pd.DataFrame) -> list[str]:
    """A line on what has no bar because nothing was counted."""
    empty = rates[rates["n"] == 0]
    cells = pooled(empty)
    whole = [f"{row['series']}, {row['condition']}" for row in cells.to_dict("records")]
    single = len(empty) - len(cells)
    parts = [f"no answer at all of {'; '.join(whole)}"] if whole else []
    parts += [f"no counted answer in {single} of {(rates['prompt_id'] != ALL).sum()} single bars"] if single else []
    return [f"Absent, not 0%: {'; '.join(parts)}."] if parts else []
