"""A run folder with its tables, counted anew from the journal: what figures, reports and exports begin with."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from evals.count import count_run
from evals.plan.manifest import Manifest
from evals.scoring.rates.tables import Tables


@dataclass(frozen=True)
class Counted:
    """A run, and its tables as its journal and the counting of today's program give them."""

    folder: Path
    manifest: Manifest
    tables: Tables


def read_counted(folder: Path) -> Counted:
    """Count the run in `folder`, as `emeval rates` does, which writes its tables there.

    Raises BadInput where there is no run.
    """
    result = count_run(folder, None)
    return Counted(folder, result.manifest, result.tables)


def read_several(folders: Iterable[Path]) -> list[Counted]:
    """Count several runs, a folder given twice once. Runs of the same name, such as those of one checkpoint on two
    nights, are called after the folders that theirs lie in, too.

    Raises BadInput where there is no run.
    """
    runs = [read_counted(folder) for folder in dict.fromkeys(folders)]
    times = Counter(run.manifest.run_id for run in runs)
    return [run if times[run.manifest.run_id] == 1 else _renamed(run, number, runs) for number, run in enumerate(runs)]


def _renamed(run: Counted, number: int, runs: Sequence[Counted]) -> Counted:
    name = f"{run.folder.resolve().parent.name}/{run.manifest.run_id}"
    same = [one for one in runs if f"{one.folder.resolve().parent.name}/{one.manifest.run_id}" == name]
    name = name if len(same) == 1 else f"{name} ({number + 1})"
    manifest = run.manifest.model_copy(update={"run_id": name})
    return replace(run, manifest=manifest, tables=run.tables.with_run_id(name))
