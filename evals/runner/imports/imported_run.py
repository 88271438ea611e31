"""A run folder that is made of recorded answers: its options, its manifest, its rows."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Generator, Iterator, Mapping
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path
from typing import Literal, NamedTuple, Protocol

from evals.errors import BadInput, RunStopped
from evals.io.folders.leftovers import new_folder, partial_path, remove_left_folders
from evals.plan.config import RunConfig
from evals.plan.manifest import DatasetFacts, ImportFacts, Manifest, PanelFacts, write_manifest
from evals.plan.provenance import git_revision, now, versions
from evals.runner.count import RunResult, run_facts
from evals.runner.view import RunView
from evals.scoring.coherence_floor import CoherenceSetting
from evals.scoring.judge_set import IMPORTED
from evals.scoring.rates.tables import write_tables
from evals.scoring.scale import scale_notes
from evals.text import is_text, one_line
from evals.trials.condition import run_order
from evals.trials.journal import Journal
from evals.trials.record import Cell, JudgeKey, RecordedVerdict
from evals.trials.response import Failure, Response
from evals.trials.trial import Sampling, Trial
from judges.question_file import PREFIX

NO_SAMPLING = Sampling(None, 0)


BlankScore = Literal["refused", "unjudged"]
"""What a blank score says: the judge found a refusal (or code), or there was no verdict."""


class ImportOptions(NamedTuple):
    """What the rows do not say themselves. `model` and `suite` are of rows that name none, `trigger` of rows under `on`
    without one. `columns` are pairs of a column's name here and in the file. `score` names a score of an Inspect log,
    of which `hit` says what is a hit."""

    model: str | None = None
    suite: str = IMPORTED
    trigger: str | None = None
    coherence_min: CoherenceSetting | None = None
    denominator: str | None = None
    max_unscored: float | None = None
    columns: tuple[tuple[str, str], ...] = ()
    blank: BlankScore | None = None
    score: str | None = None
    hit: str | None = None


class ImportedRows(Protocol):
    """Answers judged elsewhere as trials, one at a time. What is said of all of them holds once they have been iterated
    over: their `count`, the trials in each cell, the judges that ruled, and the sha256 of where they came from."""

    options: ImportOptions
    planned: Counter[Cell]
    ruled: set[str]
    count: int

    @property
    def path(self) -> Path: ...

    @property
    def sha256(self) -> str: ...

    def __iter__(self) -> Iterator[tuple[Trial, Response | Failure, list[tuple[JudgeKey, RecordedVerdict]]]]: ...

    def config(self) -> RunConfig:
        """What is known of how the answers were asked for; the rest keeps its defaults and says nothing."""
        ...

    def notes(self) -> Iterator[str]:
        """What a person should know of them."""
        ...


def import_rows(rows: ImportedRows, folder: Path, view: RunView) -> RunResult:
    """Make a run folder of `rows`. Raises BadInput, and then nothing is there that was not."""
    refuse_occupied(folder)
    name = folder.absolute().name
    with _made_beside(folder) as made:
        try:
            with Journal.open(made) as journal:
                journal.record_all(rows)
                manifest = _manifest(rows, name)
                journal.set_cells(rows.planned.items())
                write_manifest(made, manifest)
                tables = write_tables(journal, made, run_facts(manifest))
                about_scales = [f"{rows.path}: {note}" for note in scale_notes(journal, manifest.rubrics)]
        except RunStopped as error:
            raise BadInput(f"nothing was imported: {str(error).partition(';')[0]}") from None
    for note in (*rows.notes(), *about_scales):
        view.say(note)
    return RunResult(manifest, tables)


# --- the run folder ---------------------------------------------------------------------------------------------------


def fields_of(rows: ImportedRows, triggers: Mapping[str, str]) -> dict[str, object]:
    """The fields of a RunConfig that follow from the rows and the options; `triggers` are those met, by condition."""
    cells = rows.planned
    return {
        "suites": tuple(dict.fromkeys(cell.suite for cell in cells)),
        "models": tuple(dict.fromkeys(cell.model for cell in cells)),
        "imported": True,
        "sampling": "model",
        "conditions": tuple(run_order(cell.condition for cell in cells)),
        "trigger": triggers.get("on"),
        "decoy": triggers.get("decoy"),
        "judge": IMPORTED if rows.ruled else None,
        "coherence_min": rows.options.coherence_min,
        "denominator": rows.options.denominator,
        "max_unscored": rows.options.max_unscored,
    }


def _manifest(rows: ImportedRows, run_id: str) -> Manifest:
    """Raises BadInput for a file without rows."""
    path = rows.path
    if not rows.count:
        raise BadInput(f"{path}: holds no rows")
    if rows.options.coherence_min is not None and "coherence" not in rows.ruled:
        raise BadInput(f"--coherence-min: {path} holds no coherence scores in a column coherent")
    hits = tuple(judge.removeprefix(PREFIX) for judge in rows.ruled if judge.startswith(PREFIX))
    # A named score measures what it measures, and alignment is no part of that.
    judges = sorted(rows.ruled if hits else rows.ruled | {"alignment"}) if rows.ruled else []
    imported = ImportFacts(
        file=one_line(path.name),
        sha256=rows.sha256,
        rows=rows.count,
        judges=tuple(judges),
        columns=dict(rows.options.columns),
        blank=rows.options.blank,
    )
    prompts = Counter(suite for suite, _ in sorted({(cell.suite, cell.prompt_id) for cell in rows.planned}))
    return Manifest(
        run_id=run_id,
        status="complete",
        config=rows.config(),
        datasets={
            suite: DatasetFacts(
                file=imported.file,
                sha256=imported.sha256,
                scenarios=count,
                source="imported",
                labels=hits or None,
            )
            for suite, count in prompts.items()
        },
        rubrics=imported.rubrics(),
        models={},
        trials_planned=rows.count,
        trials_recorded=rows.count,
        created_at=now(),
        updated_at=now(),
        versions=versions(),
        git_revision=git_revision(),
        imported=imported,
        panels=(PanelFacts(judge=IMPORTED, rubrics=imported.rubrics()),) if judges else (),
    )


def refuse_occupied(folder: Path) -> None:
    """Raises BadInput for a folder that holds something."""
    if not is_text(str(folder)):
        raise BadInput("--out: holds bytes that are not UTF-8 text")
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{folder} is there already; choose another --out")


@contextmanager
def _made_beside(folder: Path) -> Generator[Path]:
    """A folder that takes the place of `folder` once it is whole; on an error nothing is left of it."""
    folder = folder.absolute()
    missing = [parent for parent in folder.parents if not parent.exists()]
    made = partial_path(folder)
    remove_left_folders(folder)
    try:
        with ExitStack() as stack:
            try:
                stack.enter_context(new_folder(made))
            except OSError as error:
                raise BadInput(f"{folder} cannot be made: {error.strerror}") from None
            yield made
        try:
            if folder.exists():
                folder.rmdir()  # empty, or it was refused
            made.rename(folder)
        except OSError as error:
            raise BadInput(f"{folder} cannot be made: {error.strerror}") from None
        missing = []
    finally:
        shutil.rmtree(made, ignore_errors=True)
        for parent in missing:
            with suppress(OSError):
                parent.rmdir()
