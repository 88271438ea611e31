"""Read a pilot run: the counts of each question by cell, their cost, and the questions available for the next run.

The run's own metrics decide what is counted and what is a hit.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from evals.errors import BadInput
from evals.plan.manifest import Manifest, judge_set
from evals.plan.own_questions.loading import load_questions
from evals.questions.source import questions_of
from evals.questions.suites import find_suite
from evals.scoring.judge_set import IMPORTED, JudgePanel
from evals.scoring.metric import JUDGES_OF_ANSWERS, PRIMARY, Metric
from evals.scoring.metric_table import metric_table
from evals.scoring.scored_trial import score_trial
from evals.text import one_line
from evals.trials.prompt import Format
from evals.trials.record import RecordedTrial
from evals.trials.reference import Criterion, criterion_of
from evals.trials.response import Response


class PilotFilter(NamedTuple):
    """The cells of the pilot to plan for; None selects all.

    `questions` replaces the number in the dataset. `dataset` are the pilot's own scenario files, which are not opened
    where its manifest alone names them.
    """

    metric: str | None = None
    model: str | None = None
    suite: str | None = None
    format: str | None = None
    condition: str | None = None
    questions: int | None = None
    dataset: tuple[str, ...] = ()


class PilotKey(NamedTuple):
    suite: str
    format: str
    model: str
    condition: str
    trigger: str


@dataclass
class PilotUsage:
    """Token sums over the trials of a cell, and the number of calls for which each is known."""

    trials: int = 0
    known: Counter[str] = field(default_factory=Counter[str])
    tokens: Counter[str] = field(default_factory=Counter[str])
    asked_judges: set[tuple[str, str]] = field(default_factory=set[tuple[str, str]])

    def add(self, trial: RecordedTrial, judges: frozenset[str]) -> None:
        self.trials += 1
        if isinstance(trial.result, Response):
            self._count("prompt", trial.result.prompt_tokens)
            self._count("completion", trial.result.completion_tokens)
        for judge_id, ruling in trial.rulings.items():
            if judge_id in judges:
                self.asked_judges.add((judge_id, ruling.request_id))  # identical requests are sent once
                self._count("judge_prompt", ruling.prompt_tokens)
                self._count("judge_completion", ruling.completion_tokens)

    def _count(self, name: str, tokens: int | None) -> None:
        if tokens is not None:
            self.known[name] += 1
            self.tokens[name] += tokens

    @property
    def judge_calls(self) -> float:
        """Judge requests per trial."""
        return len(self.asked_judges) / self.trials

    def tokens_of(self, name: str, calls: float) -> float | None:
        """The tokens to expect of `calls` calls, None if no call recorded any."""
        if not calls:
            return 0.0
        return calls * self.tokens[name] / self.known[name] if self.known[name] else None


@dataclass
class MetricCounts:
    """One metric in one cell: [hits, counted, asked] by (question, option order), and why trials are not counted.

    Unjudged trials are only in `missing`: their outcome is unknown.
    """

    metric: Metric
    wordings: dict[tuple[str, str], list[int]] = field(default_factory=dict[tuple[str, str], list[int]])
    missing: Counter[str] = field(default_factory=Counter[str])


@dataclass
class MeasuredCell:
    """One cell of the pilot with every metric measured in it."""

    place: PilotKey
    measure: Criterion
    metrics: dict[str, MetricCounts]
    usage: PilotUsage


@dataclass(frozen=True)
class PilotCell:
    """One metric in one cell of the pilot, to plan for."""

    place: PilotKey
    measure: Criterion
    counts: MetricCounts
    usage: PilotUsage


def read_trials(trials: Iterable[RecordedTrial], manifest: Manifest) -> list[MeasuredCell]:
    """The cells of a run in plan order, with each recorded trial counted once in every metric that applies to it."""
    judges = judge_set(manifest)
    judge_ids = frozenset(facts.judge_id for facts in manifest.rubrics.values() if facts.name != IMPORTED)
    table = [metric for metric in metric_table(manifest.config.denominator) if _has_verdicts(metric, judges)]
    cells: dict[tuple[PilotKey, Criterion], MeasuredCell] = {}
    for trial in trials:
        place = PilotKey(trial.suite, trial.format, trial.model, trial.condition, trial.trigger)
        key = place, criterion_of(trial.reference)
        cell = cells.get(key)
        if cell is None:
            metrics = [
                metric
                for metric in table
                if key[1] in metric.measures and not (metric.open_only and trial.format == "mcq")
            ]
            cell = cells[key] = MeasuredCell(
                *key, {metric.name: MetricCounts(metric) for metric in metrics}, PilotUsage()
            )
        cell.usage.add(trial, judge_ids)
        facts = score_trial(trial, judges).facts
        for counts in cell.metrics.values():
            missing = counts.metric.missing(facts)
            if missing is not None:
                counts.missing[missing] += 1
            if missing == "pending":
                continue
            wording = counts.wordings.setdefault((trial.prompt_id, trial.variant), [0, 0, 0])
            wording[2] += 1
            if missing is None:
                wording[1] += 1
                wording[0] += counts.metric.hits(facts)
    return list(cells.values())


def _has_verdicts(metric: Metric, judges: JudgePanel) -> bool:
    """Whether this run has the verdicts that the metric counts."""
    if metric.every_trace and not judges.every_trace:
        return False
    return metric.judge in ("", *JUDGES_OF_ANSWERS) or judges.id_of(metric.judge) is not None


def choose(
    measured: Sequence[MeasuredCell], choice: PilotFilter, manifest: Manifest, *, paired: bool
) -> list[PilotCell]:
    """The selected cells, each with the selected metric or the primary one of its suite.

    `paired`: only cells of conditions that can be compared with the baseline. Raises BadInput if no cell is left.
    """
    left = list(measured)
    for option in ("model", "suite", "format", "condition"):
        selected = getattr(choice, option)
        known = list(dict.fromkeys(str(getattr(cell.place, option)) for cell in left))
        if selected is not None and selected not in known:
            shown = ", ".join(one_line(name, 80) for name in known)
            raise BadInput(f"--{option} {one_line(selected, 80)!r}: not in this run; it has {shown}")
        if selected is not None and not (option == "condition" and paired):
            left = [cell for cell in left if getattr(cell.place, option) == selected]
    if paired:
        baseline = manifest.config.baseline
        conditions = list(dict.fromkeys(cell.place.condition for cell in left if cell.place.condition != baseline))
        if not conditions or not any(cell.place.condition == baseline for cell in left):
            raise BadInput(
                f"--detect: this run has no condition to compare with {baseline} in the same suite; "
                "run a pilot with a --trigger, or ask for --width"
            )
        selected = conditions if choice.condition is None else [choice.condition]
        left = [cell for cell in left if cell.place.condition in selected]
    names = list(dict.fromkeys(name for cell in left for name in cell.metrics))
    if choice.metric is not None and choice.metric not in names:
        raise BadInput(f"--metric {one_line(choice.metric, 80)!r}: not measured in this run; it has {', '.join(names)}")
    found: list[PilotCell] = []
    for cell in left:
        counts = cell.metrics.get(choice.metric or PRIMARY[cell.measure])
        if counts is not None:
            found.append(PilotCell(cell.place, cell.measure, counts, cell.usage))
    order = {name: number for number, name in enumerate((*manifest.config.suites, *manifest.config.models))}
    return sorted(
        found, key=lambda cell: (order.get(cell.place.suite, 0), cell.place.format, order.get(cell.place.model, 0))
    )


def base_of(cell: PilotCell, measured: Sequence[MeasuredCell], baseline: str) -> PilotCell | None:
    """The same cell under the baseline, None if it was not asked."""
    for other in measured:
        same = other.place[:3] == cell.place[:3] and other.measure == cell.measure
        if same and other.place.condition == baseline:
            return PilotCell(other.place, other.measure, other.metrics[cell.counts.metric.name], other.usage)
    return None


class AvailableQuestions(NamedTuple):
    """The number of questions available, None for those of the pilot.

    Each of the dataset's `scenarios` (None if unknown) makes `per_scenario` questions. `note` says what is unknown.
    """

    questions: int | None
    per_scenario: float = 1.0
    scenarios: int | None = None
    note: str = ""


def available_questions(
    manifest: Manifest, cells: Iterable[tuple[str, str, Criterion]], choice: PilotFilter
) -> dict[tuple[str, str, Criterion], AvailableQuestions]:
    """The questions available for each (suite, format, criterion)."""
    found: dict[tuple[str, str, Criterion], AvailableQuestions] = {}
    for suite, form, criterion in cells:
        available = _dataset_questions(manifest, suite, form, criterion)
        if choice.questions is not None:
            available = available._replace(questions=choice.questions, note="")
        found[suite, form, criterion] = available
    return found


def _dataset_questions(manifest: Manifest, name: str, form: str, criterion: Criterion) -> AvailableQuestions:
    facts = manifest.datasets.get(name)
    if manifest.imported is not None or facts is None:
        return AvailableQuestions(None)
    note = f"The dataset of {name} is not the one that the pilot asked"
    try:
        suite = find_suite(name)
        path, _ = questions_of(suite, manifest.config.dataset_files.get(name), facts.source)
        dataset = load_questions(suite, path, tuple(map(Path, manifest.config.judges)), manifest.config.columns)
    except BadInput:
        return AvailableQuestions(
            None, note=f"{note}, or is not here any more: there may be more questions than the pilot's."
        )
    if dataset.sha256 != facts.sha256:
        return AvailableQuestions(None, note=f"{note}: there may be more questions than the pilot's.")
    forms: list[Format] = [supported for supported in suite.formats if supported == form]
    asked = suite.prompts(dataset, forms)
    ids = {prompt.id for prompt in asked if prompt.format == form and criterion_of(prompt.reference) == criterion}
    scenarios = len(dataset.scenarios)
    return AvailableQuestions(len(ids), len(ids) / scenarios if scenarios else 1.0, scenarios)
