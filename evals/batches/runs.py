"""A run folder to batch files, and result files into a run folder, with its tables written as a run writes them."""

from __future__ import annotations

import functools
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

from evals.batches.export import ExportOptions, export_stage
from evals.batches.importing import ImportCounts, import_results
from evals.batches.results import opened
from evals.batches.shard import Shard
from evals.errors import BadInput, RunStopped
from evals.plan.manifest import PanelFacts, with_panel
from evals.plan.plan import Plan, Retry, make_plan
from evals.plan.recorded.told_again import confirmed
from evals.plan.recorded_run import manifest_of
from evals.runner.count import RunResult, conclude
from evals.runner.run_folder import manifest_for, open_journal
from evals.runner.session import RunSession
from evals.runner.view import RunView
from evals.scoring.rates.label_weights import check_labels
from evals.scoring.scale import scale_notes

FOLDER = "batch"
"""Where in a run folder batches go, unless the user names another place."""


class ImportResult(NamedTuple):
    counts: ImportCounts
    run: RunResult


@contextmanager
def open_planned(folder: Path, told: Mapping[str, object], view: RunView) -> Generator[tuple[RunSession, Plan]]:
    """The run in `folder`, open for writing, with its plan; `told` says again which files and servers it uses, as
    `emeval resume` is told. Raises BadInput."""
    manifest = manifest_of(folder)
    if manifest.imported is not None:
        raise BadInput(f"{folder} holds imported answers; `emeval judge` judges them online")
    config = confirmed(manifest.config, told, folder, sampling=True)
    plan = make_plan(config, {name: facts.source for name, facts in manifest.datasets.items()})
    with open_journal(folder) as journal:
        _, manifest = manifest_for(plan, folder, plan.cells())
        retry = Retry(trials=False, rulings=False)
        yield RunSession(manifest, folder, journal, view, retry, plan.tariffs()), plan


def export_run(
    folder: Path, told: Mapping[str, object], options: ExportOptions, out: Path | None, view: RunView
) -> list[Shard]:
    """Write what the run in `folder` still lacks into batch files in `out`, by default a folder in it. Raises
    BadInput."""
    with open_planned(folder, told, view) as (session, plan):
        return export_stage(session, plan, options, out or folder / FOLDER)


def import_into_run(folder: Path, told: Mapping[str, object], files: Sequence[Path], view: RunView) -> ImportResult:
    """Record the results in `files` in the run in `folder`, and write its tables. Raises BadInput before anything is
    written, RunStopped where the disk takes no more."""
    check_labels(folder)  # before anything is recorded: the tables need them
    with open_planned(folder, told, view) as (session, plan), opened(files) as results:
        panels = [PanelFacts(judge=it.config.judge or "", rubrics=it.rubric_facts()) for it in plan.judgings]
        session = session.updated({"panels": functools.reduce(with_panel, panels, session.manifest.panels)})
        try:
            counts = import_results(session, plan, results)
        except (RunStopped, KeyboardInterrupt) as error:
            conclude(session, plan, "stopped" if isinstance(error, RunStopped) else "interrupted")
            raise
        result = conclude(session, plan, None if counts.is_all else "stopped")
        for panel in result.manifest.panels:
            for note in scale_notes(session.journal, panel.rubrics):
                view.say(f"judge {panel.judge}: {note}")
        return ImportResult(counts, result)
