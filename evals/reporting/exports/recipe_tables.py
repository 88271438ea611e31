"""Recipes over several runs as files: the tables and the figure of `emeval recipes`."""

from __future__ import annotations

from pathlib import Path

import altair as alt

from evals.analysis.recipes.result import SEEDS, RecipeResult
from evals.errors import BadInput
from evals.reporting.figures.drawing.files import write_chart
from evals.reporting.figures.drawing.theme import paper, paper_config
from evals.reporting.figures.experiments.recipes import recipe_panels
from evals.scoring.rates.columns import RECIPE_DIFFERENCES, RECIPES
from evals.scoring.rates.tables import write_named_table
from evals.text import shown_path

_WIDTH = 320.0


def write_recipes(result: RecipeResult, folder: Path) -> tuple[str, ...]:
    """Write the tables and the figure of recipes over several runs into `folder`, and return the names of the files.
    Raises BadInput where they cannot be written."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise BadInput(f"{shown_path(folder)}: cannot be written: {error.strerror}") from None
    write_named_table(folder / "recipes.csv", RECIPES, result.rows)
    write_named_table(folder / "recipe_differences.csv", RECIPE_DIFFERENCES, result.differences)
    write_named_table(folder / "recipe_seeds.csv", SEEDS, [row._asdict() for row in result.seeds])
    charts = [
        panel.draw(paper(_WIDTH, _WIDTH + 150, 3)).properties(title=panel.heading)
        for panel in recipe_panels((), result)
    ]
    own = alt.ScaleResolveMap(color="independent")
    chart = alt.VConcatChart(vconcat=charts, spacing=10, resolve=alt.Resolve(scale=own), config=paper_config())
    write_chart(chart, folder / "recipes.svg")
    return "recipes.csv", "recipe_differences.csv", "recipe_seeds.csv", "recipes.svg"
