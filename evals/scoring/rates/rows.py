"""What a row of a table is, and the words of corrected.csv."""

from __future__ import annotations

import math
from collections.abc import Collection, Iterable, Mapping
from typing import Any

from evals.scoring.label_metrics import STATIC_LABEL_METRICS, is_label_metric
from evals.scoring.metric import PRIMARY
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


def headline_rows(rates: Iterable[Row]) -> list[Row]:
    """The rows over all prompts of each suite's primary metric, or of all labels where its judge sorts answers into
    categories."""
    pooled = pooled_rows(rates)
    sorted_suites = label_suites((row["suite"], row["metric"]) for row in pooled)
    return [row for row in pooled if is_headline(row["suite"], row["metric"], sorted_suites)]


def best_interval(row: Mapping[Any, Any]) -> tuple[float, float]:
    """The 95% interval of a row of rates.csv with answers: for questions like these, or, where one question shows
    nothing of others (blank), for new answers to just this one."""
    prefix = "gen" if is_of_one_question(row) else "ci"
    return row[f"{prefix}_low"], row[f"{prefix}_high"]


def is_of_one_question(row: Mapping[Any, Any]) -> bool:
    """Whether a row of rates.csv has answers to one question only, and so no generalisation interval."""
    return bool(row["n"]) and (row["ci_low"] is None or math.isnan(row["ci_low"]))


def is_headline(suite: str, metric: str, sorted_suites: Collection[str]) -> bool:
    """Whether a metric is what its suite is about; `sorted_suites` are those that `label_suites` finds."""
    return metric in _PRIMARY or (suite in sorted_suites and is_label_metric(metric))


def label_suites(metrics: Iterable[tuple[str, str]]) -> frozenset[str]:
    """The suites whose judge sorts answers into categories: they have other labels than the four of every such file.

    `metrics` are suites with the metrics that they have rows of.
    """
    found: dict[str, set[str]] = {}
    for suite, metric in metrics:
        if is_label_metric(metric):
            found.setdefault(suite, set()).add(metric)
    return frozenset(suite for suite, names in found.items() if names ^ STATIC_LABEL_METRICS)


_BY_CONTENT = ("n_refused", "n_code", "n_incoherent", "n_outside")


def missing_share(row: Row) -> float:
    """The share of a rate's trials that have no score, from 0 to 1. Refusals, code and incoherent answers are not
    missing: they are left out of n for their content."""
    content = sum(row[name] for name in _BY_CONTENT if not (name == "n_refused" and row["denominator"] == "judged"))
    return (row["n_trials"] - row["n"] - content) / max(1, row["n_trials"])


def is_led_by_question(row: Row) -> bool:
    """Whether a pooled row's mean over questions differs from its rate over answers by more than half the width of the
    interval of just these questions: answers are then missing in a pattern that matters, and the mean is to be quoted.
    """
    if not row["n"]:
        return False
    return abs(row["rate_by_question"] - row["rate"]) > (row["gen_high"] - row["gen_low"]) / 2


_PRIMARY = frozenset(PRIMARY.values())
