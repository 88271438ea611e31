"""A pilot run as a plan sees it: by cell what was counted of each question, what it cost, and what else could be asked.

What counts and what hits is read from the journal by the run's own metrics.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from evals.errors import BadInput
from evals.plan.manifest import Manifest, judge_set
from evals.questions import dataset as datasets
from evals.questions.source import questions_of
from evals.questions.suites import find_suite
from evals.scoring.judge_set import IMPORTED, JudgePanel
from evals.scoring.metric import JUDGES_OF_ANSWERS, PRIMARY, Metric
from evals.scoring.metric_table import metric_table
from evals.scoring.scored_trial import score_trial
from evals.text import one_line
from evals.trials.condition import BASELINE
from evals.trials.prompt import Format
from evals.trials.record import RecordedTrial
from evals.trials.reference import Criterion, criterion_of
from evals.trials.response import Response


class PilotFilter(NamedTuple):
    """Which cells of the pilot are planned for; None for all. `questions` stand in place of those of the dataset."""

    metric: str | None = None
    model: str | None = None
    suite: str | None = None
    format: str | None = None
    condition: str | None = None
    questions: int | None = None


class PilotKey(NamedTuple):
    suite: str
    format: str
    model: str
    condition: str
    trigger: str


@dataclass
class PilotUsage:
    """Sums over the trials of a cell, and of how many of them each token count is known."""

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
                self.asked_judges.add((judge_id, ruling.request_id))  # the same thing is asked once
                self._count("judge_prompt", ruling.prompt_tokens)
                self._count("judge_completion", ruling.completion_tokens)

    def _count(self, name: str, tokens: int | None) -> None:
        if tokens is not None:
            self.known[name] += 1
            self.tokens[name] += tokens

    @property
    def judge_calls(self) -> float:
        """Requests to judges for each trial."""
        return len(self.asked_judges) / self.trials

    def tokens_of(self, name: str, calls: float) -> float | None:
        """The tokens of so many calls, each like those whose tokens are known."""
        if not calls:
            return 0.0
        return calls * self.tokens[name] / self.known[name] if self.known[name] else None


@dataclass
class MetricCounts:
    """One metric in one cell: by question and option order [hits, counted, asked], and why trials are not counted.

    Trials that are not judged yet are in `missing` alone: what will come of them is not known.
    """

    metric: Metric
    wordings: dict[tuple[str, str], list[int]] = field(default_factory=dict[tuple[str, str], list[int]])
    missing: Counter[str] = field(default_factory=Counter[str])


@dataclass
class MeasuredCell:
    """One cell of the pilot with every metric that is measured there."""

    place: PilotKey
    measure: Criterion
    metrics: dict[str, MetricCounts]
    usage: PilotUsage


@dataclass(frozen=True)
class PilotCell:
    """One metric in one cell of the pilot: what is planned for."""

    place: PilotKey
    measure: Criterion
    counts: MetricCounts
    usage: PilotUsage


def read_trials(trials: Iterable[RecordedTrial], manifest: Manifest) -> list[MeasuredCell]:
    """The cells of a run in the order of its plan, each recorded trial counted once in every metric about it."""
    judges = judge_set(manifest)
    asked = frozenset(facts.judge_id for facts in manifest.rubrics.values() if facts.name != IMPORTED)
    table = [metric for metric in metric_table(manifest.config.denominator) if _is_read(metric, judges)]
    cells: dict[tuple[PilotKey, Criterion], MeasuredCell] = {}
    for trial in trials:
        place = PilotKey(trial.suite, trial.format, trial.model, trial.condition, trial.trigger)
        key = place, criterion_of(trial.reference)
        cell = cells.get(key)
        if cell is None:
            about = [one for one in table if key[1] in one.measures and not (one.open_only and trial.format == "mcq")]
            cell = cells[key] = MeasuredCell(*key, {one.name: MetricCounts(one) for one in about}, PilotUsage())
        cell.usage.add(trial, asked)
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


def _is_read(metric: Metric, judges: JudgePanel) -> bool:
    """Whether a judge whose verdicts the metric counts was asked in this run."""
    if metric.every_trace and not judges.every_trace:
        return False
    return metric.judge in ("", *JUDGES_OF_ANSWERS) or judges.id_of(metric.judge) is not None


def choose(
    measured: Sequence[MeasuredCell], choice: PilotFilter, manifest: Manifest, *, paired: bool
) -> list[PilotCell]:
    """The cells asked for, each with the metric asked for or the one that its suite is about.

    `paired`: those of conditions that can be compared with the baseline. Raises BadInput where there is none.
    """
    left = list(measured)
    for option in ("model", "suite", "format", "condition"):
        wanted = getattr(choice, option)
        known = list(dict.fromkeys(str(getattr(one.place, option)) for one in left))
        if wanted is not None and wanted not in known:
            shown = ", ".join(one_line(name, 80) for name in known)
            raise BadInput(f"--{option} {one_line(wanted, 80)!r}: not in this run; it has {shown}")
        if wanted is not None and not (option == "condition" and paired):
            left = [one for one in left if getattr(one.place, option) == wanted]
    if paired:
        conditions = list(dict.fromkeys(one.place.condition for one in left if one.place.condition != BASELINE))
        if not conditions or not any(one.place.condition == BASELINE for one in left):
            raise BadInput(
                f"--detect: this run has no condition to compare with {BASELINE} in the same suite; "
                "run a pilot with a --trigger, or ask for --width"
            )
        wanted = conditions if choice.condition is None else [choice.condition]
        left = [one for one in left if one.place.condition in wanted]
    names = list(dict.fromkeys(name for one in left for name in one.metrics))
    if choice.metric is not None and choice.metric not in names:
        raise BadInput(f"--metric {one_line(choice.metric, 80)!r}: not measured in this run; it has {', '.join(names)}")
    found: list[PilotCell] = []
    for one in left:
        counts = one.metrics.get(choice.metric or PRIMARY[one.measure])
        if counts is not None:
            found.append(PilotCell(one.place, one.measure, counts, one.usage))
    order = {name: number for number, name in enumerate((*manifest.config.suites, *manifest.config.models))}
    return sorted(
        found, key=lambda one: (order.get(one.place.suite, 0), one.place.format, order.get(one.place.model, 0))
    )


def base_of(one: PilotCell, measured: Sequence[MeasuredCell]) -> PilotCell | None:
    """The same cell under the baseline, None where it was not asked."""
    for other in measured:
        same = other.place[:3] == one.place[:3] and other.measure == one.measure
        if same and other.place.condition == BASELINE:
            return PilotCell(other.place, other.measure, other.metrics[one.counts.metric.name], other.usage)
    return None


class Known(NamedTuple):
    """Questions that there are to ask, None for those of the pilot; how many of them one scenario of the dataset makes,
    and how many scenarios it holds (None: not known). `note` says what could not be found out."""

    questions: int | None
    per_scenario: float = 1.0
    scenarios: int | None = None
    note: str = ""


def questions_there_are(
    manifest: Manifest, cells: Iterable[tuple[str, str, Criterion]], choice: PilotFilter
) -> dict[tuple[str, str, Criterion], Known]:
    found: dict[tuple[str, str, Criterion], Known] = {}
    for suite, form, measure_ in cells:
        known = _in_dataset(manifest, suite, form, measure_)
        if choice.questions is not None:
            known = known._replace(questions=choice.questions, note="")
        found[suite, form, measure_] = known
    return found


def _in_dataset(manifest: Manifest, name: str, form: str, measured_by: Criterion) -> Known:
    facts = manifest.datasets.get(name)
    if manifest.imported is not None or facts is None:
        return Known(None)
    note = f"The dataset of {name} is not the one that the pilot asked"
    try:
        suite = find_suite(name)
        path, _ = questions_of(suite, manifest.config.dataset_files.get(name), facts.source)
        dataset = datasets.load(path)
    except BadInput:
        return Known(None, note=f"{note}, or is not here any more: there may be more questions than the pilot's.")
    if dataset.sha256 != facts.sha256:
        return Known(None, note=f"{note}: there may be more questions than the pilot's.")
    forms: list[Format] = [one for one in suite.formats if one == form]
    asked = suite.prompts(dataset, forms)
    ids = {prompt.id for prompt in asked if prompt.format == form and criterion_of(prompt.reference) == measured_by}
    scenarios = len(dataset.scenarios)
    return Known(len(ids), len(ids) / scenarios if scenarios else 1.0, scenarios)
