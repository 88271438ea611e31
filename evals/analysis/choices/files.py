"""The files of choices by probability: choices.csv, probabilities.csv, and choices.json (how they were made)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from evals.analysis.choices.asking import AskedChoices
from evals.errors import BadInput
from evals.io.atomic import write_json
from evals.plan.plan import Plan
from evals.plan.provenance import git_revision, now, versions
from evals.scoring.choices.columns import CHOICES, CHOICES_NAME, PROBABILITIES, PROBABILITIES_NAME
from evals.scoring.choices.rows import choice_row
from evals.scoring.rates.tables import write_table
from evals.text import shown_path


def refuse_folder(folder: Path) -> None:
    """Raise BadInput where the files cannot be new ones."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{shown_path(folder)} is there and not empty: give a new folder with --out")


def write_choices(folder: Path, plan: Plan, asked: AskedChoices, rows: Iterable[Mapping[str, object]]) -> None:
    """Write the three files into a new folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{shown_path(folder)}: cannot be made: {error.strerror}") from None
    write_table(folder / CHOICES_NAME, CHOICES, [*map(choice_row, asked.choices)])
    write_table(folder / PROBABILITIES_NAME, PROBABILITIES, [*rows])
    made_with: dict[str, object] = {
        "made": now(),
        "versions": versions(),
        "git_revision": git_revision(),
        "config": json.loads(plan.config.model_dump_json(exclude_defaults=True)),
        "datasets": {name: dataset.sha256 for name, dataset in plan.datasets.items()},
        "urls": asked.urls,
    }
    write_json(folder / "choices.json", made_with)
