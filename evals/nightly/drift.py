"""Check whether the judge has changed since earlier nights: by its name and rubrics, and by the anchors."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Literal, NamedTuple

from evals.analysis.drift.attribution import attribute, is_changed
from evals.errors import EmevalError
from evals.nightly.history import text_of
from evals.plan.manifest import Manifest, read_manifest
from evals.text import one_line

NOT_WATCHED = "not watched"
_NIGHT = re.compile(r"\d{4}-\d\d-\d\d")


class Drift(NamedTuple):
    """What changed since earlier nights: nothing, the system under test, or the judge; `unknown` is a change that
    cannot be attributed. On the first night there is nothing to compare with."""

    verdict: Literal["none", "system", "judge", "unknown", "not watched"]
    words: str
    is_first: bool = False


def drift_tonight(
    out: Path,
    checkpoint: str,
    night: str,
    history: Sequence[Mapping[str, str]],
    *,
    has_anchors: bool,
) -> Drift:
    """The drift in tonight's run of a checkpoint, which must be complete."""
    tonight = out / night / checkpoint
    before = complete_before(out, checkpoint, night)
    if before and (words := judge_changes(read_manifest(before[-1]), read_manifest(tonight))):
        return Drift("judge", words)
    if not has_anchors:
        return Drift(NOT_WATCHED, "no anchors are given")
    changed = [row["night"] for row in history if _is_judge_change(row, checkpoint) and row["night"] < night]
    since = max(changed, default="")
    sequence = [run for run in before if run.parent.name >= since]
    return _anchor_drift([*sequence, tonight])


def judge_changed_since(
    baseline: Path,
    out: Path,
    checkpoint: str,
    night: str,
    history: Sequence[Mapping[str, str]],
) -> str:
    """Why tonight's verdicts cannot be compared with those of an earlier run, "" if they can."""
    base = read_manifest(baseline)
    if base is None:
        return ""
    for changed in sorted({row["night"] for row in history if _is_judge_change(row, checkpoint)}):
        if changed <= night and _is_after(out, changed, checkpoint, baseline, base):
            return f"the judge changed in the night of {changed}"
    tonight = out / night / checkpoint
    found = _anchor_drift([baseline, tonight])
    return found.words if found.verdict == "judge" else ""


def complete_before(out: Path, checkpoint: str, night: str) -> list[Path]:
    """The complete runs of a checkpoint in earlier nights, in order."""
    nights = sorted(folder.parent for folder in out.glob(f"????-??-??/{checkpoint}") if folder.parent.name < night)
    runs = [folder / checkpoint for folder in nights]
    return [run for run in runs if (found := _manifest(run)) is not None and found.status == "complete"]


def judge_changes(before: Manifest | None, now: Manifest | None) -> str:
    """How judge or rubrics differ, "" if they do not."""
    if before is None or now is None:
        return ""
    changed: list[str] = []
    if before.config.judge != now.config.judge and before.rubrics and now.rubrics:
        changed.append(f"judge was {one_line(before.config.judge or 'none', 80)}, is {now.config.judge}")
    for name, facts in now.rubrics.items():
        old = before.rubrics.get(name)
        if old is not None and old.sha256 != facts.sha256:
            changed.append(f"rubric {one_line(name, 60)} was {old.sha256[:12]}, is {facts.sha256[:12]}")
    return "; ".join(changed)


def _is_after(out: Path, changed: str, checkpoint: str, baseline: Path, base: Manifest) -> bool:
    """Whether a night came after the baseline was run: by the name of the baseline's night where it has one, for names
    are in order and clocks are set; by the time of both otherwise."""
    night = baseline.resolve().parent
    if night.parent == out.resolve() and _NIGHT.fullmatch(night.name):
        return changed > night.name
    run = _manifest(out / changed / checkpoint)
    return run.created_at > base.created_at if run is not None else changed >= base.created_at[:10]


def _manifest(run: Path) -> Manifest | None:
    """The manifest of an earlier night, None if it cannot be read."""
    try:
        return read_manifest(run)
    except EmevalError:
        return None


def _is_judge_change(row: Mapping[str, str], checkpoint: str) -> bool:
    return text_of(row, "checkpoint") == checkpoint and row["drift"] == "judge"


def _anchor_drift(runs: Sequence[Path]) -> Drift:
    """The drift of the last of these runs by its anchors, with the first as reference."""
    try:
        found = attribute(runs)[-1]
    except EmevalError as error:
        return Drift(NOT_WATCHED, one_line(str(error)))
    if found.verdict == "unknown" and not is_changed(found):
        return Drift(NOT_WATCHED, one_line(found.words))
    return Drift(found.verdict, one_line(found.words), is_first=len(runs) == 1)
