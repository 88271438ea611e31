"""A recorded run, opened for reading: its manifest and its journal."""

from __future__ import annotations

from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from evals.errors import BadInput
from evals.plan.manifest import Manifest, judge_set, read_manifest
from evals.scoring.judge_set import JudgePanel
from evals.trials.journal import Journal


class RecordedRun(NamedTuple):
    """A run folder with what it holds. `judges` are those whose verdicts count."""

    folder: Path
    manifest: Manifest
    journal: Journal
    judges: JudgePanel


@contextmanager
def open_run(folder: Path, option: str = "") -> Generator[RecordedRun]:
    """The run in `folder`. Raises BadInput if the folder has no manifest or no journal, or one that cannot be read;
    the message begins with the `option` that names the folder, if given."""
    manifest = manifest_of(folder, option)
    with Journal.read(folder) as journal:
        yield RecordedRun(folder, manifest, journal, judge_set(manifest))


def manifest_of(folder: Path, option: str = "") -> Manifest:
    """The manifest of the run in `folder`. Raises BadInput if there is none or it cannot be read."""
    manifest = read_manifest(folder)
    if manifest is None:
        named = f"{option}: " if option else ""
        raise BadInput(f"{named}{folder} is not a run folder: it has no manifest.json")
    return manifest
