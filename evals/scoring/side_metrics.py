"""The metrics of judges of a question file whose verdicts do not decide the question's own rate.

A question has one judge that is counted. Each of its others has a rate of its own, over the same answers: `hit:NAME`
where the file says what a hit is, else `label:NAME:LABEL` for each label. So has each label of a judge that maps more
than two labels to hits and misses.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from functools import partial

from evals.questions.question_file import FileJudge
from evals.scoring.label_metrics import PlacedMetric, suite_labels
from evals.scoring.metric import OUTCOME_MISSING, Denominator, Metric, Missing, TrialFacts
from evals.scoring.outcome import PENDING, SIDES, UNREADABLE
from evals.trials.reference import Criterion
from judges.judge_spec import JudgeSpec
from judges.question_file import PREFIX

HIT, LABEL = "hit:", "label:"
_PLACE = 1_000
"""Behind the metrics that a suite is about, before those of reasoning."""
_MEASURES: frozenset[Criterion] = frozenset({"em", "hit", "poll"})


@dataclass(frozen=True, slots=True)
class PosedJudge:
    """A judge of a question file: the labels that have a row of their own, and what the file says of hits."""

    by_rule: bool
    labels: tuple[str, ...]
    spec: JudgeSpec | None = None

    @classmethod
    def of(cls, judge: FileJudge) -> PosedJudge:
        left_out = judge.spec.unless if judge.spec is not None else ()
        named = judge.labels if judge.kind == "category" else ()
        if judge.kind == "label":
            named = tuple(word.lower() for word in judge.words if word not in ("CODE", "REFUSAL"))
        return cls(judge.kind == "rule", tuple(label for label in named if label not in left_out), judge.spec)


def is_side_metric(name: str) -> bool:
    return name.startswith((HIT, LABEL))


def judge_of(metric: str, judges: Iterable[str]) -> str | None:
    """The one of `judges` that a metric is of, None for none; names of judges and labels may have colons."""
    for name in judges:
        if metric == f"{HIT}{name}" or (metric.startswith(f"{LABEL}{name}:") and metric != f"{LABEL}{name}:"):
            return name
    return None


def side_metrics(
    rank: int,
    denominator: Denominator,
    judges: Mapping[str, Mapping[str, PosedJudge]],
    kinds: Iterable[tuple[str, TrialFacts, int]],
) -> Iterator[PlacedMetric]:
    """The metrics of each suite; `judges` are those of its question file, `kinds` suites and facts with numbers."""
    met: dict[str, dict[str, dict[str, int]]] = {}
    for suite, facts, number in kinds:
        for judge, label in facts.alongside:
            if judge.startswith(PREFIX):
                labels = met.setdefault(suite, {}).setdefault(judge, {})
                labels[label] = labels.get(label, 0) + number
    for suite, by_judge in met.items():
        place = _PLACE
        known = judges.get(suite, {})
        for judge in sorted(by_judge, key=lambda name: [*known, name.removeprefix(PREFIX)].index(name[len(PREFIX) :])):
            for metric in _metrics_of(judge, known.get(judge.removeprefix(PREFIX)), by_judge[judge], denominator):
                yield PlacedMetric(metric, (rank, place), suite)
                place += 1


def _metrics_of(
    judge: str, facts: PosedJudge | None, met: Mapping[str, int], denominator: Denominator
) -> Iterator[Metric]:
    name = judge.removeprefix(PREFIX)
    given = {label: number for label, number in met.items() if label not in (*SIDES.values(), PENDING, UNREADABLE)}
    spec = facts.spec if facts is not None and facts.spec is not None and facts.spec.counts else None
    if spec is not None and (met.keys() & set(SIDES.values()) or (not given and len(spec.labels) <= 2)):
        yield _metric(f"{HIT}{name}", judge, (SIDES["hit"],), denominator)
        if not given:
            return
    labels = suite_labels(facts.labels if facts is not None else (), given)
    for label in labels.shown:
        yield _metric(f"{LABEL}{name}:{label}", judge, (label,), denominator)
    if labels.grouped:
        yield _metric(f"{LABEL}{name}:{labels.rest}", judge, tuple(labels.grouped), denominator)


def _metric(name: str, judge: str, labels: tuple[str, ...], denominator: Denominator) -> Metric:
    return Metric(
        name,
        denominator,
        partial(_not_said, judge=judge, denominator=denominator),
        partial(_was_said, judge=judge, labels=labels),
        "another judge of the question file",
        judge=judge,
        compared=True,
        measures=_MEASURES,
        open_only=True,
    )


def _not_said(facts: TrialFacts, judge: str, denominator: Denominator) -> Missing | None:
    """An answer that the question's own rate leaves out is left out here, for the same reason."""
    label = dict(facts.alongside).get(judge)
    if label is None:
        return "outside"
    if denominator == "judged" and facts.outcome == "refused":
        return None
    missing = OUTCOME_MISSING.get(facts.outcome)
    if missing is None and label in (PENDING, UNREADABLE):
        return "pending" if label == PENDING else "unreadable"
    return missing


def _was_said(facts: TrialFacts, judge: str, labels: tuple[str, ...]) -> bool:
    return any((judge, label) in facts.alongside for label in labels)
