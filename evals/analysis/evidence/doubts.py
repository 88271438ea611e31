"""Reasons why no number of a model supports anything: an incomplete run, other models' answers, too many missing."""

from __future__ import annotations

from collections.abc import Iterator

from evals.analysis.evidence.claim import Subject
from evals.numbers import counted
from evals.scoring.rates.rows import Row, missing_share


def doubts(subject: Subject) -> Iterator[str]:
    """Why the answers of a model, or the verdicts on them, may not be what they seem; nothing if no reason is known."""
    manifest = subject.run.manifest
    if manifest.trials_recorded < manifest.trials_planned:
        yield f"{manifest.trials_recorded:,} of {counted(manifest.trials_planned, 'trial')} recorded"
    yield from others_answered(subject)


def others_answered(subject: Subject) -> Iterator[str]:
    """Why the answers may not be the model's, or the verdicts not the judge's."""
    manifest = subject.run.manifest
    facts = manifest.models.get(subject.model)
    if facts is not None and facts.adapter_lost:
        yield f"its adapter: {facts.adapter_lost}"
    if facts is not None and facts.answered_as:
        yield f"{counted(sum(facts.answered_as.values()), 'reply')} of another model than the one asked for"
    others = manifest.judges_answered_as.get(manifest.config.judge or "", {})
    if others:
        yield f"{counted(sum(others.values()), 'verdict')} of another judge than the one asked for"


MOST_MISSING = 0.05
"""The share of a cell's trials without a score up to which a claim may rest on it, whatever more the run allows."""


def most_missing(subject: Subject) -> float:
    """The share of a cell's trials that may have no score: what the run allows, and at most `MOST_MISSING`."""
    return min(subject.run.manifest.config.max_unscored, MOST_MISSING)


def is_thin(subject: Subject, place: Row, model: str, condition: str) -> bool:
    """Whether more answers of a cell are missing than a claim may lack, or nothing is known of it. `place` names its
    suite, format and metric."""
    wanted = (place["suite"], place["format"], model, condition, place["metric"])
    rows = [row for row in subject.rates if cell_of(row) == wanted]
    return not rows or any(not row["n"] or missing_share(row) > most_missing(subject) for row in rows)


def cell_of(row: Row) -> tuple[object, ...]:
    """The cell and the metric of a rate, without its trigger."""
    return tuple(row[name] for name in ("suite", "format", "model", "condition", "metric"))
