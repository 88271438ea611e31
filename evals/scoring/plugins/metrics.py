"""Metrics of other packages (entry points in the group `emeval.metrics`), checked as they are loaded and as they count.

A reply that never came is in no denominator, whatever a package's code says of it.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, get_args

from evals.io.plugins.entry_points import Plugin, bad_plugin, in_words
from evals.questions.plugins.suites import NAME, refused_name
from evals.scoring.metric import JUDGES_OF_ANSWERS, OF_ANY, Metric, Missing, TrialFacts
from evals.scoring.metric_table import add_metric
from evals.scoring.plugins.judges import check_metric_names
from evals.text import one_line

_MISSING = frozenset(get_args(Missing))


@functools.cache
def use_metric(plugin: Plugin) -> Metric:
    """The metric of a package, known from now on. Raises BadInput if it cannot be used."""
    if not NAME.fullmatch(plugin.name):
        raise refused_name(plugin)
    check_metric_names(plugin, {plugin.name})
    metric = plugin.load()
    if not isinstance(metric, Metric):
        raise bad_plugin(plugin, f"{one_line(plugin.target, 80)} is no emeval.Metric")
    if metric.name != plugin.name:
        raise bad_plugin(plugin, f"its Metric is called {one_line(str(metric.name), 60)!r}; give both the same name")
    if metric.judge and metric.judge not in JUDGES_OF_ANSWERS:
        raise bad_plugin(plugin, f"judge must be empty or one of {', '.join(sorted(JUDGES_OF_ANSWERS))}")
    if not metric.measures <= OF_ANY:
        raise bad_plugin(plugin, f"measures must be some of {', '.join(sorted(OF_ANY))}")
    checked = replace(
        metric,
        missing=partial(_missing, missing=metric.missing, plugin=plugin),
        hits=partial(_hits, hits=metric.hits, plugin=plugin),
        source=metric.source or f"{plugin.package} {plugin.version}",
        every_trace=False,
    )
    add_metric(checked)
    return checked


def _missing(facts: TrialFacts, missing: Callable[[TrialFacts], Any], plugin: Plugin) -> Missing | None:
    if facts.outcome == "failed":
        return "failed"
    reason = _said(missing, facts, plugin)
    if reason is not None and reason not in _MISSING:
        raise bad_plugin(plugin, f"its missing() says {one_line(repr(reason), 60)}, which is not one of emeval.Missing")
    return reason


def _hits(facts: TrialFacts, hits: Callable[[TrialFacts], Any], plugin: Plugin) -> bool:
    hit = _said(hits, facts, plugin)
    if not isinstance(hit, bool):
        raise bad_plugin(plugin, f"its hits() says {one_line(repr(hit), 60)}, which is neither True nor False")
    return hit


def _said(function: Callable[[TrialFacts], Any], facts: TrialFacts, plugin: Plugin) -> Any:
    try:
        return function(facts)
    except Exception as error:
        raise bad_plugin(plugin, f"it cannot count: {in_words(error)}") from error
