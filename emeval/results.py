"""What a run found, as DataFrames: the files of its folder, read."""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from evals.analysis.unscored import too_much_unscored
from evals.io.csv_reader import csv_file
from evals.plan.manifest import Manifest, Status
from evals.plan.stopping.rows import StopRow
from evals.runner.count import RunResult
from evals.scoring.metric import PRIMARY
from evals.scoring.rates.tables import Tables, pooled
from evals.text import one_line, original_text

_GUARDED = (
    *("question", "answer", "question_id", "reasoning", "suite", "model", "trigger", "finish_reason", "judge"),
    "verdicts",
)
"""The columns of responses.csv that hold texts as `evals.text.spreadsheet_safe` wrote them."""
_COUNTS = ("repeat", "prompt_tokens", "completion_tokens")
_SHOWN = ["suite", "format", "model", "condition", "metric", "k", "n", "rate", "ci_low", "ci_high"]


class EmevalWarning(UserWarning):
    """Results that are there and should not be believed as they stand, or are not all there yet."""


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A run as it stood when it was opened: tables counted from its journal, and where it lies.

    Attributes:
        folder: The run folder. Everything else can be had from it again.
        manifest: The whole configuration, versions, hashes and status, as in manifest.json.
        tables: The tables behind the properties below, and `tables.trials`, one narrow row a trial without its texts.
    """

    folder: Path
    manifest: Manifest
    tables: Tables
    _stopping: tuple[StopRow, ...] = ()

    @classmethod
    def of(cls, result: RunResult, folder: Path) -> Run:
        return cls(folder, result.manifest, result.tables, result.stopping)

    @property
    def rates(self) -> pd.DataFrame:
        """The table of rates.csv: for each metric a row a prompt and cell, and a row `ALL` over the prompts of a cell.

        `k` hits of `n` counted answers, `rate` = k / n and its 95% interval `ci_low` to `ci_high`, all fractions in
        [0, 1] and NaN where n is 0; `bound_low` and `bound_high` if all that is missing were aligned or misaligned;
        and why it is missing.
        """
        return self.tables.rates

    @property
    def effects(self) -> pd.DataFrame:
        """The table of effects.csv: a row for each condition against `off`, the difference as a fraction in [-1, 1]."""
        return self.tables.effects

    @property
    def corrected(self) -> pd.DataFrame | None:
        """The table of corrected.csv: rates corrected for the judge's errors; None where nobody has labelled
        answers.
        """
        return self.tables.corrected

    @property
    def stopping(self) -> pd.DataFrame | None:
        """The table of stopping.csv: where each cell stands with the rule `until`; None for a run without one."""
        if self.manifest.config.until is None:
            return None
        return pd.DataFrame([row._asdict() for row in self._stopping], columns=list(StopRow._fields))

    @cached_property
    def responses(self) -> pd.DataFrame:
        """The table of responses.csv, one row a trial in the order of the plan, read when it is first asked for.

        Texts are whole and as they came: what the CSV puts before a formula is taken off again (it lacks NUL
        characters, which the journal keeps). `aligned` and `coherent` are scores from 0 to 100, NaN where there is
        none; `misaligned` and `articulates` are booleans, `<NA>` where the answer does not count. Blank texts are `""`.

        They are texts of models: show them as text, never as HTML.
        """
        return _responses(self.folder / "responses.csv")

    @property
    def status(self) -> Status:
        """`complete`; `interrupted` or `stopped`, which `emeval.resume` goes on with; or `running`, here or until it
        was killed.
        """
        return self.manifest.status

    @property
    def is_complete(self) -> bool:
        """Whether every planned trial is recorded."""
        return self.manifest.trials_recorded >= self.manifest.trials_planned

    @cached_property
    def problem(self) -> str | None:
        """What the command line exits with 1 for: more answers without a score than `max_unscored`, in the worst
        cell; or None.
        """
        return too_much_unscored(self.manifest, self.tables, self.folder)

    def __repr__(self) -> str:
        done = f"{self.manifest.trials_recorded} of {self.manifest.trials_planned} trials"
        return f"<emeval.Run {one_line(str(self.folder))}: {self.status}, {done}>"

    def _repr_html_(self) -> str:
        """What a notebook shows of a run: the rate that each cell is about. pandas escapes all texts."""
        rows = pooled(self.rates, PRIMARY.values())
        caption = pd.DataFrame({"run": [repr(self)]}).to_html(header=False, index=False, border=0)
        return caption + rows[_SHOWN].to_html(index=False, border=0, na_rep="–", float_format="{:.3f}".format)


def _responses(path: Path) -> pd.DataFrame:
    with csv_file(path) as file:
        rows: list[dict[str, Any]] = [row.cells for row in file]
        frame = pd.DataFrame(rows, columns=list(file.columns), dtype=object)
    for name in _GUARDED:
        frame[name] = frame[name].map(original_text)
    for name in ("aligned", "coherent"):
        frame[name] = [float(cell) if cell else math.nan for cell in frame[name]]
    for name in _COUNTS:
        frame[name] = pd.array([int(cell) if cell else None for cell in frame[name]], dtype="Int64")
    for name in ("misaligned", "articulates"):
        frame[name] = frame[name].map({"1": True, "0": False}).astype("boolean")
    texts = [name for name in frame.columns if frame[name].dtype == object]
    return frame.astype(dict.fromkeys(texts, "str"))
