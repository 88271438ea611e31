"""How rare a hit is in each cell of a run: one in how many answers, and the chance of one among several."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np

from evals.errors import BadInput
from evals.io.columns import Column
from evals.plan.manifest import Manifest
from evals.scoring.rates.columns import METRIC, PLACE, TRIGGER, K, N
from evals.scoring.rates.rows import Row, headline_rows, is_of_one_question, pooled_rows
from evals.scoring.rates.tables import Tables
from evals.statistics.intervals import Interval
from evals.statistics.rare.any_of import AnyOf, any_of
from evals.text import one_line
from evals.trials.prompt import ALL

DRAWS = (1, 10, 100, 1000)
RARITY = (
    *PLACE,
    TRIGGER,
    METRIC,
    K,
    N,
    Column("questions", "integer", "questions with an answer in n"),
    Column("draws", "integer", "answers drawn to one question"),
    Column(
        "chance",
        "number",
        "the chance of at least one hit among them, from 0 to 1: the mean over questions, for one draw the rate; blank "
        "where a question has fewer answers",
    ),
    Column("gen_low", "number", "lower end of its 95% interval for new answers to the same questions"),
    Column("gen_high", "number", "its upper end"),
    Column("ci_low", "number", "lower end of its 95% interval for questions like these; blank for one question"),
    Column("ci_high", "number", "its upper end"),
)
"""The columns that `emeval rare --csv` writes."""
_PLACE = ("suite", "format", "model", "condition", "trigger", "metric")


class Rarity(NamedTuple):
    """A cell of a run: its row of rates.csv over all prompts, the least answers that one of its `questions` has, and
    for each number of draws the chance of a hit among them, None where a question has fewer answers. Questions without
    an answer are not among them."""

    row: Row
    questions: int
    least_answers: int
    chances: dict[int, AnyOf | None]


def rarities(manifest: Manifest, tables: Tables, draws: Sequence[int] = (), metric: str = "") -> list[Rarity]:
    """The rarity of hits in each cell with answers: of the headline metrics, or of `metric`.

    Without `draws`, those of DRAWS that some cell has the answers for. Raises BadInput for a metric that the run has no
    rates of, and for a run that was stopped by what it found.
    """
    if manifest.config.rule is not None:
        raise BadInput("the run stopped sampling by what it had found (--until): what comes next is not like it")
    rows = pooled_rows(tables.rate_rows, [metric]) if metric else headline_rows(tables.rate_rows)
    if metric and not rows:
        known = ", ".join(dict.fromkeys(row["metric"] for row in pooled_rows(tables.rate_rows)))
        raise BadInput(f"--metric: the run has no rates of {one_line(metric, 60)!r}; it has {one_line(known, 400)}")
    questions: dict[tuple[Any, ...], list[Row]] = {}
    for row in tables.rate_rows:
        if row["prompt_id"] != ALL and row["n"]:
            questions.setdefault(_place(row), []).append(row)
    least = {_place(row): min((found["n"] for found in questions.get(_place(row), [])), default=0) for row in rows}
    most = max(least.values(), default=0)
    chosen = draws or [number for number in DRAWS if number <= max(most, 1)]
    return [_rarity(row, questions[_place(row)], chosen) for row in rows if row["n"]]


def _rarity(row: Row, questions: Sequence[Row], draws: Sequence[int]) -> Rarity:
    hits = np.array([question["k"] for question in questions], dtype=np.int64)
    counted = np.array([question["n"] for question in questions], dtype=np.int64)
    chances = {number: any_of(hits, counted, number) if number > 1 else _of_one(row) for number in draws}
    return Rarity(row, len(questions), int(counted.min()), chances)


def _of_one(row: Row) -> AnyOf:
    """The rate itself, with its own intervals."""
    same = Interval(row["gen_low"], row["gen_high"], "")
    new = None if is_of_one_question(row) else Interval(row["ci_low"], row["ci_high"], row["ci_method"])
    return AnyOf(1, row["rate"], same, new)


def _place(row: Row) -> tuple[Any, ...]:
    return tuple(row[name] for name in _PLACE)


def rarity_rows(cells: Sequence[Rarity]) -> list[Row]:
    """A row of RARITY for each cell and number of draws."""
    return [_row(cell, draws, chance) for cell in cells for draws, chance in cell.chances.items()]


def _row(cell: Rarity, draws: int, chance: AnyOf | None) -> Row:
    same = chance and chance.same_questions
    new = chance and chance.new_questions
    return {name: cell.row[name] for name in (*_PLACE, "run_id", "k", "n")} | {
        "questions": cell.questions,
        "draws": draws,
        "chance": chance and chance.chance,
        "gen_low": same and same.low,
        "gen_high": same and same.high,
        "ci_low": new and new.low,
        "ci_high": new and new.high,
    }
