"""Recipes: a dot for each finetuning seed, and the recipe's rate with its interval below them."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from evals.analysis.recipes.result import SEEDS, RecipeResult, SeedRow, seeds_in
from evals.analysis.seeds import headline_recipe_rows
from evals.numbers import counted, percent, percent_range
from evals.reporting.figures.drawing.encodings import colour_of, label_axis, rate_axis
from evals.reporting.figures.drawing.figure import Drawable, Panel, tips, values
from evals.reporting.figures.drawing.frames import METRIC_WORDS, place_words, short, slug, unique
from evals.reporting.figures.drawing.theme import Canvas
from evals.runner.count import Counted
from evals.scoring.rates.rows import Row
from evals.trials.condition import run_order


def recipe_panels(runs: Sequence[Counted], over: RecipeResult | None = None) -> list[Panel]:
    """A panel for each suite, format and metric of recipes: those of each run, or those `over` several."""
    if over is not None:
        return _panels(over.rows, over.seeds, "")
    found: list[Panel] = []
    for run in runs:
        name = run.manifest.run_id if len(runs) > 1 else ""
        seeds = seeds_in(run.tables, run.manifest.config.recipes, run.manifest.run_id)
        found += _panels(headline_recipe_rows(run.tables), seeds, name)
    return found


def _panels(rows: Sequence[Row], seeds: Sequence[SeedRow], run: str) -> list[Panel]:
    places = dict.fromkeys((row["suite"], row["format"], row["metric"]) for row in rows)
    return [
        Panel(
            slug(suite, form, metric, run) if len(places) > 1 or run else "",
            ", ".join(filter(None, (place_words(suite, form), short(run, 40) if run else ""))),
            view.caption(),
            view.data(),
            view.draw,
            view.numbers(),
        )
        for suite, form, metric in places
        for view in [_view(metric, rows, seeds, (suite, form, metric))]
    ]


def _view(metric: str, rows: Sequence[Row], seeds: Sequence[SeedRow], place: tuple[str, str, str]) -> _Recipes:
    return _Recipes(
        metric,
        tuple(row for row in rows if (row["suite"], row["format"], row["metric"]) == place and row["n"]),
        tuple(row for row in seeds if (row.suite, row.format, row.metric) == place and row.n),
    )


@dataclass(frozen=True)
class _Recipes:
    """The recipes of one suite, format and metric, and their seeds, of each condition."""

    metric: str
    rows: tuple[Row, ...]
    seeds: tuple[SeedRow, ...]

    def data(self) -> pd.DataFrame:
        seeds = pd.DataFrame(self.seeds, columns=[column.name for column in SEEDS])
        names = ["recipe", "run_id", "suite", "format", "condition", "metric", "k", "n", "rate"]
        recipes = pd.DataFrame(self.rows)[[*names, "ci_low", "ci_high", "gen_low", "gen_high"]]
        return pd.concat([recipes.assign(model=""), seeds], ignore_index=True)

    def draw(self, canvas: Canvas) -> Drawable:
        conditions = list(run_order(row["condition"] for row in self.rows))
        recipes = list(dict.fromkeys(row["recipe"] for row in self.rows))
        labels = dict(zip(recipes, unique(recipes, 28), strict=True))
        lanes = alt.YOffset("place:O", scale=alt.Scale(domain=list(range(2 * len(conditions))), paddingInner=0.2))
        y = alt.Y(
            "recipe:N",
            title=None,
            scale=alt.Scale(domain=list(labels.values()), paddingInner=canvas.padding(2 * len(conditions))),
            axis=label_axis(canvas),
        )
        colour = colour_of({name: short(name, 40) for name in conditions}, canvas)
        x = rate_axis(f"share of {METRIC_WORDS.get(self.metric, short(self.metric, 40))}")
        of_recipe = [
            {
                "recipe": labels[row["recipe"]],
                "treatment": short(row["condition"], 40),
                "place": 2 * conditions.index(row["condition"]) + 1,
                "rate": row["rate"],
                **{name: row[name] for name in ("ci_low", "ci_high", "gen_low", "gen_high")},
                "seeds": row["seeds"],
            }
            for row in self.rows
        ]
        of_seeds = [
            {
                "recipe": labels[row.recipe],
                "treatment": short(row.condition, 40),
                "place": 2 * conditions.index(row.condition),
                "rate": row.rate,
                "seed": short(row.model, 60),
            }
            for row in self.seeds
            if row.recipe in labels
        ]
        base = alt.Chart(values(pd.DataFrame(of_recipe))).encode(y=y, yOffset=lanes, color=colour)
        told = tips(("recipe", "recipe"), ("treatment", "condition"), ("rate", "mean over seeds", ".1%"))
        told += tips(("seeds", "seeds", ".0f"), ("ci_low", "further seeds, new questions: from", ".1%"))
        told += tips(("ci_high", "to", ".1%"), ("gen_low", "same questions: from", ".1%"), ("gen_high", "to", ".1%"))
        dots = alt.Chart(values(pd.DataFrame(of_seeds))).encode(y=y, yOffset=lanes, color=colour, x=x)
        layers = [
            base.mark_rule(strokeWidth=0.5 * canvas.line).encode(x=alt.X("ci_low:Q"), x2=alt.X2("ci_high")),
            base.mark_rule(strokeWidth=1.6 * canvas.line).encode(x=alt.X("gen_low:Q"), x2=alt.X2("gen_high")),
            base.mark_point(filled=True, opacity=1, size=1.5 * canvas.point, shape="diamond").encode(x=x, tooltip=told),
            dots.mark_point(filled=True, opacity=0.7, size=canvas.point).encode(
                tooltip=tips(("seed", "seed"), ("treatment", "condition"), ("rate", "rate", ".1%"))
            ),
        ]
        height = canvas.rows(len(recipes), 2 * len(conditions))
        return alt.LayerChart(layer=layers).properties(width=canvas.width, height=height)

    def caption(self) -> str:
        return (
            "Dots: one finetuning seed each. Diamonds: the mean over a recipe's seeds, with 95% intervals for further "
            "seeds of it, thick on the same questions and thin on new ones (gen_low and ci_low of recipes.csv)."
        )

    def numbers(self) -> list[str]:
        return [
            f"{short(row['recipe'], 40)}, {short(row['condition'], 40)}: {percent(row['rate'])} over "
            f"{counted(row['seeds'], 'seed')} ({percent(row['lowest'])} to {percent(row['highest'])}; {row['k']} of "
            f"{row['n']} answers)" + _interval(row)
            for row in self.rows
        ]


def _interval(row: Row) -> str:
    if row["gen_low"] is None:
        return ", no interval"
    return f", further seeds {percent_range(row['gen_low'], row['gen_high'])} on these questions"
