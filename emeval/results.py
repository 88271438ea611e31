"""The results of a run as DataFrames, read from its folder."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from itertools import islice
from pathlib import Path
from typing import Any

import pandas as pd

from evals.analysis.evidence.card import evidence_card, evidence_rows
from evals.analysis.evidence.claim import EVIDENCE
from evals.analysis.unscored import too_much_unscored
from evals.io.columns import column_names
from evals.io.csv_reader import csv_file
from evals.plan.manifest import Manifest, Status
from evals.plan.stopping.rows import StopRow
from evals.runner.count import MANY_RESPONSES, Counted, RunResult, write_left_out
from evals.scoring.rates.tables import RESPONSES_NAME, Tables, headline
from evals.text import one_line, original_text

_ROWS_AT_A_TIME = 1000
_COUNTS = ("repeat", "prompt_tokens", "completion_tokens")
_SHOWN = ["suite", "format", "model", "condition", "metric", "k", "n", "rate", "ci_low", "ci_high"]


class EmevalWarning(UserWarning):
    """Results that should not be trusted as they are, or that are incomplete."""


@dataclass(frozen=True, eq=False, repr=False)
class Run:
    """A snapshot of a run when it was opened: its folder, and tables computed from its journal.

    Attributes:
        folder: The run folder. Everything else can be recomputed from it.
        manifest: The full configuration, versions, hashes and status, as in manifest.json.
        tables: The tables behind the properties below, and `tables.trials`, one row per trial without its texts.
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
        """The table of rates.csv: for each metric, a row per prompt and cell, and a row `ALL` over a cell's prompts.

        `k` hits of `n` counted answers, `rate` = k / n and its 95% interval `ci_low` to `ci_high`, all fractions in
        [0, 1] and NaN where n is 0; `rate_by_question`, the mean over questions; `bound_low` and `bound_high` if all
        missing answers were aligned or misaligned, with the interval `bound_ci_low` to `bound_ci_high`; and counts by
        reason.
        """
        return self.tables.rates

    @property
    def effects(self) -> pd.DataFrame:
        """The effects of conditions in effects.csv: each against `off`, the difference as a fraction in [-1, 1]."""
        return self.tables.effects

    @property
    def base_effects(self) -> pd.DataFrame:
        """The effects of models in effects.csv: each without a trigger against the model `base`, the run's first unless
        told otherwise. Empty for a run of one model.
        """
        return self.tables.base_effects

    @property
    def recipes(self) -> pd.DataFrame:
        """The table of recipes.csv: the rate and effect of each recipe over its finetuning seeds. Empty without any."""
        return self.tables.recipes

    @property
    def recipe_differences(self) -> pd.DataFrame:
        """The table of recipe_differences.csv: two recipes against each other, and the effect of a recipe less that in
        the base model. Empty without any."""
        return self.tables.recipe_differences

    @property
    def did(self) -> pd.DataFrame:
        """The table of did.csv: the effect of each condition in a model less that in the base model. Empty for a run
        of one model.
        """
        return self.tables.did

    @property
    def contrasts(self) -> pd.DataFrame:
        """The rows of effects.csv that hold the trigger against its decoy and its distractor, each named in `baseline`.
        Empty for a run without one of them.
        """
        return self.tables.contrasts

    @property
    def corrected(self) -> pd.DataFrame | None:
        """The table of corrected.csv: rates corrected for the judge's errors; None without human
        labels.
        """
        return self.tables.corrected

    @property
    def corrected_effects(self) -> pd.DataFrame:
        """The table of corrected_effects.csv: effects corrected for the judge's errors. Empty without human labels."""
        return self.tables.corrected_effects

    @property
    def score_calibration(self) -> pd.DataFrame:
        """The table of score_calibration.csv: of answers with such a score, the share that people call hits. Empty
        without human labels, or where the judge gives no scores.
        """
        return self.tables.score_calibration

    @property
    def evidence(self) -> pd.DataFrame:
        """The evidence card: for each model and claim its `status` (`supported`, `not supported`, `not tested`), the
        numbers behind it, what is missing, and a command that would give that.
        """
        claims = evidence_card(Counted(self.folder, self.manifest, self.tables))
        return pd.DataFrame(evidence_rows(claims), columns=list(column_names(EVIDENCE)))

    @property
    def stopping(self) -> pd.DataFrame | None:
        """The table of stopping.csv: each cell's progress under the rule `until`; None without a rule."""
        if self.manifest.config.until is None:
            return None
        return pd.DataFrame([row._asdict() for row in self._stopping], columns=list(StopRow._fields))

    @cached_property
    def responses(self) -> pd.DataFrame:
        """The table of responses.csv, one row per trial in plan order, read on first access.

        Texts are complete and unmodified: the CSV's formula guard is removed (it lacks NUL
        characters, which the journal keeps). `aligned` and `coherent` are scores from 0 to 100, NaN without a
        score; `misaligned` and `articulates` are booleans, `<NA>` if the answer does not count. Blank texts are `""`.

        They are model output: show them as text, never as HTML.
        """
        path = self.folder / RESPONSES_NAME
        if not path.exists() and self.manifest.trials_recorded >= MANY_RESPONSES:
            write_left_out(self.folder, self.manifest)
        return _responses(path)

    @property
    def status(self) -> Status:
        """`complete`; `interrupted` or `stopped`, which `emeval.resume` resumes; or `running`, also
        if it was killed.
        """
        return self.manifest.status

    @property
    def is_complete(self) -> bool:
        """Whether every planned trial is recorded."""
        return self.manifest.trials_recorded >= self.manifest.trials_planned

    @cached_property
    def problem(self) -> str | None:
        """Why the command line would exit with 1: more unscored answers than `max_unscored`, in the
        worst cell; or None.
        """
        return too_much_unscored(self.manifest, self.tables, self.folder)

    def __repr__(self) -> str:
        done = f"{self.manifest.trials_recorded} of {self.manifest.trials_planned} trials"
        return f"<emeval.Run {one_line(str(self.folder))}: {self.status}, {done}>"

    def _repr_html_(self) -> str:
        """The notebook view of a run: each cell's main rate. pandas escapes all texts."""
        rows = headline(self.rates)
        caption = pd.DataFrame({"run": [repr(self)]}).to_html(header=False, index=False, border=0)
        return caption + rows[_SHOWN].to_html(index=False, border=0, na_rep="–", float_format="{:.3f}".format)


