"""probabilities.csv and choices.csv of a run whose letters were read."""

from __future__ import annotations

from pathlib import Path

from evals.plan.manifest import Manifest
from evals.scoring.choices.columns import CHOICES, CHOICES_NAME, PROBABILITIES, PROBABILITIES_NAME
from evals.scoring.rates.rows import Row
from evals.scoring.rates.tables import read_table, write_table
from evals.trials.journal import Journal


def count_letters(manifest: Manifest, folder: Path, journal: Journal, *, writing: bool) -> list[Row]:
    """The rows of probabilities.csv, written into the run's folder with choices.csv if `writing`; none of a run that
    samples answers alone."""
    if manifest.config.read != "logprobs":
        return []
    from evals.scoring.choices.recorded import recorded_choices
    from evals.scoring.choices.rows import choice_row, probability_rows

    choices = recorded_choices(journal.trials_in_plan_order())
    rows = probability_rows(choices, manifest.config.baseline)
    if writing:
        write_table(folder / PROBABILITIES_NAME, PROBABILITIES, rows)
        write_table(folder / CHOICES_NAME, CHOICES, [choice_row(choice) for choice in choices])
    return rows


def read_probabilities(manifest: Manifest, folder: Path) -> list[Row]:
    """The rows of probabilities.csv as it has them. Raises BadInput."""
    return read_table(folder / PROBABILITIES_NAME, PROBABILITIES) if manifest.config.read == "logprobs" else []
