"""The three tables of a run: counted from its journal, written as CSV, and read back from the CSVs."""

from __future__ import annotations

import functools
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

from evals.errors import BadInput
from evals.io.atomic import replacing, write_whole
from evals.io.columns import Column, Kind, column_names
from evals.io.csv_reader import csv_file
from evals.io.csv_writer import csv_row
from evals.scoring.rates.columns import (
    CORRECTED,
    CORRECTED_EFFECTS,
    DID,
    EFFECTS,
    RATES,
    RECIPE_DIFFERENCES,
    RECIPES,
    SCORE_CALIBRATION,
)
from evals.scoring.rates.rows import Row, is_headline, label_suites
from evals.scoring.rates.tally import RunFacts, Tally, TrialCount
from evals.text import original_text
from evals.trials.condition import BASELINE
from evals.trials.journal import Journal
from evals.trials.prompt import ALL

if TYPE_CHECKING:
    import pandas as pd

RATES_NAME, EFFECTS_NAME, CORRECTED_NAME, RESPONSES_NAME = "rates.csv", "effects.csv", "corrected.csv", "responses.csv"
RECIPES_NAME, DID_NAME, RECIPE_DIFFERENCES_NAME = "recipes.csv", "did.csv", "recipe_differences.csv"
CORRECTED_EFFECTS_NAME, SCORE_CALIBRATION_NAME = "corrected_effects.csv", "score_calibration.csv"


@dataclass(frozen=True)
class Tables:
    """The rows of rates.csv, effects.csv and corrected.csv as plain values (a blank cell is None), and how many trials
    of a cell ended alike. `effect_rows` are the effects of conditions, `base_rows` those of models against the base
    model and `contrast_rows` those of the trigger against its decoy and distractor, which effects.csv has after them.
    `recipe_rows` are those of recipes.csv, `did_rows` those of did.csv, and `recipe_difference_rows` those of
    recipe_differences.csv. `corrected_rows` is None where nobody has labelled answers, and `corrected_effect_rows` and
    `score_rows`, of corrected_effects.csv and score_calibration.csv, are then empty. `probability_rows` are those of
    probabilities.csv, none where no letters were read. As DataFrames: `rates`, `effects`, `base_effects`, `contrasts`,
    `all_effects` (all three), `recipes`, `did`, `recipe_differences`, `corrected`, `corrected_effects`, and `trials`
    with a row for each recorded trial."""

    rate_rows: list[Row]
    effect_rows: list[Row]
    trial_counts: tuple[TrialCount, ...]
    corrected_rows: list[Row] | None = None
    base_rows: list[Row] = field(default_factory=list[Row])
    contrast_rows: list[Row] = field(default_factory=list[Row])
    recipe_rows: list[Row] = field(default_factory=list[Row])
    did_rows: list[Row] = field(default_factory=list[Row])
    recipe_difference_rows: list[Row] = field(default_factory=list[Row])
    corrected_effect_rows: list[Row] = field(default_factory=list[Row])
    score_rows: list[Row] = field(default_factory=list[Row])
    probability_rows: list[Row] = field(default_factory=list[Row])
    _tally: Callable[[], Tally] = field(default=Tally, repr=False)

    @cached_property
    def rates(self) -> pd.DataFrame:
        return _frame(self.rate_rows, RATES)

    @cached_property
    def effects(self) -> pd.DataFrame:
        return _frame(self.effect_rows, EFFECTS)

    @cached_property
    def base_effects(self) -> pd.DataFrame:
        return _frame(self.base_rows, EFFECTS)

    @cached_property
    def contrasts(self) -> pd.DataFrame:
        return _frame(self.contrast_rows, EFFECTS)

    @cached_property
    def all_effects(self) -> pd.DataFrame:
        return _frame(self.all_effect_rows, EFFECTS)

    @cached_property
    def recipes(self) -> pd.DataFrame:
        return _frame(self.recipe_rows, RECIPES)

    @cached_property
    def did(self) -> pd.DataFrame:
        return _frame(self.did_rows, DID)

    @cached_property
    def recipe_differences(self) -> pd.DataFrame:
        return _frame(self.recipe_difference_rows, RECIPE_DIFFERENCES).astype({"other_seeds": "Int64"})

    @property
    def all_effect_rows(self) -> list[Row]:
        """The rows of effects.csv: the effects of conditions, those against the base model, and the contrasts."""
        return [*self.effect_rows, *self.base_rows, *self.contrast_rows]

    @cached_property
    def corrected(self) -> pd.DataFrame | None:
        if self.corrected_rows is None:
            return None
        counts = [name for name in column_names(CORRECTED) if name.startswith("n_") or name == "labels_to_halve"]
        return _frame(self.corrected_rows, CORRECTED).astype(dict.fromkeys(counts, "Int64"))

    @cached_property
    def corrected_effects(self) -> pd.DataFrame:
        return _frame(self.corrected_effect_rows, CORRECTED_EFFECTS).astype({"n_questions": "Int64"})

    @cached_property
    def score_calibration(self) -> pd.DataFrame:
        return _frame(self.score_rows, SCORE_CALIBRATION)

    @cached_property
    def trials(self) -> pd.DataFrame:
        """Of each trial cell, prompt, variant, letter, mode, its facts, of `misaligned` whether it is `counted` and a
        `hit`, and its scores `aligned` and `coherent` (0-100, NaN where there is none)."""
        return self._tally().frame()

    def with_run_id(self, name: str) -> Tables:
        """The same tables under another name of the run."""
        effects = ("effect_rows", "base_rows", "contrast_rows", "did_rows", "corrected_effect_rows")
        names = ("rate_rows", *effects, "recipe_rows", "recipe_difference_rows", "score_rows")
        renamed: dict[str, Any] = {
            table: [row | {"run_id": name} for row in cast("list[Row]", getattr(self, table))] for table in names
        }
        return replace(self, **renamed)

    def with_models(self, names: Mapping[str, str]) -> Tables:
        """The tables of the models in `names`, called by the names that they have there; without recipes, which are of
        several, and the calibration of scores is that of all of them."""

        def chosen(rows: list[Row]) -> list[Row]:
            return [row | {"model": names[row["model"]]} for row in rows if row["model"] in names]

        def over_base(rows: list[Row]) -> list[Row]:
            return [row | {"base": names.get(row["base"], row["base"])} for row in chosen(rows)]

        return Tables(
            chosen(self.rate_rows),
            chosen(self.effect_rows),
            tuple(count._replace(model=names[count.model]) for count in self.trial_counts if count.model in names),
            None if self.corrected_rows is None else chosen(self.corrected_rows),
            over_base(self.base_rows),
            chosen(self.contrast_rows),
            did_rows=over_base(self.did_rows),
            corrected_effect_rows=over_base(self.corrected_effect_rows),
            score_rows=self.score_rows if all(row["model"] in names for row in self.rate_rows) else [],
            probability_rows=chosen(self.probability_rows),
            _tally=functools.cache(lambda: self._tally().with_models(names)),
        )

    def with_questions(self, chosen: Sequence[str]) -> Tables:
        """The tables with the rates and trials of these questions, in that order; rates over all prompts, effects and
        `trial_counts` stay those of all questions."""
        places = {question: place for place, question in enumerate((ALL, *chosen))}
        rows = sorted(
            (row for row in self.rate_rows if row["prompt_id"] in places), key=lambda row: places[row["prompt_id"]]
        )
        return replace(self, rate_rows=rows, _tally=functools.cache(lambda: self._tally().with_questions(chosen)))