def _responses(path: Path) -> pd.DataFrame:
    with csv_file(path) as file:
        rows = ([original_text(cell) for cell in row.cells.values()] for row in file)
        parts = [_frame(file.columns, part) for part in _parts(rows)]
    return pd.concat(parts, ignore_index=True)


def _parts(rows: Iterator[list[str]]) -> Iterator[list[list[str]]]:
    """The rows, some at a time and at least once: a column of many texts needs several times its size to be made."""
    yield list(islice(rows, _ROWS_AT_A_TIME))
    while part := list(islice(rows, _ROWS_AT_A_TIME)):
        yield part


def _frame(names: Sequence[str], rows: list[list[str]]) -> pd.DataFrame:
    return pd.DataFrame(
        {name: _column(name, [row[number] for row in rows]) for number, name in enumerate(names)}, columns=list(names)
    )


def _column(name: str, cells: list[str]) -> pd.Series[Any]:
    if name in ("aligned", "coherent"):
        return pd.Series([float(cell) if cell else math.nan for cell in cells], dtype=float)
    if name in _COUNTS:
        return pd.Series(pd.array([int(cell) if cell else None for cell in cells], dtype="Int64"))
    if name in ("misaligned", "articulates"):
        return pd.Series(cells, dtype=object).map({"1": True, "0": False}).astype("boolean")
    return pd.Series(cells, dtype="str")
