"""The tables of a report on experiments over several models: recipes over their seeds, differences between effects."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from evals.analysis.recipes.result import RecipeResult
from evals.analysis.seeds import (
    headline_did_rows,
    headline_recipe_differences,
    headline_recipe_rows,
    of_one_checkpoint,
    seed_notes,
)
from evals.numbers import counted, p_words, percent, percent_range, points
from evals.reporting.console.experiments.differences import verdict_words
from evals.reporting.console.experiments.recipe_differences import difference_verdict, pair_words
from evals.runner.count import Counted
from evals.scoring.rates.rows import Row


class RecipeRow(NamedTuple):
    run: str
    recipe: str
    seeds: str
    condition: str
    rate: str
    new: str
    same: str
    suite: str
    metric: str
    against: str
    effect: str
    effect_new: str
    effect_same: str


class DifferenceRow(NamedTuple):
    run: str
    suite: str
    model: str
    base: str
    condition: str
    metric: str
    effect: str
    base_effect: str
    difference: str
    verdict: str
    new: str
    same: str


class RecipeDifferenceRow(NamedTuple):
    run: str
    suite: str
    pair: str
    what: str
    metric: str
    value: str
    other_value: str
    difference: str
    verdict: str
    new: str
    same: str


def recipe_table(runs: Sequence[Counted], over: RecipeResult | None = None) -> list[RecipeRow]:
    """A row for each recipe, format and condition, on the primary metric of a suite: of the recipes of each run, or of
    those `over` several."""
    if over is not None:
        return [_recipe_row(row["run_id"], row) for row in over.rows]
    return [_recipe_row(run.manifest.run_id, row) for run in runs for row in headline_recipe_rows(run.tables)]


def _recipe_row(run: str, row: Row) -> RecipeRow:
    has_effect = row["effect"] is not None
    spread = f"\n({percent(row['lowest'])} to {percent(row['highest'])})" if row["seeds"] > 1 else ""
    return RecipeRow(
        run=run,
        recipe=row["recipe"],
        seeds=counted(row["seeds"], "seed") + spread,
        condition=row["condition"],
        rate=percent(row["rate"]),
        new=percent_range(row["ci_low"], row["ci_high"]),
        same=percent_range(row["gen_low"], row["gen_high"]),
        suite=f"{row['suite']} ({row['format']})",
        metric=row["metric"],
        against=(row["base"] or row["baseline"]) if has_effect else "",
        effect=points(row["effect"]) if has_effect else "",
        effect_new=_tested(row, "effect_ci", "p_holm"),
        effect_same=_tested(row, "effect_gen", "gen_p_holm"),
    )


def difference_table(runs: Sequence[Counted]) -> list[DifferenceRow]:
    """A row for each model and condition whose effect is compared with that in the base."""
    return [_difference_row(run.manifest.run_id, row) for run in runs for row in headline_did_rows(run.tables)]


def _difference_row(run: str, row: Row) -> DifferenceRow:
    return DifferenceRow(
        run=run,
        suite=f"{row['suite']} ({row['format']})",
        model=row["model"],
        base=row["base"],
        condition=f"{row['condition']} against {row['baseline']}",
        metric=row["metric"],
        effect=points(row["effect"]),
        base_effect=points(row["base_effect"]),
        difference=points(row["difference"]),
        verdict=verdict_words(row),
        new=_tested(row, "ci", "p_holm") or "one question",
        same=_tested(row, "gen", "gen_p_holm"),
    )


def recipe_difference_table(runs: Sequence[Counted], over: RecipeResult | None = None) -> list[RecipeDifferenceRow]:
    """A row for each two recipes, and for each recipe and its base, likewise."""
    if over is not None:
        return [_recipe_difference_row(row) for row in over.differences]
    return [_recipe_difference_row(row) for run in runs for row in headline_recipe_differences(run.tables)]


def _recipe_difference_row(row: Row) -> RecipeDifferenceRow:
    effects = bool(row["baseline"])
    value, other = (points(row[name]) if effects else percent(row[name]) for name in ("value", "other_value"))
    return RecipeDifferenceRow(
        run=row["run_id"],
        suite=f"{row['suite']} ({row['format']})",
        pair=pair_words(row),
        what=f"effect of {row['condition']} against {row['baseline']}" if effects else f"rate, {row['condition']}",
        metric=row["metric"],
        value=value,
        other_value=other,
        difference=points(row["difference"]),
        verdict=difference_verdict(row),
        new=_tested(row, "ci", "p_holm"),
        same=_tested(row, "gen", "gen_p_holm"),
    )


def _tested(row: Row, ends: str, p_value: str) -> str:
    if row[f"{ends}_low"] is None:
        return ""
    return f"{points(row[f'{ends}_low'])} to {points(row[f'{ends}_high'])}\np {p_words(row[p_value])}"


def notes_on_seeds(runs: Sequence[Counted], over: RecipeResult | None = None) -> list[str]:
    """What to know of the seeds of recipes, and, once, that rates of checkpoints are none of recipes."""
    if over is not None:
        return [text[0].upper() + text[1:] for text in over.notes]
    return list(dict.fromkeys(_notes(runs)))


def _notes(runs: Sequence[Counted]) -> Iterator[str]:
    for run in runs:
        yield from (text[0].upper() + text[1:] for text in seed_notes(run.manifest, run.tables))
    alone = (of_one_checkpoint(run.manifest, run.tables) for run in runs)
    yield from list(filter(None, alone))[:1]
