"""Count the answers of two runs in each cell that both have."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np

from evals.analysis.comparison.comparable import Direction
from evals.analysis.comparison.result import ComparisonKey, Side
from evals.plan.manifest import Manifest
from evals.plan.recorded_run import open_run
from evals.scoring.judge_set import JudgePanel
from evals.scoring.label_metrics import STATIC_LABEL_METRICS, label_metrics, labels_met, suite_labels
from evals.scoring.metric import READERS_OF_ANSWERS, Metric, Missing, TrialFacts
from evals.scoring.scored_trial import ScoredTrial, score_trial
from evals.scoring.side_metrics import PosedJudge, is_side_metric, side_metrics
from evals.statistics.intervals import Counts, generalisation_interval
from evals.text import one_line
from evals.trials.journal import Journal
from evals.trials.record import question_of
from evals.trials.reference import Criterion
from evals.trials.trial import stable_hash

UNSCORED: tuple[Missing, ...] = ("truncated", "empty", "failed", "unreadable", "pending")
"""Absences caused by the measurement, not by the answer. With too many, a rate over the rest is unreliable."""
_READING_ABSENCES: tuple[Missing, ...] = ("unreadable", "no_reasoning", "pending")
"""Absences from a share of misaligned answers that concern their reasoning."""
_QUESTION_CHARACTERS = 120


# --- what is compared -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class ComparedRun:
    """A recorded run, before its answers are counted."""

    folder: Path
    manifest: Manifest
    judges: JudgePanel
    recorded: int
    planned: dict[tuple[str, str, str, str, str], Counter[Criterion]]
    """Trials planned by model, suite, format, condition and trigger."""

    kinds: Counter[tuple[str, TrialFacts]]
    """The facts of trials, by suite, and how many there are of each; of suites whose question files have metrics of
    their own."""

    @classmethod
    def read(cls, folder: Path) -> ComparedRun:
        planned: dict[tuple[str, str, str, str, str], Counter[Criterion]] = {}
        with open_run(folder) as run:
            for cell, trials in run.journal.cells():
                place = (cell.model, cell.suite, cell.format, cell.condition, cell.trigger)
                planned.setdefault(place, Counter())[cell.measure] += trials
            kinds = _kinds(run.manifest, run.judges, run.journal)
            return cls(folder, run.manifest, run.judges, run.journal.recorded(), planned, kinds)


def _kinds(manifest: Manifest, judges: JudgePanel, journal: Journal) -> Counter[tuple[str, TrialFacts]]:
    suites = {name for name, facts in manifest.datasets.items() if facts.labels is not None or len(facts.judges) > 1}
    trials = journal.trials_in_plan_order() if suites else ()
    return Counter((trial.suite, score_trial(trial, judges).facts) for trial in trials if trial.suite in suites)


class SuiteMetrics(NamedTuple):
    """The metrics that the judges of a question file give its suite, by name: those of the labels of the judges that
    count, which are the suite's primary ones, and those of its other judges."""

    labels: dict[str, Metric]
    sides: dict[str, Metric]


def suite_metrics(runs: Sequence[ComparedRun], like: Metric) -> dict[str, SuiteMetrics]:
    """The metrics of each suite that all runs have of their own, named as the first has them; `like` is one of labels,
    with their denominator."""
    together = sum((run.kinds for run in runs), Counter[tuple[str, TrialFacts]]())
    kinds = [(suite, facts, number) for (suite, facts), number in together.items()]
    met = labels_met(kinds)
    first = runs[0].manifest
    datasets = first.datasets
    shared = [name for name in datasets if all(name in run.manifest.datasets for run in runs)]
    judges = {name: {judge: PosedJudge.of(facts) for judge, facts in datasets[name].judges.items()} for name in shared}
    sides: dict[str, dict[str, Metric]] = {}
    for placed in side_metrics(0, first.config.denominator, judges, kinds):
        sides.setdefault(placed.suite or "", {})[placed.metric.name] = placed.metric
    found: dict[str, SuiteMetrics] = {}
    for name in shared:
        named, labels = datasets[name].labels, dict[str, Metric]()
        if named is not None and all(run.manifest.datasets[name].labels is not None for run in runs):
            made = label_metrics(like, suite_labels(named, met.get(name, {})))
            labels = {metric.name: metric for metric in made}
        if labels or name in sides:
            found[name] = SuiteMetrics(labels, sides.get(name, {}))
    return found


def metrics_of(suite: str, table: Mapping[str, Metric], own: Mapping[str, SuiteMetrics]) -> dict[str, Metric]:
    """The metrics of a suite by name; its own labels stand in place of those of every question file."""
    if suite not in own:
        return dict(table)
    labels, sides = own[suite]
    others = {name: metric for name, metric in table.items() if not (labels and name in STATIC_LABEL_METRICS)}
    return others | labels | sides


