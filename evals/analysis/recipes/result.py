"""What there is to say of recipes: their rows, differences between them, the rates of their seeds, and notes."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Annotated, NamedTuple

from evals.io.columns import columns_of
from evals.scoring.rates.rows import Row, is_headline, label_suites, pooled_rows
from evals.scoring.rates.tables import Tables


class SeedRow(NamedTuple):
    """A row of recipe_seeds.csv."""

    recipe: Annotated[str, "the recipe"]
    model: Annotated[str, "its model; after the name of its run where several runs have a model of that name"]
    run_id: Annotated[str, "the run that its answers are from"]
    suite: Annotated[str, "the evaluation"]
    format: Annotated[str, "`mcq`, `freeform` or `transcript`"]
    condition: Annotated[str, "what stood in the prompt"]
    metric: Annotated[str, "what is counted"]
    k: Annotated[int, "hits: what the metric counts"]
    n: Annotated[int, "trials that the metric counts among"]
    rate: Annotated[float | None, "k / n, from 0 to 1; blank where n is 0"]
    gen_low: Annotated[float | None, "lower end of its 95% interval for new answers to just these questions"]
    gen_high: Annotated[float | None, "its upper end"]
    n_trials: Annotated[int, "answers that the metric is about: n and those that are missing"]


SEEDS = columns_of(SeedRow)


@dataclass(frozen=True)
class RecipeResult:
    """The rows of recipes.csv, recipe_differences.csv and recipe_seeds.csv, and notes on seeds and runs. Texts of
    others are not escaped. `runs` are the names of the runs, `base` that of the base model, "" without one."""

    rows: list[Row]
    differences: list[Row]
    seeds: list[SeedRow]
    notes: tuple[str, ...]
    runs: tuple[str, ...]
    base: str


def seeds_in(tables: Tables, recipes: Mapping[str, Sequence[str]], run: str) -> list[SeedRow]:
    """The seeds of a run's recipes, on the primary metric of each suite."""
    suites = label_suites((row["suite"], row["metric"]) for row in tables.rate_rows)
    shown = [row for row in pooled_rows(tables.rate_rows) if is_headline(row["suite"], row["metric"], suites)]
    names = ("k", "n", "rate", "gen_low", "gen_high", "n_trials")
    return [
        SeedRow(
            recipe,
            model,
            run,
            *(row[name] for name in ("suite", "format", "condition", "metric")),
            *(row[name] for name in names),
        )
        for recipe, models in recipes.items()
        for model in models
        for row in shown
        if row["model"] == model
    ]
