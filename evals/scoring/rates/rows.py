"""What a row of a table is, and the columns of the tables."""

from __future__ import annotations

from collections.abc import Collection, Iterable
from typing import Any

from evals.trials.prompt import ALL

Row = dict[str, Any]
"""A row of a table by the names of its columns; None is a blank cell."""

RATE_COLUMNS = (
    *("run_id", "suite", "format", "model", "condition", "trigger", "prompt_id", "metric", "denominator", "k", "n"),
    *("rate", "ci_low", "ci_high", "ci_method", "paper_pm", "bound_low", "bound_high", "n_trials", "n_refused"),
    *("n_incoherent", "n_truncated", "n_empty", "n_failed", "n_unreadable", "n_no_reasoning", "n_outside", "n_pending"),
    *("judge", "rubric_sha", "dataset_sha", "source", "n_code", "gen_low", "gen_high", "gen_method", "top2_share"),
)
EFFECT_COLUMNS = (
    *("run_id", "suite", "format", "model", "condition", "baseline", "metric", "effect", "ci_low", "ci_high", "method"),
    *("p_value", "n_prompts", "source", "p_holm", "p_bh"),
)
CORRECTED_COLUMNS = (
    *("run_id", "suite", "format", "model", "condition", "trigger", "metric", "method", "k", "n", "rate", "ci_low"),
    *("ci_high", "corrected", "corrected_low", "corrected_high", "n_labels", "n_unsure", "n_excluded"),
    *("sensitivity", "sensitivity_low", "sensitivity_high", "specificity", "specificity_low", "specificity_high"),
    *("kappa", "labels_to_halve", "judge", "rubric_sha", "note"),
)
ROGAN_GLADEN, PPI = "rogan_gladen", "ppi"
"""The two methods of corrected.csv."""
BETWEEN_NOTES = "; "
"""What stands between two notes in a cell of corrected.csv."""


def pooled_rows(rates: Iterable[Row], metrics: Collection[str] | None = None) -> list[Row]:
    """The rows of rates.csv over all prompts of a cell: of `metrics`, or of every metric."""
    return [row for row in rates if row["prompt_id"] == ALL and (metrics is None or row["metric"] in metrics)]
