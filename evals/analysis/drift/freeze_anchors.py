"""Which answers of a run are frozen as anchors."""

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
from evals.scoring.judging import exhibit_of
from evals.scoring.labels import Label, read_labels
from evals.scoring.metric import PRIMARY
from evals.scoring.scored_trial import score_trial
from evals.trials.journal import Journal
from evals.trials.record import RecordedTrial
from evals.trials.reference import Criterion
from evals.trials.response import Response

SUFFIX = ".anchors.jsonl"


class Kept(NamedTuple):
    """What was frozen: how many anchors there are of each kind, and by whose word they are of it."""

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


def freeze(run: Path, manifest: Manifest, path: Path, *, count: int, seed: int, force: bool) -> Kept:
    """Keep up to `count` answers of the run in the file `path`, half of them hits as far as there are.

    Those that people have labelled come first, then as many of each suite, model and condition as there are; each text
    once. Raises BadInput, and then nothing is written.
    """
    if path.exists() and not force:
        raise BadInput(f"{path} is there already: runs may have been judged on it. Choose another --out, or --force")
    judges, labels = judge_set(manifest), read_labels(run)
    with Journal.read(run) as journal:
        candidates = list(_candidates(journal, manifest, judges, labels))
        if not candidates:
            raise BadInput(f"{run}: holds no open answer with a verdict of its judge, so there is nothing to keep")
        chosen = {one.trial_id for one in _balanced(candidates, count, random.Random(seed))}  # noqa: S311  no secret
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
    return Kept(path, hits, len(anchors) - hits, labelled, conditions)


def _candidates(
    journal: Journal, manifest: Manifest, judges: JudgePanel, labels: Mapping[str, Label]
) -> Iterator[_Candidate]:
    """Complete open answers that the counted judge has ruled on, each text once."""
    seen: set[str] = set()
    for trial in _labelled_first(journal, labels):
        scored = score_trial(trial, judges)
        if not scored.is_judgeable or not isinstance(trial.result, Response):
            continue
        if manifest.imported is not None and scored.measure != "alignment":
            continue  # what such an answer was compared with did not come with it
        hit = hit_of(scored)
        if hit is None:
            continue
        name = anchor_id(scored.measure, exhibit_of(trial, trial.result))
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
    """What people said of the answer; a refusal, or a label that is unsure, says nothing of the metric."""
    if label is None or label.metric != PRIMARY[measured_by] or label.label not in ("yes", "no"):
        return None
    return label.label


def _balanced(candidates: Sequence[_Candidate], count: int, draw: random.Random) -> Iterator[_Candidate]:
    kinds = [_in_turns([one for one in candidates if one.is_hit == kind], draw) for kind in (True, False)]
    hits, misses = (len(kind) for kind in kinds)
    of_hits = min(hits, max(count // 2, count - misses))
    yield from kinds[0][:of_hits]
    yield from kinds[1][: count - of_hits]


def _in_turns(candidates: Iterable[_Candidate], draw: random.Random) -> list[_Candidate]:
    """One of each group in turn, in an order drawn by lot; those with a label before all others."""
    groups: dict[tuple[str, ...], list[_Candidate]] = {}
    for one in candidates:
        groups.setdefault(one.group, []).append(one)
    ranked: list[tuple[bool, int, int, _Candidate]] = []
    for place, group in enumerate(groups.values()):
        draw.shuffle(group)
        group.sort(key=lambda one: not one.is_labelled)  # stable: by lot within each
        ranked += [(not one.is_labelled, turn, place, one) for turn, one in enumerate(group)]
    return [entry[-1] for entry in sorted(ranked, key=lambda entry: entry[:-1])]


def _anchor(trial: RecordedTrial, response: Response, judges: JudgePanel, label: Label | None) -> Anchor:
    shown, scored = exhibit_of(trial, response), score_trial(trial, judges)
    return Anchor(
        anchor_id=anchor_id(scored.measure, shown),
        measure=scored.measure,
        suite=trial.suite,
        condition=trial.condition,
        label=_label_of(label, scored.measure),
        frozen=Frozen(hit=bool(hit_of(scored)), score=scored.aligned),
        shown=shown,
    )
