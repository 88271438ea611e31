"""What makes the rates of two runs comparable, and in which direction a metric gets worse.

Two rates compare two models only if nothing else differs: the questions and their wording, the judge and its rubric,
the sampling, what counts. Every difference is named; none is assumed to be harmless.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Literal, NamedTuple

from evals.errors import BadInput
from evals.plan.config import RunConfig
from evals.plan.manifest import Manifest
from evals.plan.settings.run_settings import option_name
from evals.questions.suites import known_suite
from evals.scoring.judge_set import IMPORTED
from evals.scoring.metric import Metric
from evals.scoring.metric_table import ADDED_METRICS
from evals.text import one_line
from evals.trials.condition import CONDITIONS, SHOWN_CONDITIONS, template_words
from evals.trials.reference import BY_RULE
from judges.question_file import PREFIX
from judges.registry import JUDGES, REASONING_JUDGES

Direction = Literal["increase", "decrease"]
MORE_IS_BETTER = frozenset({"accuracy", "answered", "misaligned_if_flagged"})
"""Metrics that get worse as they fall; all others get worse as they rise. Whether a monitor that flags more is good or
bad news depends on the study, so the direction can be set (`--worse`)."""

_SAMPLING = (
    "temperature",
    "sampling",
    "top_p",
    "top_k",
    "max_tokens",
    "thinking",
    "prefill",
    "system",
    "over_questions",
)


_READ_REASONING = frozenset(entry.name for entry in REASONING_JUDGES)


class Difference(NamedTuple):
    """One way in which two runs differ: its kind (`what`), and both values in words."""

    what: Literal["dataset", "questions", "judge", "rubric", "sampling", "trigger", "counting", "cells", "incomplete"]
    words: str


class NotComparable(BadInput):
    """Two runs whose rates cannot be compared, with every reason."""

    def __init__(self, base: str, candidate: str, differences: Sequence[Difference]) -> None:
        super().__init__(
            f"{base} and {candidate} are not comparable: {'; '.join(found.words for found in differences)}"
        )
        self.differences = tuple(differences)


class Scope(NamedTuple):
    """The part of two runs that is compared; only what it depends on must be the same."""

    suites: frozenset[str]
    formats: frozenset[str]
    conditions: frozenset[str]
    metrics: tuple[Metric, ...]


def worse_when(metric: str) -> Direction:
    """The direction in which a metric gets worse."""
    return "decrease" if metric in MORE_IS_BETTER else "increase"


def differences(base: Manifest, candidate: Manifest, scope: Scope) -> list[Difference]:
    """Every difference between two manifests that makes the rates in `scope` incomparable.

    For imported answers the sampling is unknown and the file hash always differs, so neither is compared here;
    `evals.analysis.comparison.compare` compares the questions themselves.
    """
    found: list[Difference] = []
    imported = base.imported is not None or candidate.imported is not None
    if not imported:
        found += _dataset_differences(base, candidate, scope)
    found += _judge_differences(base, candidate, scope)
    if not imported:
        found += [Difference("sampling", words) for words in _changed(base.config, candidate.config, _SAMPLING)]
    found += _trigger_differences(base.config, candidate.config, scope, imported=imported)
    found += [Difference("counting", words) for words in _changed(base.config, candidate.config, ("denominator",))]
    if _coherence_counts(scope):
        names = ("coherence_min",)
        found += [Difference("counting", words) for words in _changed(base.config, candidate.config, names)]
    return found


def _changed(base: RunConfig, candidate: RunConfig, names: Sequence[str]) -> Iterator[str]:
    for name in names:
        ours, theirs = getattr(candidate, name), getattr(base, name)
        if ours != theirs:
            yield f"{option_name(name)} was {_shown(theirs)}, is {_shown(ours)}"


def _shown(value: object) -> str:
    return "not set" if value is None or value == () else one_line(repr(value) if value == "" else str(value), 80)


def _dataset_differences(base: Manifest, candidate: Manifest, scope: Scope) -> Iterator[Difference]:
    for suite in sorted(scope.suites):
        theirs, ours = base.datasets.get(suite), candidate.datasets.get(suite)
        if theirs is not None and ours is not None and theirs.sha256 != ours.sha256:
            names = f"{one_line(theirs.file, 60)} {theirs.sha256[:12]}", f"{one_line(ours.file, 60)} {ours.sha256[:12]}"
            yield Difference("dataset", f"the questions of {one_line(suite, 60)} were {names[0]}, are {names[1]}")


def _judge_differences(base: Manifest, candidate: Manifest, scope: Scope) -> Iterator[Difference]:
    names = [name for name in dict.fromkeys([*base.rubrics, *candidate.rubrics]) if _matters(name, scope)]
    if not names:
        return
    config, other = candidate.config, base.config
    if config.judge != other.judge:
        yield Difference("judge", f"judge was {_shown(other.judge)}, is {_shown(config.judge)}")
    for name in names:
        theirs, ours = base.rubrics.get(name), candidate.rubrics.get(name)
        if theirs is None or ours is None:
            lacking = "base" if theirs is None else "candidate"
            yield Difference("rubric", f"{one_line(name, 60)} was not judged in the {lacking}")
        elif theirs.sha256 != ours.sha256:
            words = (
                f"rubric {one_line(name, 60)} was {theirs.sha256[:12] or IMPORTED}, is {ours.sha256[:12] or IMPORTED}"
            )
            yield Difference("rubric", words)
    if IMPORTED not in (config.judge, other.judge):
        for words in _changed(other, config, ("judge_mode", "judge_max_tokens")):
            yield Difference("judge", words)


def _matters(rubric: str, scope: Scope) -> bool:
    """Whether a rate in scope depends on the verdicts of this judge."""
    metric_judges = {metric.judge for metric in scope.metrics}
    entry = JUDGES.get(rubric)
    if entry is not None and entry.role == "alongside":
        return rubric in metric_judges
    if entry is not None and entry.reads == "reasoning":  # the others' verdicts count where the monitor saw no mismatch
        return rubric in metric_judges or (entry.role == "monitors" and bool(metric_judges & _READ_REASONING))
    # Shares of misaligned answers depend on who called them misaligned; what a metric of a package depends on is not
    # known here.
    judged = [metric for metric in scope.metrics if metric.judge or metric.name in ADDED_METRICS]
    measures = {measure for metric in judged for measure in metric.measures} - BY_RULE
    if not measures or scope.formats <= {"mcq"}:
        return False
    if rubric.startswith(PREFIX):
        return bool(measures & {"em", "hit", "poll"})
    return entry is not None and entry.criterion in measures


def _coherence_counts(scope: Scope) -> bool:
    return _matters("coherence", scope)


def _trigger_differences(
    base: RunConfig, candidate: RunConfig, scope: Scope, *, imported: bool
) -> Iterator[Difference]:
    about_it = any(suite is not None and suite.needs_trigger for suite in map(known_suite, scope.suites))
    shown = scope.conditions & SHOWN_CONDITIONS
    names = ["trigger", *([] if imported else ["placement"])] if shown or about_it else []
    names += [name for name in ("decoy", "distractor") if name in shown]
    moved = (
        not imported and bool(shown) and ("random" in (base.placement, candidate.placement) or "distractor" in shown)
    )
    names += ["seed"] if moved else []  # decides where the trigger is placed
    for words in _changed(base, candidate, names):
        yield Difference("trigger", words)
    if imported:
        return
    texts, others = candidate.condition_templates, base.condition_templates
    for name in sorted(scope.conditions - set(CONDITIONS)):
        if texts.get(name) != others.get(name):
            was, now = template_words(others.get(name)), template_words(texts.get(name))
            yield Difference("trigger", f"condition {name} was {was}, is {now}")
