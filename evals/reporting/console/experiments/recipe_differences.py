"""Recipes over several runs, and the differences between recipes, printed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from evals.analysis.recipes.result import RecipeResult, SeedRow
from evals.numbers import counted, p_words, percent, points
from evals.reporting.console.experiments.recipes import print_recipe_rows
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.layout.words import server_of_all
from evals.reporting.console.markup import plain
from evals.scoring.rates.rows import Row

_SURE = 0.05


def print_recipe_result(console: Console, result: RecipeResult) -> None:
    """Print the rates of all seeds, the recipes over them, and the differences. Texts of others are escaped here."""
    for suite, form, metric in dict.fromkeys((row.suite, row.format, row.metric) for row in result.seeds):
        here = [row for row in result.seeds if (row.suite, row.format, row.metric) == (suite, form, metric)]
        console.print(_seed_table(f"{suite} ({form}), {metric}", here))
    print_recipe_rows(console, result.rows, result.notes)
    print_recipe_differences(console, result.differences)


def _seed_table(title: str, rows: Sequence[SeedRow]) -> FittedTable:
    conditions = list(dict.fromkeys(row.condition for row in rows))
    server, runs = server_of_all([row.model for row in rows]), {row.run_id for row in rows}
    table = FittedTable(title=plain(title), title_justify="left", title_style="bold")
    for name in ("recipe", "seed", *(["run"] if len(runs) > 1 else [])):
        table.add_column(name, overflow="fold")
    for condition in conditions:
        table.add_column(plain(condition), justify="right")
    rates = {(row.recipe, row.model, row.condition): row for row in rows}
    for recipe, model, run in dict.fromkeys((row.recipe, row.model, row.run_id) for row in rows):
        found = [rates.get((recipe, model, condition)) for condition in conditions]
        cells = ["–" if row is None else _rate_words(row) for row in found]
        name = plain(model.removeprefix(server))
        table.add_row(plain(recipe), name, *([plain(run)] if len(runs) > 1 else []), *cells)
    return table


def _rate_words(row: SeedRow) -> str:
    return f"{percent(row.rate)} ({row.k}/{row.n})" if row.n else "no rate"


def print_recipe_differences(console: Console, rows: Sequence[Row]) -> None:
    """Print a paragraph for each row of recipe_differences.csv: both values, their difference, and what it shows.
    Nothing without a row."""
    if not rows:
        return
    console.print("[bold]How recipes differ[/bold]")
    for row in rows:
        console.print(f"[bold]{plain(pair_words(row))}[/bold] · {plain(place_words(row))}")
        console.print(f"  {plain(recipe_difference_words(row))}")
    console.print(
        "Differences in points, each question compared with itself; intervals are for further seeds of a recipe. p "
        "after Holm over the rates, or the effects, of a metric.",
        style="dim",
    )


def pair_words(row: Row) -> str:
    """The two that are compared: `insecure, secure`, or a recipe and its base."""
    return f"{row['recipe']} less {row['other']}" + ("" if row["other_seeds"] is not None else " (base)")


def place_words(row: Row) -> str:
    """Where they differ: the suite, and the rate under a condition or its effect."""
    what = f"effect of {row['condition']} against {row['baseline']}" if row["baseline"] else f"rate, {row['condition']}"
    return f"{row['suite']} ({row['format']}), {what}, {row['metric']}"


def recipe_difference_words(row: Row) -> str:
    """A row of recipe_differences.csv in a sentence."""
    seeds = counted(row["seeds"], "seed")
    others = "" if row["other_seeds"] is None else f" ({counted(row['other_seeds'], 'seed')})"
    ours, theirs = (_value_words(row, name) for name in ("value", "other_value"))
    values = f"{ours} ({seeds}) against {theirs}{others}"
    text = (
        f"{difference_verdict(row)}: {values} over {counted(row['n_prompts'], 'question')}, a difference of "
        f"{points(row['difference'])} points"
    )
    if row["gen_low"] is None:
        return f"{text}; one seed says nothing of others."
    same = f"{points(row['gen_low'])} to {points(row['gen_high'])}, p {p_words(row['gen_p_holm'])}"
    text = f"{text} (95% interval, same questions: {same}"
    if row["ci_low"] is None:
        return f"{text}); one question says nothing of others."
    new = f"{points(row['ci_low'])} to {points(row['ci_high'])}, p {p_words(row['p_holm'])}"
    return f"{text}; new questions: {new})."


def difference_verdict(row: Row) -> str:
    """What the difference shows on these questions. No difference shown is not none."""
    if row["gen_p_holm"] is None or row["gen_p_holm"] >= _SURE:
        return "no difference shown"
    higher, lower = ("larger", "smaller") if row["baseline"] else ("higher", "lower")
    return higher if row["difference"] > 0 else lower


def _value_words(row: Row, name: str) -> str:
    return f"{points(row[name])} points" if row["baseline"] else percent(row[name])