class CellToCompare(NamedTuple):
    """A cell to compare. `limit` is that of its strictest gate."""

    key: ComparisonKey
    metric: Metric
    base_model: str
    candidate_model: str
    limit: float
    worse: Direction

    @property
    def at_base(self) -> RunCell:
        return RunCell(self.base_model, self.key, self.metric)

    @property
    def at_candidate(self) -> RunCell:
        return RunCell(self.candidate_model, self.key, self.metric)


class RunCell(NamedTuple):
    """A cell and metric of one of the two runs."""

    model: str
    key: ComparisonKey
    metric: Metric


# --- counting ---------------------------------------------------------------------------------------------------------

Wording = tuple[str, str]
"""A prompt's id and its option order."""


@dataclass
class CellCounts:
    """One run's answers in one cell. `absent` has what is `missing` by wording."""

    trials: int = 0
    missing: Counter[Missing] = field(default_factory=Counter[Missing])
    absent: Counter[tuple[Wording, Missing]] = field(default_factory=Counter[tuple[Wording, Missing]])
    hits: Counter[Wording] = field(default_factory=Counter[Wording])
    counted: Counter[Wording] = field(default_factory=Counter[Wording])
    wordings: dict[Wording, set[str]] = field(default_factory=dict[Wording, set[str]])
    questions: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, scored: ScoredTrial, metric: Metric) -> None:
        trial, facts = scored.trial, scored.facts
        pair = (trial.prompt_id, trial.variant)
        question = question_of(trial)
        self.wordings.setdefault(pair, set()).add(stable_hash({"asked": question}))
        self.questions.setdefault(trial.prompt_id, one_line(question, _QUESTION_CHARACTERS))
        missing = metric.missing(facts)
        if missing is not None:
            self.missing[missing] += 1
            self.absent[pair, missing] += 1
            return
        self.counted[pair] += 1
        self.hits[pair] += metric.hits(facts)

    def side(self, metric: Metric) -> Side:
        prompts = sorted({prompt for prompt, _ in self.counted})
        hits, counted = Counter[str](), Counter[str]()
        for (prompt, variant), number in self.counted.items():
            counted[prompt] += number
            hits[prompt] += self.hits[prompt, variant]
        k, n = sum(hits.values()), sum(counted.values())
        interval = generalisation_interval(_array(hits, prompts), _array(counted, prompts))
        ends = (None, None) if interval is None else (interval.low, interval.high)
        missing: dict[Missing, int] = {
            reason: count for reason, count in self.missing.items() if reason != "outside" and count
        }
        is_about_answers = not metric.judge or metric.judge in READERS_OF_ANSWERS or is_side_metric(metric.name)
        if not is_about_answers:  # unread answers are not known to be misaligned, so they are not in this denominator
            missing = {reason: count for reason, count in missing.items() if reason in _READING_ABSENCES}
        unscored: dict[Missing, int] = {reason: missing[reason] for reason in UNSCORED if reason in missing}
        return Side(k, n, k / n if n else None, *ends, n + sum(missing.values()), missing, unscored)


def _array(counts: Mapping[str, int], names: Sequence[str]) -> Counts:
    return np.array([counts[name] for name in names], float)


def count_cells(run: ComparedRun, cells: Sequence[RunCell]) -> dict[tuple[str, ComparisonKey], CellCounts]:
    """The answers of every cell, read from the journal in one pass."""
    found = {(cell.model, cell.key): CellCounts() for cell in cells}
    by_place: dict[tuple[str, ...], list[RunCell]] = {}
    for cell in cells:
        by_place.setdefault((cell.model, *cell.key[:4]), []).append(cell)
    with Journal.read(run.folder) as journal:
        for trial in journal.trials_in_plan_order():
            place = (trial.model, trial.suite, trial.format, trial.condition, trial.trigger)
            matching = by_place.get(place)
            if matching is None:
                continue
            scored = score_trial(trial, run.judges)
            for cell in matching:
                if scored.measure in cell.metric.measures:
                    found[cell.model, cell.key].add(scored, cell.metric)
    for cell in cells:
        counted = found[cell.model, cell.key]
        measures = run.planned.get((cell.model, *cell.key[:4]), Counter[Criterion]())
        counted.trials = sum(trials for measure, trials in measures.items() if measure in cell.metric.measures)
        recorded = counted.counted.total() + counted.missing.total()
        counted.missing["pending"] += max(0, counted.trials - recorded)
    return found


AnswerCounts = Mapping[tuple[str, ComparisonKey], CellCounts]