def write_tables(journal: Journal, folder: Path, facts: RunFacts, *, responses: bool = True) -> Tables:
    """Count a run and write its CSVs into `folder`, each whole or not at all: responses.csv only if asked for, those of
    recipes and of differences between effects where there are any."""
    from evals.scoring.rates.responses import tally_of, write_responses

    tally = write_responses(journal, folder / RESPONSES_NAME, facts) if responses else tally_of(journal, facts)
    tables = _tables_of(tally, journal, facts)
    write_table(folder / RATES_NAME, RATES, tables.rate_rows)
    write_table(folder / EFFECTS_NAME, EFFECTS, tables.all_effect_rows)
    for name, columns, rows in (
        (RECIPES_NAME, RECIPES, tables.recipe_rows),
        (DID_NAME, DID, tables.did_rows),
        (RECIPE_DIFFERENCES_NAME, RECIPE_DIFFERENCES, tables.recipe_difference_rows),
    ):
        if rows:
            write_table(folder / name, columns, rows)
        else:
            (folder / name).unlink(missing_ok=True)
    return tables


def write_labelled_tables(tables: Tables, folder: Path) -> None:
    """Write the CSVs of a run that rest on labels, and delete those that it no longer has."""
    for name, columns, rows in (
        (CORRECTED_NAME, CORRECTED, tables.corrected_rows),
        (CORRECTED_EFFECTS_NAME, CORRECTED_EFFECTS, tables.corrected_effect_rows or None),
        (SCORE_CALIBRATION_NAME, SCORE_CALIBRATION, tables.score_rows or None),
    ):
        if rows is None:
            (folder / name).unlink(missing_ok=True)
        else:
            write_table(folder / name, columns, rows)


def count_tables(journal: Journal, facts: RunFacts) -> Tables:
    """Count a run without writing anything."""
    from evals.scoring.rates.responses import tally_of

    return _tables_of(tally_of(journal, facts), journal, facts)


