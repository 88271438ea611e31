"""Select the answers of a run to freeze as anchors."""

from __future__ import annotations

import random
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import NamedTuple

from evals.errors import BadInput
from evals.plan.anchors import Anchor, AnchorsHeader, Frozen, YesNo, anchor_id, hit_of, write_anchors
from evals.plan.manifest import Manifest, judge_set
from evals.plan.provenance import now
from evals.scoring.judge_set import JudgePanel
from evals.scoring.judging import judge_input_of
from evals.scoring.labels import Label, read_labels
from evals.scoring.metric import PRIMARY
from evals.scoring.scored_trial import score_trial
from evals.trials.journal import Journal
from evals.trials.record import RecordedTrial
from evals.trials.reference import Criterion, specs_of
from evals.trials.response import Response

SUFFIX = ".anchors.jsonl"


class FreezeSummary(NamedTuple):
    """The anchors frozen: how many per class, and how many classes come from human labels."""

    path: Path
    hits: int
    misses: int
    labelled: int
    conditions: tuple[str, ...]


class _Candidate(NamedTuple):
    trial_id: str
    group: tuple[str, ...]
    is_hit: bool
    is_labelled: bool


def freeze(run: Path, manifest: Manifest, path: Path, *, count: int, seed: int, force: bool) -> FreezeSummary:
    """Write up to `count` answers of the run to the file `path`, half of them hits if there are enough.

    Labelled answers come first, then answers from each suite, model and condition in turn; each text once. If it raises
    BadInput, nothing is written.
    """
    if path.exists() and not force:
        raise BadInput(f"{path} is there already: runs may have been judged on it. Choose another --out, or --force")
    judges, labels = judge_set(manifest), read_labels(run)
    with Journal.read(run) as journal:
        candidates = list(_candidates(journal, manifest, judges, labels))
        if not candidates:
            raise BadInput(f"{run}: holds no open answer with a verdict of its judge, so there is nothing to keep")
        chosen = {candidate.trial_id for candidate in _balanced(candidates, count, random.Random(seed))}  # noqa: S311  no secret
        anchors = [
            _anchor(trial, trial.result, judges, labels.get(trial.trial_id))
            for trial in journal.trials_in_plan_order()
            if trial.trial_id in chosen and isinstance(trial.result, Response)
        ]
    anchors.sort(key=lambda anchor: anchor.anchor_id)
    header = AnchorsHeader(
        frozen_at=now(),
        from_run=manifest.run_id,
        judge=manifest.config.judge or "",
        rubrics=manifest.rubrics,
        anchors=len(anchors),
    )
    write_anchors(path, header, anchors)
    hits = sum(anchor.is_hit for anchor in anchors)
    labelled = sum(anchor.label is not None for anchor in anchors)
    conditions = tuple(dict.fromkeys(anchor.condition for anchor in anchors))
    return FreezeSummary(path, hits, len(anchors) - hits, labelled, conditions)


def _candidates(
    journal: Journal, manifest: Manifest, judges: JudgePanel, labels: Mapping[str, Label]
) -> Iterator[_Candidate]:
    """Complete open answers with a verdict of the counted judge, each text once."""
    seen: set[str] = set()
    for trial in _labelled_first(journal, labels):
        scored = score_trial(trial, judges)
        if not scored.is_judgeable or not isinstance(trial.result, Response):
            continue
        if manifest.imported is not None and scored.measure != "alignment":
            continue  # imported answers come without a reference to compare with
        hit = hit_of(scored)
        if hit is None:
            continue
        specs = specs_of(trial.reference)
        if any(spec.rule is not None for _, spec in specs):
            continue  # what a rule reads cannot drift
        name = anchor_id(scored.measure, judge_input_of(trial, trial.result), specs)
        if name in seen:
            continue
        seen.add(name)
        label = _label_of(labels.get(trial.trial_id), scored.measure)
        group = (trial.suite, trial.model, trial.condition)
        yield _Candidate(trial.trial_id, group, hit if label is None else label == "yes", label is not None)


def _labelled_first(journal: Journal, labelled: Collection[str]) -> Iterator[RecordedTrial]:
    if labelled:
        yield from (trial for trial in journal.trials_in_plan_order() if trial.trial_id in labelled)
    yield from (trial for trial in journal.trials_in_plan_order() if trial.trial_id not in labelled)


def _label_of(label: Label | None, measured_by: Criterion) -> YesNo | None:
    """The human label of the answer, None if it is a refusal or unsure, or belongs to another metric."""
    if label is None or label.metric != PRIMARY[measured_by] or label.label not in ("yes", "no"):
        return None
    return label.label


def _balanced(candidates: Sequence[_Candidate], count: int, draw: random.Random) -> Iterator[_Candidate]:
    kinds = [
        _in_turns([candidate for candidate in candidates if candidate.is_hit == kind], draw) for kind in (True, False)
    ]
    hits, misses = (len(kind) for kind in kinds)
    taken_hits = min(hits, max(count // 2, count - misses))
    yield from kinds[0][:taken_hits]
    yield from kinds[1][: count - taken_hits]


def _in_turns(candidates: Iterable[_Candidate], draw: random.Random) -> list[_Candidate]:
    """One candidate of each group in turn, in random order, with all labelled ones first."""
    groups: dict[tuple[str, ...], list[_Candidate]] = {}
    for candidate in candidates:
        groups.setdefault(candidate.group, []).append(candidate)
    ranked: list[tuple[bool, int, int, _Candidate]] = []
    for number, group in enumerate(groups.values()):
        draw.shuffle(group)
        group.sort(key=lambda candidate: not candidate.is_labelled)  # stable: random within each
        ranked += [(not candidate.is_labelled, turn, number, candidate) for turn, candidate in enumerate(group)]
    return [entry[-1] for entry in sorted(ranked, key=lambda entry: entry[:-1])]


def _anchor(trial: RecordedTrial, response: Response, judges: JudgePanel, label: Label | None) -> Anchor:
    judge_input, scored = judge_input_of(trial, response), score_trial(trial, judges)
    specs = specs_of(trial.reference)
    return Anchor(
        anchor_id=anchor_id(scored.measure, judge_input, specs),
        measure=scored.measure,
        suite=trial.suite,
        condition=trial.condition,
        label=_label_of(label, scored.measure),
        frozen=Frozen(hit=bool(hit_of(scored)), score=scored.aligned),
        shown=judge_input,
        specs=specs,
    )
