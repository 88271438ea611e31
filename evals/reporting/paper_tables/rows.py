"""The rows of runs that tables are made of.

Tables read only rates.csv, so they work for a run folder without its journal, and show what that file shows.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from evals.errors import BadInput
from evals.io.csv_reader import CsvFile, CsvRow, csv_file
from evals.plan.config import RunConfig
from evals.plan.manifest import Manifest
from evals.plan.recorded_run import manifest_of
from evals.text import original_text
from evals.trials.prompt import ALL

_TEXTS = (
    *("suite", "format", "model", "condition", "trigger", "prompt_id", "metric"),
    *("source", "dataset_sha", "judge", "rubric_sha"),
)


class PromptRow(NamedTuple):
    """The counts of one prompt and metric in one cell of a run: k of n; and whose questions, judge and rubric."""

    run: TableRun
    suite: str
    format: str
    model: str
    condition: str
    trigger: str
    prompt_id: str
    metric: str
    source: str
    dataset_sha: str
    judge: str
    rubric_sha: str
    k: int
    n: int


@dataclass(frozen=True, eq=False)
class TableRun:
    """A run folder with its manifest."""

    folder: Path
    manifest: Manifest
    is_base: bool

    @property
    def id(self) -> str:
        return self.manifest.run_id

    @property
    def config(self) -> RunConfig:
        return self.manifest.config


def read_run(folder: Path, *, is_base: bool = False) -> list[PromptRow]:
    """The rows of a run's prompts. Raises BadInput for a folder without them."""
    manifest = manifest_of(folder)
    path = folder / "rates.csv"
    if not path.is_file():
        raise BadInput(f"{folder} has no rates.csv: `emeval rates` writes it from the journal")
    run = TableRun(folder, manifest, is_base)
    with csv_file(path, (*_TEXTS, "k", "n")) as file:
        file.require(*_TEXTS, "k", "n")
        return [_row(file, row, run) for row in file if row.cells["prompt_id"] != ALL]


def _row(file: CsvFile, row: CsvRow, run: TableRun) -> PromptRow:
    counts: list[int] = []
    for name in ("k", "n"):
        cell = row.cells[name]
        if not (cell.isascii() and cell.isdigit() and len(cell) <= 15):
            raise BadInput(f"{file.path}:{row.line}: {name}: is not a count")
        counts.append(int(cell))
    k, n = counts
    if k > n:
        raise BadInput(f"{file.path}:{row.line}: k: is above n")
    texts = {name: original_text(row.cells[name]) for name in _TEXTS}
    return PromptRow(run=run, **texts, k=k, n=n)