def _tables_of(tally: Tally, journal: Journal, facts: RunFacts) -> Tables:
    # These load numpy and scipy, which neither the run before them nor responses.csv has a use for.
    from evals.scoring.rates.effects import base_effect_rows, contrast_rows, effect_rows
    from evals.scoring.rates.interactions import interaction_rows
    from evals.scoring.rates.rates import rate_rows
    from evals.scoring.rates.recipes import recipe_difference_rows, recipe_rows

    rates, effects = rate_rows(tally, journal.cells(), facts), effect_rows(tally, facts)
    return Tables(
        rates,
        effects,
        tally.trial_counts(),
        base_rows=base_effect_rows(tally, facts),
        contrast_rows=contrast_rows(tally, facts),
        recipe_rows=recipe_rows(tally, facts, rates),
        did_rows=interaction_rows(tally, facts),
        recipe_difference_rows=recipe_difference_rows(tally, facts),
        _tally=lambda: tally,
    )


def read_tables(
    folder: Path, counts: Sequence[TrialCount], tally: Callable[[], Tally], baseline: str = BASELINE
) -> Tables:
    """The tables as their CSVs in `folder` have them, of effects against `baseline`; what no CSV has is given. Raises
    BadInput where they are not as `write_tables` writes them."""

    def read_any(name: str, columns: Sequence[Column]) -> list[Row]:
        return read_table(folder / name, columns) if (folder / name).exists() else []

    corrected = folder / CORRECTED_NAME
    effects = read_table(folder / EFFECTS_NAME, EFFECTS)
    return Tables(
        read_table(folder / RATES_NAME, RATES),
        [row for row in effects if not row["base"] and row["baseline"] == baseline],
        tuple(counts),
        read_table(corrected, CORRECTED) if corrected.exists() else None,
        [row for row in effects if row["base"]],
        [row for row in effects if not row["base"] and row["baseline"] != baseline],
        read_any(RECIPES_NAME, RECIPES),
        read_any(DID_NAME, DID),
        read_any(RECIPE_DIFFERENCES_NAME, RECIPE_DIFFERENCES),
        read_any(CORRECTED_EFFECTS_NAME, CORRECTED_EFFECTS),
        read_any(SCORE_CALIBRATION_NAME, SCORE_CALIBRATION),
        _tally=tally,
    )


def write_table(path: Path, columns: Sequence[Column], rows: Sequence[Mapping[str, object]]) -> None:
    """Write a table as CSV whose texts no spreadsheet runs, whole or not at all. Numbers are written out in full."""
    with replacing(path) as file:
        file.writelines(_csv_rows(columns, rows))


def write_named_table(path: Path, columns: Sequence[Column], rows: Sequence[Mapping[str, object]]) -> None:
    """The same at a place that the user named. Raises BadInput, and the old file stays."""
    write_whole(path, "".join(_csv_rows(columns, rows)))


def _csv_rows(columns: Sequence[Column], rows: Sequence[Mapping[str, object]]) -> Iterator[str]:
    names = column_names(columns)
    yield csv_row(names)
    yield from (csv_row(row[name] for name in names) for row in rows)


def read_table(path: Path, columns: Sequence[Column]) -> list[Row]:
    """The rows that `write_table` wrote. Raises BadInput where the file is another."""
    with csv_file(path) as file:
        if file.columns != column_names(columns):
            raise BadInput(f"{path}:1: these are not the columns that this version of emeval writes")
        named = [(column.name, _reader_of(column.kind)) for column in columns]
        rows: list[Row] = []
        for line, cells in file.records():
            try:
                rows.append({name: read(cell) for (name, read), cell in zip(named, cells, strict=True)})
            except ValueError as error:
                raise BadInput(f"{path}:{line}: is not a row that emeval writes: {error}") from None
        return rows


def _reader_of(kind: Kind) -> Callable[[str], str | int | float | None]:
    match kind:
        case "number":
            return lambda cell: float(cell) if cell else None
        case "integer":
            return lambda cell: int(cell) if cell else None
        case "text":
            return original_text


def _frame(rows: Sequence[Row], columns: Sequence[Column]) -> pd.DataFrame:
    import pandas as pd

    frame = pd.DataFrame(rows, columns=list(column_names(columns)))
    return frame.astype({column.name: float for column in columns if column.kind == "number"})


def pooled(rates: pd.DataFrame, metrics: Collection[str] | None = None) -> pd.DataFrame:
    """The rows of a rates table over all prompts of a cell: of `metrics`, or of every metric."""
    rows = rates["prompt_id"] == ALL
    return rates[rows if metrics is None else rows & rates["metric"].isin(tuple(metrics))]


def headline(rates: pd.DataFrame) -> pd.DataFrame:
    """The rows of a rates table that `headline_rows` has."""
    rows = pooled(rates)
    suites = label_suites(zip(rows["suite"], rows["metric"], strict=True))
    shown = [is_headline(suite, metric, suites) for suite, metric in zip(rows["suite"], rows["metric"], strict=True)]
    return rows[shown]
