"""What to know of the recipes of a run before their numbers are used, and of checkpoints that stand for no recipe."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from evals.analysis.unscored import unscored_cells
from evals.numbers import counted, percent
from evals.plan.manifest import Manifest
from evals.scoring.rates.rows import Row, is_headline, label_suites
from evals.scoring.rates.tables import Tables

ENOUGH = 2
"""So many seeds are the fewest whose spread says anything of others."""


def headline_recipe_rows(tables: Tables) -> list[Row]:
    """The rows of recipes.csv on the primary metric of each suite."""
    return _headline(tables, tables.recipe_rows)


def headline_did_rows(tables: Tables) -> list[Row]:
    """The rows of did.csv on the primary metric of each suite."""
    return _headline(tables, tables.did_rows)


def headline_recipe_differences(tables: Tables) -> list[Row]:
    """The rows of recipe_differences.csv on the primary metric of each suite."""
    return _headline(tables, tables.recipe_difference_rows)


def _headline(tables: Tables, rows: Sequence[Row]) -> list[Row]:
    suites = label_suites((row["suite"], row["metric"]) for row in tables.rate_rows)
    return [row for row in rows if is_headline(row["suite"], row["metric"], suites)]


def of_one_checkpoint(manifest: Manifest, tables: Tables) -> str:
    """That rates are of checkpoints and not of recipes, for the models of which the run has no other seed; "" if none.

    The base model is not finetuned here, and stands for nothing but itself.
    """
    config = manifest.config
    several = {model for models in config.recipes.values() if len(models) >= ENOUGH for model in models}
    alone = [model for model in config.models if model not in several and model != config.base_model]
    if not alone or not tables.rate_rows:
        return ""
    which = "The rate of a model outside the recipes" if several else "Each rate" if len(alone) > 1 else "The rate"
    return (
        f"{which} is of this checkpoint, not of the recipe that made it: no interval here says how it changes with the "
        "finetuning seed. --recipe NAME=MODEL,MODEL,... gives a recipe's rate over its seeds."
    )


def seed_notes(manifest: Manifest, tables: Tables) -> Iterator[str]:
    """A line for each thing to know of the seeds in `headline_recipe_rows`. Texts of others are not escaped."""
    over = {cell[:4]: (cell.unscored, cell.trials) for cell in unscored_cells(manifest, tables)}
    config = manifest.config
    yield from notes_on_seeds(headline_recipe_rows(tables), config.recipes, over, config.max_unscored)


def notes_on_seeds(
    rows: Sequence[Row],
    recipes: Mapping[str, Sequence[str]],
    over: Mapping[tuple[str, ...], tuple[int, int]],
    max_unscored: float,
) -> Iterator[str]:
    """The same for rows of recipes.csv. `over` has, by suite, format, model and condition, how many of how many trials
    have no score where that is more than the share `max_unscored`."""
    told: set[str] = set()
    for row in rows:
        where = f"{row['recipe']}, {row['suite']} ({row['format']}), {row['condition']}"
        if row["without_answers"]:
            yield f"recipe {where}: no answer of {row['without_answers']} counts, so it is in no number."
        for model in recipes.get(row["recipe"], ()):
            unscored = over.get((row["suite"], row["format"], model, row["condition"]))
            if unscored is not None and model not in row["without_answers"].split(", "):
                missing = f"{unscored[0]} of {counted(unscored[1], 'trial')} of {model} have no score"
                more = f"more than {percent(max_unscored)}; the recipe's rate is of the others."
                yield f"recipe {where}: {missing}, {more}"
        if row["seeds"] == 1 and row["recipe"] not in told:
            told.add(row["recipe"])
            yield (
                f"recipe {row['recipe']} has answers of one seed: its rate is of this checkpoint, not of the recipe, "
                "and has no interval."
            )
