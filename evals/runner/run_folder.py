"""What lies in a run folder: its manifest and its journal, and nothing of anybody else's."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from evals.errors import BadInput
from evals.plan.judges import file_judges, labels_counted
from evals.plan.manifest import FILE_NAME as MANIFEST_NAME
from evals.plan.manifest import DatasetFacts, Manifest, read_manifest
from evals.plan.options import differences
from evals.plan.plan import Plan
from evals.plan.plugins import plugin_facts
from evals.plan.provenance import git_revision, now, versions
from evals.plan.recorded.growth import is_grown
from evals.text import is_text, quoted_path
from evals.trials.journal import FILE_NAME as JOURNAL_NAME
from evals.trials.journal import Journal
from evals.trials.record import Cell


def refuse_foreign_files(folder: Path) -> None:
    if not is_text(str(folder)):
        raise BadInput("--out: holds bytes that are not UTF-8 text")
    if folder.exists() and not folder.is_dir():
        raise BadInput(f"{folder} is a file; choose another --out")
    if not folder.is_dir() or (folder / MANIFEST_NAME).exists():
        return
    if any(not entry.name.startswith((".", JOURNAL_NAME)) for entry in folder.iterdir()):
        raise BadInput(f"{folder} holds other files; choose another --out")


def manifest_for(plan: Plan, folder: Path, cells: dict[Cell, int]) -> tuple[Manifest | None, Manifest]:
    """The manifest that stands in the folder, if any, and the one of this run, which may have grown out of it.

    Raises BadInput if they are two runs.
    """
    before = read_manifest(folder)
    manifest = _new_manifest(plan, folder, sum(cells.values()), before)
    changed = differences(before.identity(), manifest.identity()) if before else []
    if before is not None and changed and not is_grown(before, manifest, folder):
        what = "Choose another --out, or the same options"
        if _has_new_judges(before, manifest, changed):
            what = f"`emeval judge {quoted_path(folder)}` with the same --plugin adds that judge"
        raise BadInput(f"{folder} holds another run: {'; '.join(changed)}. {what}")
    return before, manifest


def _has_new_judges(before: Manifest, manifest: Manifest, changed: Sequence[str]) -> bool:
    """Whether all that differs is that a run names judges of other packages which it did not name before."""
    new = manifest.rubrics.keys() - before.rubrics.keys()
    return len(changed) == len(new) and new <= {facts.name for facts in manifest.plugins if facts.kind == "judge"}


def discard(folder: Path, *, with_folder: bool) -> None:
    """Delete the files of a run that failed before its first request. Needs the lock."""
    for entry in folder.glob("*"):
        if entry.name == MANIFEST_NAME or entry.name.startswith(JOURNAL_NAME):
            entry.unlink()
    if with_folder:
        shutil.rmtree(folder, ignore_errors=True)


def open_journal(folder: Path) -> Journal:
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{folder} cannot be made: {error.strerror}") from None
    return Journal.open(folder)


def _new_manifest(plan: Plan, folder: Path, planned: int, before: Manifest | None) -> Manifest:
    return Manifest(
        run_id=folder.resolve().name,
        status="running",
        config=plan.config,
        datasets={
            name: DatasetFacts(
                file=dataset.path.name,
                sha256=dataset.sha256,
                scenarios=len(dataset.scenarios),
                source=dataset.source,
                judges=file_judges(dataset),
                labels=labels_counted(dataset),
                origin=dataset.origin,
                revision=dataset.revision,
            )
            for name, dataset in plan.datasets.items()
        },
        rubrics=plan.judging.rubric_facts(),
        models=before.models if before else {},
        trials_planned=planned,
        trials_recorded=before.trials_recorded if before else 0,
        created_at=before.created_at if before else now(),
        updated_at=now(),
        versions=before.versions if before else versions(),
        git_revision=before.git_revision if before else git_revision(),
        panels=before.all_panels() if before else (),
        anchors=before.anchors if before else None,
        spend=before.spend if before else None,
        grown=before.grown if before else (),
        cache_hits=before.cache_hits if before else None,
        plugins=plugin_facts(plan.config),
    )
