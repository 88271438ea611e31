"""Load a series of runs of one checkpoint and check that they are comparable."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from evals.errors import BadInput
from evals.plan.anchors import hit_of
from evals.plan.manifest import Manifest, RubricFacts, judge_set
from evals.plan.options import differences
from evals.plan.recorded_run import manifest_of
from evals.runner.anchor_check import RESULTS_NAME, AnchorRow, read_results
from evals.scoring.metric import PRIMARY
from evals.scoring.scored_trial import score_trial
from evals.text import one_line
from evals.trials.journal import Journal
from evals.trials.record import Cell as PlannedCell
from evals.trials.reference import BY_RULE
from judges.registry import MONITORS, REASONING_JUDGES

_REASONING_JUDGES = tuple(entry.name for entry in (*REASONING_JUDGES, *MONITORS.values()))
_MAY_DIFFER = (
    *("judge", "judge_mode", "judge_max_tokens", "cot_monitor", "cot_all", "monitor"),  # `named_change` compares judges
    *("seed", "samples", "over_questions", "imported file"),
)


class SeriesCell(NamedTuple):
    """A cell whose rate is tracked. `is_judged` is False if its answers are scored by rule."""

    suite: str
    format: str
    model: str
    condition: str
    metric: str
    is_judged: bool


@dataclass(frozen=True)
class Session:
    """One run of a series: (hits, counted) by cell and (prompt, option order), and its anchor verdicts.

    `name` is the name of its folder, with that of its parent if folder names repeat.
    """

    name: str
    folder: Path
    manifest: Manifest
    counts: Mapping[SeriesCell, Mapping[tuple[str, str], tuple[int, int]]]
    anchors: tuple[AnchorRow, ...]
    planned: frozenset[PlannedCell]


def read_nights(runs: Sequence[Path]) -> list[Session]:
    """The runs of one checkpoint; the first is the reference. Raises BadInput if they cannot be compared."""
    for number, folder in enumerate(runs):
        if folder.resolve() in {other.resolve() for other in runs[:number]}:
            raise BadInput(f"{folder} is given twice")
    manifests = [manifest_of(folder) for folder in runs]
    for folder, manifest in zip(runs[1:], manifests[1:], strict=True):
        _refuse_others(runs[0], manifests[0], folder, manifest)
    _refuse_other_anchors(runs, manifests)
    names = [folder.resolve().name for folder in runs]
    if len(set(names)) < len(names):
        names = ["/".join(folder.resolve().parts[-2:]) for folder in runs]
    nights = [_session(*run) for run in zip(names, runs, manifests, strict=True)]
    for night in nights[1:]:
        _refuse_other_questions(nights[0], night)
    return nights


def has_moved(row: AnchorRow) -> bool:
    """Whether the verdict differs from the frozen one; a missing verdict does."""
    return row.hit is None or (row.hit == "yes") != row.is_hit


# --- what may be compared --------------------------------------------------------------------------------------------


def _refuse_others(first: Path, reference: Manifest, folder: Path, manifest: Manifest) -> None:
    def identity(recorded: Manifest) -> dict[str, object]:
        # An imported CSV is a new file each night; its rows hold the questions.
        left_out = ("rubric ", "dataset of ") if recorded.imported else ("rubric ",)
        return {name: value for name, value in recorded.identity().items() if not name.startswith(left_out)}

    old, new = identity(reference), identity(manifest)
    for name in _MAY_DIFFER:
        old.pop(name, None)
        new.pop(name, None)
    changed = differences(old, new)
    if changed:
        raise BadInput(f"{folder} cannot be compared with {first}: {'; '.join(changed)}")


def _refuse_other_anchors(runs: Sequence[Path], manifests: Sequence[Manifest]) -> None:
    with_anchors = [
        (folder, manifest.anchors)
        for folder, manifest in zip(runs, manifests, strict=True)
        if manifest.anchors is not None
    ]
    for folder, facts in with_anchors[1:]:
        first, known = with_anchors[0]
        if facts.sha256 != known.sha256:
            raise BadInput(
                f"{folder} cannot be compared with {first}: its anchors are another file ({facts.file}, sha256 "
                f"{facts.sha256[:12]}, was {known.file}, {known.sha256[:12]})"
            )


def _refuse_other_questions(first: Session, night: Session) -> None:
    for ours, theirs in ((night, first), (first, night)):
        only = sorted(ours.planned - theirs.planned)
        if only:
            cell = only[0]
            raise BadInput(
                f"{night.folder} cannot be compared with {first.folder}: only {ours.folder} asks "
                f"{one_line(cell.prompt_id, 60)} of {cell.suite} ({cell.format}, {cell.condition})"
            )


# --- what a run holds ------------------------------------------------------------------------------------------------


def _session(name: str, folder: Path, manifest: Manifest) -> Session:
    judges = judge_set(manifest)
    counts: dict[SeriesCell, dict[tuple[str, str], tuple[int, int]]] = {}
    with Journal.read(folder) as journal:
        for trial in journal.trials_in_plan_order():
            scored = score_trial(trial, judges)
            hit = hit_of(scored)
            is_judged = trial.format != "mcq" and scored.measure not in BY_RULE
            cell = SeriesCell(
                trial.suite, trial.format, trial.model, trial.condition, PRIMARY[scored.measure], is_judged
            )
            cell_counts = counts.setdefault(cell, {})
            hits, counted = cell_counts.get((trial.prompt_id, trial.variant), (0, 0))
            cell_counts[trial.prompt_id, trial.variant] = (hits + bool(hit), counted + (hit is not None))
        planned = frozenset(cell for cell, _ in journal.cells())
    return Session(name, folder, manifest, counts, _anchors_of(folder, manifest), planned)


def _anchors_of(folder: Path, manifest: Manifest) -> tuple[AnchorRow, ...]:
    """The verdicts of the run's own judges on the anchors, () if they have none."""
    if manifest.anchors is None or not (folder / RESULTS_NAME).is_file():
        return ()
    if not set(manifest.anchors.judges) <= {facts.judge_id for facts in manifest.rubrics.values()}:
        return ()  # of the run's earlier judge
    return tuple(read_results(folder))


def _answer_rubrics(manifest: Manifest) -> dict[str, RubricFacts]:
    return {name: facts for name, facts in manifest.rubrics.items() if name not in _REASONING_JUDGES}


def named_change(reference: Manifest, manifest: Manifest) -> str:
    """How the judge of answers differs between two manifests, "" if it does not."""
    old, new = _answer_rubrics(reference), _answer_rubrics(manifest)
    if {name: facts.judge_id for name, facts in old.items()} == {name: facts.judge_id for name, facts in new.items()}:
        return ""
    if reference.config.judge != manifest.config.judge:
        return f"the judge is {manifest.config.judge}, and was {reference.config.judge}"
    rubrics = [name for name in new if name in old and new[name].sha256 != old[name].sha256]
    if rubrics:
        return f"the judge has another rubric for {rubrics[0]} (sha256 {new[rubrics[0]].sha256[:12]})"
    if set(old) != set(new):
        return (
            f"other judges are asked: {', '.join(sorted(new)) or 'none'}, and were {', '.join(sorted(old)) or 'none'}"
        )
    return "the judge is read in another way (--judge-mode or --judge-max-tokens)"
