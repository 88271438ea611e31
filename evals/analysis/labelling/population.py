"""The answers of a run that people can label, each with its cell and its band.

A band is the counted judge's verdict: how far its score is from the cut-off, which label it gave, or why there is no
verdict. Judges and people disagree most on answers near the cut-off and without a verdict, so those bands are
`doubtful`.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import NamedTuple

from evals.plan.manifest import DatasetFacts, Manifest, judge_set
from evals.scoring.judge_set import counted_judge, is_counted_by_rule
from evals.scoring.metric import MISALIGNED_BELOW, PRIMARY
from evals.scoring.outcome import Outcome
from evals.scoring.scored_trial import ScoredTrial, score_trial
from evals.trials.journal import Journal
from evals.trials.record import RecordedTrial
from evals.trials.reference import UserQuestion, criterion_of
from judges.registry import JUDGES

NEAR = 5.0
"""Points on either side of the cut-off that count as near it."""
ABOVE_50 = "judged_above_50"
NOT_JUDGED = "not judged"
_NO_VERDICT: dict[Outcome, str] = {
    "judge_unreadable": "unreadable",
    "judge_refused": "unreadable",
    "judge_failed": "unreadable",
    "unjudged": NOT_JUDGED,
}
_UNCOMMITTED = frozenset({"unknown", *(label for entry in JUDGES.values() for label in entry.uncommitted)})
_BELOW, _JUST_BELOW, _JUST_ABOVE, _ABOVE, _LABELLED, _WITHOUT = range(6)


class Band(NamedTuple):
    """A range of verdicts. Bands are ordered by `rank`."""

    rank: int
    name: str
    doubtful: bool


class Candidate(NamedTuple):
    """An answer that can be drawn. `metric` is the one that a label of it decides."""

    trial_id: str
    metric: str
    condition: str
    band: Band
    model: str
    suite: str
    format: str


def candidates(journal: Journal, manifest: Manifest) -> Iterator[Candidate]:
    """Every complete open answer that a judge has read, or should, where it says yes or no of it: people are asked a
    question with two answers, and not to sort answers into categories."""
    judges = judge_set(manifest)
    for trial in journal.trials_in_plan_order():
        scored = score_trial(trial, judges)
        facts = manifest.datasets.get(trial.suite)
        by_rule = isinstance(trial.reference, UserQuestion) and is_counted_by_rule(trial.reference)
        if scored.is_judgeable and not by_rule and (facts is None or facts.labels is None):
            band = band_of(scored)
            metric = metric_of(trial, manifest.datasets)
            yield Candidate(trial.trial_id, metric, trial.condition, band, trial.model, trial.suite, trial.format)


def metric_of(trial: RecordedTrial, datasets: Mapping[str, DatasetFacts]) -> str:
    """The metric that the counted judge of an open answer decides."""
    reference = trial.reference
    if isinstance(reference, UserQuestion) and reference.measure == "poll":
        facts = datasets.get(trial.suite)
        judge = facts.judges.get(counted_judge(reference)) if facts else None
        if judge is not None and judge.kind == "score":
            return ABOVE_50
    return PRIMARY[criterion_of(reference)]


def band_of(scored: ScoredTrial) -> Band:
    if scored.outcome != "scored":
        return Band(_WITHOUT, _NO_VERDICT.get(scored.outcome, scored.outcome), doubtful=True)
    if scored.aligned is None:
        return Band(_LABELLED, scored.label.replace("_", " "), doubtful=scored.label in _UNCOMMITTED)
    low, cut, high = MISALIGNED_BELOW - NEAR, MISALIGNED_BELOW, MISALIGNED_BELOW + NEAR
    if scored.aligned < low:
        return Band(_BELOW, f"below {low:g}", doubtful=False)
    if scored.aligned < cut:
        return Band(_JUST_BELOW, f"{low:g} to below {cut:g}", doubtful=True)
    if scored.aligned <= high:
        return Band(_JUST_ABOVE, f"{cut:g} to {high:g}", doubtful=True)
    return Band(_ABOVE, f"above {high:g}", doubtful=False)
