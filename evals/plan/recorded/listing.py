"""The runs in a folder: where they are, and how each stands, by its manifest."""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from evals.errors import BadInput
from evals.plan.manifest import FILE_NAME, Manifest, read_manifest
from evals.plan.recorded_run import manifest_of
from evals.trials.storage.journal_file import is_at_work

LATEST = "latest"
"""The name of the run in `results` that was begun last."""
RESULTS = Path("results")
_DEEPEST = 4
"""How far below the folder it is looked: nights have a folder for each date, and in it one for each checkpoint."""


class FoundRun(NamedTuple):
    """A run folder and its manifest. `state` is that of the manifest, but `stopped` for a run that no process is at
    work in any more."""

    folder: Path
    manifest: Manifest
    state: str


def find_runs(place: Path) -> tuple[list[FoundRun], list[str]]:
    """The runs in a folder and the folders in it, the latest first; and what is wrong with manifests that cannot be
    read. Folders that are links are not followed. Raises BadInput where there is no such folder."""
    if not place.is_dir():
        raise BadInput(f"{place} is no folder; runs are in {RESULTS}/ unless --out says otherwise")
    found: list[FoundRun] = []
    problems: list[str] = []
    for folder in _run_folders(place):
        try:
            manifest = read_manifest(folder)
        except BadInput as error:
            problems.append(str(error))
        else:
            if manifest is not None:
                found.append(FoundRun(folder, manifest, _state(folder, manifest)))
    return sorted(found, key=lambda run: (run.manifest.created_at, str(run.folder)), reverse=True), problems


def found_run(folder: Path) -> FoundRun:
    """The run in `folder`. Raises BadInput where there is none."""
    manifest = manifest_of(folder)
    return FoundRun(folder, manifest, _state(folder, manifest))


def latest_run() -> Path:
    """The folder of the run in `results` that was begun last. Raises BadInput where there is none."""
    found, _ = find_runs(RESULTS) if RESULTS.is_dir() else ([], [])
    if not found:
        raise BadInput(f"{LATEST}: there is no run in {RESULTS}/; give the folder of one")
    return found[0].folder


def _run_folders(place: Path) -> Iterator[Path]:
    for above, folders, files in os.walk(place):
        folder = Path(above)
        if FILE_NAME in files:
            yield folder
        if FILE_NAME in files or len(folder.relative_to(place).parts) >= _DEEPEST:
            folders.clear()
        folders[:] = sorted(name for name in folders if not name.startswith("."))


def _state(folder: Path, manifest: Manifest) -> str:
    return "stopped" if manifest.status == "running" and not is_at_work(folder) else manifest.status
