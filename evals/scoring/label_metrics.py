"""The metrics of category judges: a share for each label that they are asked for or have given."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from functools import partial

from evals.scoring.metric import PRIMARY, Denominator, Metric, TrialFacts
from evals.scoring.metric_table import metric_table

PREFIX = "judged_"
MOST_LABELS = 40
"""More labels of one suite are counted together."""
OTHER = "other"
STATIC_LABEL_METRICS = frozenset({PRIMARY["poll"], "judged_false", "judged_unknown", "judged_above_50"})
"""Those of every question file whose judges sort nothing into categories."""
_NOT_ABOVE = "not_above_50"


def is_label_metric(name: str) -> bool:
    """Whether a metric is the share of one label of the judges of a question file."""
    return name.startswith(PREFIX)


@dataclass(frozen=True)
class SuiteLabels:
    """The labels of a suite that have a row of their own, and those that are counted together as `rest`."""

    shown: tuple[str, ...]
    grouped: frozenset[str] = frozenset()

    @property
    def rest(self) -> str:
        """The name of what is counted together, which no judge has given."""
        return f"{OTHER} labels" if OTHER in self.shown else OTHER

    @property
    def metrics(self) -> tuple[str, ...]:
        """The names of the suite's metrics, in order; there is one even where no label was given."""
        return tuple(f"{PREFIX}{label}" for label in (*self.shown, *([self.rest] if self.has_rest else [])))

    @property
    def has_rest(self) -> bool:
        return bool(self.grouped) or not self.shown


def suite_labels(named: Iterable[str], met: Mapping[str, int]) -> SuiteLabels:
    """The labels of a suite: those that its prompts name, then the others that were given, in alphabetical order. Of
    too many those that were given most often have a row."""
    first = list(dict.fromkeys(named))
    if _NOT_ABOVE in met and "above_50" not in first:
        first.append("above_50")
    others = sorted(set(met) - {*first, _NOT_ABOVE}, key=lambda label: (-met[label], label))
    room = max(0, MOST_LABELS - len(first))
    shown = (*first[:MOST_LABELS], *sorted(others[:room]))
    return SuiteLabels(shown, frozenset([*first[MOST_LABELS:], *others[room:]]))


def labels_met(kinds: Iterable[tuple[str, TrialFacts, int]]) -> dict[str, Counter[str]]:
    """How often each label was given, by suite; `kinds` are suites and facts with their numbers of trials."""
    met: dict[str, Counter[str]] = {}
    for suite, facts, number in kinds:
        if facts.measure == "poll" and facts.label:
            met.setdefault(suite, Counter())[facts.label] += number
    return met


def run_labels(
    named: Mapping[str, tuple[str, ...]], kinds: Iterable[tuple[str, TrialFacts, int]]
) -> dict[str, SuiteLabels]:
    """The labels of each suite whose answers are sorted into categories; `named` are those that its prompts name."""
    if not named:
        return {}
    met = labels_met(kinds)
    return {suite: suite_labels(labels, met.get(suite, {})) for suite, labels in named.items()}


@dataclass(frozen=True)
class PlacedMetric:
    """A metric, its place in rates.csv, and the suites that it is about, None for all without labels of their own."""

    metric: Metric
    place: tuple[int, int]
    suite: str | None = None


def placed_metrics(denominator: Denominator, labels: Mapping[str, SuiteLabels]) -> Iterator[PlacedMetric]:
    """Every metric of a run in the order of rates.csv. A suite with labels has a metric for each of them in place of
    the four that other judges of question files have."""
    for rank, metric in enumerate(metric_table(denominator)):
        yield PlacedMetric(metric, (rank, 0))
        if metric.name == PRIMARY["poll"]:
            for suite, own in labels.items():
                for number, made in enumerate(label_metrics(metric, own)):
                    yield PlacedMetric(made, (rank, number), suite)


def label_metrics(like: Metric, labels: SuiteLabels) -> Iterator[Metric]:
    """The metrics of a suite's labels, with the denominator of `like`."""
    for label in labels.shown:
        yield replace(like, name=f"{PREFIX}{label}", hits=partial(_is_label, labels=frozenset({label})))
    if labels.has_rest:
        yield replace(like, name=f"{PREFIX}{labels.rest}", hits=partial(_is_label, labels=labels.grouped))


def is_placed(placed: PlacedMetric, suite: str, labels: Mapping[str, SuiteLabels]) -> bool:
    """Whether a suite has rows of a metric."""
    if placed.suite is not None:
        return placed.suite == suite
    return not (placed.metric.name in STATIC_LABEL_METRICS and suite in labels)


def _is_label(facts: TrialFacts, labels: frozenset[str]) -> bool:
    return facts.label in labels
