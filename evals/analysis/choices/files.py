"""The files of choices by probability: choices.csv, probabilities.csv, and choices.json (how they were made)."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path

from evals.analysis.choices.asking import AskedChoices
from evals.analysis.choices.cells import ChoiceCell, ChoiceEffect, ReadChoice
from evals.errors import BadInput
from evals.io.atomic import write_json, write_rows
from evals.plan.plan import Plan
from evals.plan.provenance import git_revision, now, versions
from evals.text import shown_path
from judges.rules.letter_probability import LetterProbability

CHOICE_COLUMNS = (
    *("suite", "model", "condition", "trigger", "prompt_id", "variant", "repeat", "misaligned_letter"),
    *("probability_low", "probability_high", "log_odds", "letters", "unread", "thought"),
)
CELL_COLUMNS = (
    *("suite", "model", "condition", "trigger", "probability_low", "probability_high", "ci_low", "ci_high"),
    *("log_odds", "log_odds_low", "log_odds_high", "n_log_odds", "letters", "n_questions", "n_asked", "n_unread"),
    *("n_failed", "n_bounds", "n_thoughts", "n_turned", "baseline", "effect", "effect_low", "effect_high", "n_effect"),
)


def refuse_folder(folder: Path) -> None:
    """Raise BadInput where the files cannot be new ones."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise BadInput(f"{shown_path(folder)} is there and not empty: give a new folder with --out")


def cell_rows(cells: Iterable[ChoiceCell], effects: Iterable[ChoiceEffect]) -> list[dict[str, object]]:
    """The rows of probabilities.csv; None is a blank cell."""
    found = {effect.key: effect for effect in effects}
    return [_cell_row(cell, found.get(cell.key)) for cell in cells]


def write_choices(folder: Path, plan: Plan, asked: AskedChoices, rows: Iterable[Mapping[str, object]]) -> None:
    """Write the three files into a new folder."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{shown_path(folder)}: cannot be made: {error.strerror}") from None
    write_rows(folder / "choices.csv", CHOICE_COLUMNS, map(_choice_row, asked.choices))
    write_rows(folder / "probabilities.csv", CELL_COLUMNS, rows)
    made_with: dict[str, object] = {
        "made": now(),
        "versions": versions(),
        "git_revision": git_revision(),
        "config": json.loads(plan.config.model_dump_json(exclude_defaults=True)),
        "datasets": {name: dataset.sha256 for name, dataset in plan.datasets.items()},
        "urls": asked.urls,
    }
    write_json(folder / "choices.json", made_with)


def _choice_row(choice: ReadChoice) -> dict[str, object]:
    trial, read = choice.trial, choice.read
    letters = read if isinstance(read, LetterProbability) else None
    return {
        "suite": trial.suite,
        "model": trial.model,
        "condition": trial.condition,
        "trigger": trial.trigger,
        "prompt_id": trial.prompt_id,
        "variant": trial.variant,
        "repeat": trial.repeat,
        "misaligned_letter": trial.options.misaligned_letter if trial.options else "",
        "probability_low": letters and letters.low,
        "probability_high": letters and letters.high,
        "log_odds": letters and letters.log_odds,
        "letters": letters and letters.letters,
        "unread": read if isinstance(read, str) else "",
        "thought": choice.thought,
    }


def _cell_row(cell: ChoiceCell, effect: ChoiceEffect | None) -> dict[str, object]:
    key, interval, log_odds = cell.key, cell.interval, cell.log_odds
    difference = effect and effect.difference
    return {
        "suite": key.suite,
        "model": key.model,
        "condition": key.condition,
        "trigger": key.trigger,
        "probability_low": cell.low,
        "probability_high": cell.high,
        "ci_low": interval and interval.low,
        "ci_high": interval and interval.high,
        "log_odds": log_odds and log_odds.mean,
        "log_odds_low": log_odds and log_odds.low,
        "log_odds_high": log_odds and log_odds.high,
        "n_log_odds": log_odds.questions if log_odds else 0,
        "letters": cell.letters,
        "n_questions": cell.questions,
        "n_asked": cell.asked,
        "n_unread": cell.unread,
        "n_failed": cell.failed,
        "n_bounds": cell.bounds,
        "n_thoughts": cell.thoughts,
        "n_turned": cell.turned,
        "baseline": effect.baseline if effect else "",
        "effect": difference and difference.mean,
        "effect_low": difference and difference.low,
        "effect_high": difference and difference.high,
        "n_effect": difference.questions if difference else 0,
    }
