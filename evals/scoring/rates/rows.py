"""What a row of a table is, and the words of corrected.csv."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from evals.trials.prompt import ALL

Row = dict[str, Any]
"""A row of a table by the names of its columns; None is a blank cell."""

ROGAN_GLADEN, PPI = "rogan_gladen", "ppi"
"""The two methods of corrected.csv."""
BETWEEN_NOTES = "; "
"""What stands between two notes in a cell of corrected.csv."""


def pooled_rows(rates: Iterable[Row], metrics: Collection[str] | None = None) -> list[Row]:
    """The rows of rates.csv over all prompts of a cell: of `metrics`, or of every metric."""
    return [row for row in rates if row["prompt_id"] == ALL and (metrics is None or row["metric"] in metrics)]
