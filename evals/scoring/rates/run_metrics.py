"""Every metric that a run has, those of its question files among them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from evals.scoring.label_metrics import PlacedMetric, SuiteLabels, placed_metrics, run_labels
from evals.scoring.metric import PRIMARY
from evals.scoring.metric_table import ADDED_METRICS
from evals.scoring.rates.tally import RunFacts, Tally
from evals.scoring.side_metrics import side_metrics


class RunMetrics(NamedTuple):
    """The metrics with their places in rates.csv, and the labels of suites that are sorted into categories."""

    placed: tuple[PlacedMetric, ...]
    labels: Mapping[str, SuiteLabels]


def run_metrics(tally: Tally, facts: RunFacts) -> RunMetrics:
    labels = run_labels(facts.labels, tally.facts_by_suite())
    placed = tuple(
        metric
        for metric in placed_metrics(facts.denominator, labels)
        if metric.metric.name not in ADDED_METRICS or metric.metric.name in facts.plugins
    )
    rank = next(metric.place[0] for metric in placed if metric.metric.name == PRIMARY["poll"])
    more = side_metrics(rank, facts.denominator, facts.file_judges, tally.facts_by_suite())
    return RunMetrics((*placed, *more), labels)
