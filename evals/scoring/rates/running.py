"""Rates while a run is at work: the suites' primary metrics, counted as answers are scored. Never a result.

The interval is Wilson's over answers, which takes them for independent. Answers to a question are alike, and of rates
that are looked at again and again more than 1 in 20 are outside of a 95% interval. The tables at the end count anew.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from statistics import NormalDist
from typing import NamedTuple

from evals.scoring.metric import PRIMARY, Denominator, Metric
from evals.scoring.metric_table import metrics_by_name
from evals.scoring.scored_trial import ScoredTrial
from evals.trials.reference import Criterion

_Z2 = NormalDist().inv_cdf(0.975) ** 2


class RunningPlace(NamedTuple):
    """What a line of running rates is about."""

    model: str
    suite: str
    format: str


class RunningRate(NamedTuple):
    """`k` hits of `n` counted answers so far, at least 1; the rate is k / n."""

    k: int
    n: int

    @property
    def interval(self) -> tuple[float, float]:
        """Wilson's 95% interval over answers, both ends as fractions in [0, 1]."""
        rate = self.k / self.n
        middle = (self.k + _Z2 / 2) / (self.n + _Z2)
        reach = math.sqrt(_Z2 * (rate * (1 - rate) * self.n + _Z2 / 4)) / (self.n + _Z2)
        return max(0.0, middle - reach), min(1.0, middle + reach)


class RunningRates:
    """The rates by place and condition, each in the order in which their first answers came."""

    def __init__(self, denominator: Denominator) -> None:
        metrics = metrics_by_name(denominator)
        # Of answers that a judge sorts into categories no single rate is what the suite is about.
        self._metrics: dict[Criterion, Metric] = {
            criterion: metrics[name] for criterion, name in PRIMARY.items() if criterion != "poll"
        }
        self.places: dict[RunningPlace, dict[str, RunningRate]] = {}

    def add(self, scored: ScoredTrial) -> None:
        """Count a trial whose verdicts are all there; one that is in no denominator changes nothing."""
        metric, facts, trial = self._metrics.get(scored.measure), scored.facts, scored.trial
        if metric is None or metric.missing(facts):
            return
        conditions = self.places.setdefault(RunningPlace(trial.model, trial.suite, trial.format), {})
        k, n = conditions.get(trial.condition, (0, 0))
        conditions[trial.condition] = RunningRate(k + bool(metric.hits(facts)), n + 1)


OnScored = Callable[[ScoredTrial], None]
