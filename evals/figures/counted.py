"""A run folder with its tables, counted anew from the journal: what figures, reports and exports begin with."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from evals.manifest import Manifest
from evals.rates import Tables
from evals.run import count_run


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
