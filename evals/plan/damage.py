"""What is damaged in a run folder, in words, and a new run folder of what is whole."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path

from evals.errors import BadInput
from evals.numbers import counted
from evals.plan.manifest import FILE_NAME as MANIFEST_NAME
from evals.plan.manifest import Manifest, read_manifest, write_manifest
from evals.plan.provenance import now
from evals.trials.journal import FILE_NAME as JOURNAL_NAME
from evals.trials.journal import Journal
from evals.trials.storage.journal_file import DAMAGE, connect_to_read
from evals.trials.storage.salvage import copy_whole_rows
from evals.trials.storage.verify import as_text, is_busy, problems


def damages(folder: Path) -> list[str]:
    """Each thing in a run folder that is damaged, [] for a whole one. Raises BadInput if it is no run folder."""
    path = folder / JOURNAL_NAME
    if not path.is_file() and not (folder / MANIFEST_NAME).is_file():
        raise BadInput(f"{folder} is not a run folder: it has no {MANIFEST_NAME} and no {JOURNAL_NAME}")
    found: list[str] = []
    try:
        if read_manifest(folder) is None:
            found.append(f"{MANIFEST_NAME}: is missing")
    except BadInput as error:
        found.append(str(error).partition(";")[0])
    if not path.is_file():
        return [*found, f"{JOURNAL_NAME}: is missing"]
    try:
        with closing(connect_to_read(path)) as connection:
            connection.text_factory = as_text
            found += (f"{JOURNAL_NAME}: {problem}" for problem in problems(connection))
        if not found:
            with Journal.read(folder) as journal:
                lost = lost_trials(read_manifest(folder), journal.recorded())
            found += [f"{JOURNAL_NAME}: {lost}"] if lost else []
    except DAMAGE as error:
        if is_busy(error):
            raise BadInput(f"{path}: another program keeps it locked; try again") from None
        found.append(f"{JOURNAL_NAME}: cannot be read: {error}")
    except BadInput as error:
        found.append(str(error).partition(";")[0])
    return found


def lost_trials(manifest: Manifest | None, recorded: int) -> str:
    """How many trials of a complete run its journal no longer has, "" if it has all.

    They were in its write-ahead log, which ends at the first frame that is damaged.
    """
    if manifest is None or manifest.status != "complete" or recorded >= manifest.trials_recorded:
        return ""
    return f"holds {counted(recorded, 'trial')}, and {manifest.trials_recorded} were recorded"


def salvage(folder: Path, new: Path) -> tuple[int, int]:
    """Make a run folder of what is whole in another; the trials that it has, and those that were planned.

    What is damaged is pending there: resuming the run asks it again. Raises BadInput.
    """
    manifest = read_manifest(folder)
    if manifest is None:
        raise BadInput(f"{folder}: has no {MANIFEST_NAME}, and without it nobody knows what was asked")
    if new.exists() and (not new.is_dir() or any(new.iterdir())):
        raise BadInput(f"--salvage: {new} is there already; choose another")
    try:
        new.mkdir(parents=True, exist_ok=True)
        recorded = copy_whole_rows(folder / JOURNAL_NAME, new / JOURNAL_NAME)
    except OSError as error:
        raise BadInput(f"--salvage: {new} cannot be made: {error.strerror}") from None
    except DAMAGE as error:
        raise BadInput(f"{folder / JOURNAL_NAME}: holds nothing that can be read: {error}") from None
    facts = {"run_id": new.resolve().name, "status": "interrupted", "trials_recorded": recorded, "counted": None}
    write_manifest(new, manifest.model_copy(update=facts | {"updated_at": now()}))
    return recorded, manifest.trials_planned
