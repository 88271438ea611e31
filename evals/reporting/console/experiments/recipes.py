"""The recipes of a run, printed below its matrix: rates and effects over finetuning seeds."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from evals.analysis.seeds import headline_recipe_rows, seed_notes
from evals.numbers import counted
from evals.plan.manifest import Manifest
from evals.reporting.console.layout.grid import Cell, GridRow, grid_lines
from evals.reporting.console.layout.words import short_change, short_percent
from evals.reporting.console.markup import LONG, plain
from evals.scoring.rates.rows import Row
from evals.scoring.rates.tables import Tables

_RIGHT = frozenset((column, part) for column in range(9) for part in (1, 3))
"""The parts of a cell that are aligned to the right: rate and effect."""
_DASH, _VS_BASE = "–", "vs base"


def print_recipes(console: Console, manifest: Manifest, tables: Tables) -> None:
    """Print a line for each recipe, format and suite, then what its intervals are of and what is wrong with its seeds.
    Nothing without a recipe."""
    rows = headline_recipe_rows(tables)
    if rows:
        print_recipe_rows(console, rows, list(seed_notes(manifest, tables)))


def print_recipe_rows(console: Console, rows: Sequence[Row], notes: Sequence[str]) -> None:
    """The same for rows of recipes.csv. Texts of others are escaped here."""
    for line in grid_lines(_grid_rows(rows), console.width, _RIGHT):
        console.print(line, markup=False, no_wrap=True, crop=False)
    if any(row["gen_low"] is not None for row in rows):
        questions = "the same question" if all(row["questions"] == 1 for row in rows) else "new questions"
        console.print(
            plain(f"recipe: mean over its seeds; [low, high]: 95% interval for further seeds and {questions}."),
            style="dim",
        )
    for text in notes:
        console.print(f"[yellow]{plain(text, LONG)}[/yellow]")


def _grid_rows(rows: Sequence[Row]) -> list[GridRow]:
    places: dict[tuple[str, ...], dict[str, Row]] = {}
    for row in rows:
        place = (row["recipe"], row["suite"], row["format"], row["metric"])
        places.setdefault(place, {})[row["condition"]] = row
    conditions = list(dict.fromkeys(row["condition"] for row in rows))
    has_base = any(row["base"] for row in rows)
    suites, metrics = {row["suite"] for row in rows}, {row["metric"] for row in rows}
    return [
        GridRow(
            f"recipe {recipe}",
            (
                counted(max(row["seeds"] for row in here.values()), "seed"),
                form,
                *([suite] if len(suites) > 1 else []),
                *([metric] if len(metrics) > 1 else []),
            ),
            tuple(_cells(here, conditions, has_base=has_base)),
        )
        for (recipe, suite, form, metric), here in places.items()
    ]


def _cells(here: dict[str, Row], conditions: Sequence[str], *, has_base: bool) -> Iterator[Cell]:
    for condition in conditions:
        row = here.get(condition)
        if row is None:
            yield condition, _DASH, "", "", ""
        else:
            change = ("", "") if row["base"] else _change(row)
            yield (condition, short_percent(row["rate"]), _range(row), *change)
    if has_base:
        row = next((row for row in here.values() if row["base"]), None)
        yield (_VS_BASE, "", "", *((_DASH, "") if row is None else _change(row)))


def _range(row: Row) -> str:
    low, high = (row[f"ci_{end}"] if row["ci_low"] is not None else row[f"gen_{end}"] for end in ("low", "high"))
    return "" if low is None else f"[{short_percent(low).removesuffix('%')}, {short_percent(high).removesuffix('%')}]"


def _change(row: Row) -> tuple[str, str]:
    if row["effect"] is None:
        return "", ""
    prefix = "effect_ci" if row["effect_ci_low"] is not None else "effect_gen"
    return short_change(row["effect"], row[f"{prefix}_low"], row[f"{prefix}_high"])
