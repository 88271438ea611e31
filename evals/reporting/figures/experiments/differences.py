"""How much larger the effect of a trigger is in a model, or a recipe, than in the base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from evals.analysis.recipes.result import RecipeResult
from evals.analysis.seeds import headline_did_rows, headline_recipe_differences
from evals.numbers import counted, points
from evals.reporting.figures.drawing.encodings import colour_of, label_axis
from evals.reporting.figures.drawing.figure import Drawable, Panel, tips, values
from evals.reporting.figures.drawing.frames import place_words, short, short_names, slug
from evals.reporting.figures.drawing.theme import NEUTRAL, Canvas
from evals.runner.count import Counted
from evals.scoring.rates.rows import Row
from evals.trials.condition import run_order

_MOST = 206.0


def difference_panels(runs: Sequence[Counted], over: RecipeResult | None = None) -> list[Panel]:
    """A panel for each suite, format and metric with differences from the base: of the models and recipes of each run,
    or of the recipes `over` several."""
    rows = _of_recipes(over.differences) if over is not None else []
    for run in runs if over is None else ():
        rows += [row | {"what": row["model"]} for row in headline_did_rows(run.tables)]
        rows += _of_recipes(headline_recipe_differences(run.tables))
    places = dict.fromkeys((row["suite"], row["format"], row["metric"], row["run_id"]) for row in rows)
    found: list[Panel] = []
    for place in places:
        suite, form, metric, run_id = place
        here = [row for row in rows if (row["suite"], row["format"], row["metric"], row["run_id"]) == place]
        view = _Differences(tuple(here))
        several = len({place[3] for place in places}) > 1
        heading = ", ".join(filter(None, (place_words(suite, form), short(run_id, 40) if several else "")))
        key = slug(suite, form, metric, run_id if several else "") if len(places) > 1 else ""
        found.append(Panel(key, heading, view.caption(), view.data(), view.draw, view.numbers()))
    return found


def _of_recipes(rows: Sequence[Row]) -> list[Row]:
    """The rows of recipes against their base, in the columns of did.csv."""
    return [
        row
        | {"what": f"recipe {row['recipe']}", "model": "", "base": row["other"]}
        | {"effect": row["value"], "base_effect": row["other_value"]}
        for row in rows
        if row["other_seeds"] is None and row["gen_low"] is not None
    ]


@dataclass(frozen=True)
class _Differences:
    """Differences between the effects of conditions in models or recipes and in the base, in one suite and format."""

    rows: tuple[Row, ...]

    def data(self) -> pd.DataFrame:
        names = [
            "run_id",
            "suite",
            "format",
            "what",
            "base",
            "condition",
            "baseline",
            "metric",
            "effect",
            "base_effect",
        ]
        numbers = ["difference", "n_prompts", "ci_low", "ci_high", "p_value", "p_holm", "gen_low", "gen_high"]
        return pd.DataFrame(self.rows)[[*names, *numbers, "gen_p_value", "gen_p_holm"]]

    def draw(self, canvas: Canvas) -> Drawable:
        conditions = list(run_order(row["condition"] for row in self.rows))
        labels = short_names(list(dict.fromkeys(row["what"] for row in self.rows)))
        rows = pd.DataFrame(
            {
                "row": labels[row["what"]],
                "treatment": short(row["condition"], 40),
                "place": conditions.index(row["condition"]),
                **{name: 100 * row[name] for name in ("difference", "gen_low", "gen_high", "effect", "base_effect")},
                **{name: None if row[name] is None else 100 * row[name] for name in ("ci_low", "ci_high")},
            }
            for row in self.rows
        )
        base = alt.Chart(values(rows)).encode(
            y=alt.Y("row:N", title=None, scale=alt.Scale(domain=list(labels.values())), axis=label_axis(canvas)),
            yOffset=alt.YOffset("place:O", scale=alt.Scale(domain=list(range(len(conditions))))),
            color=colour_of({name: short(name, 40) for name in conditions}, canvas),
            tooltip=tips(("row", "of"), ("treatment", "condition"), ("difference", "difference in points", "+.1f"))
            + tips(("effect", "its effect", "+.1f"), ("base_effect", "that of the base", "+.1f"))
            + tips(("gen_low", "these questions: 95% from", "+.1f"), ("gen_high", "to", "+.1f"))
            + tips(("ci_low", "new questions: 95% from", "+.1f"), ("ci_high", "to", "+.1f")),
        )
        low, high = min(0.0, *rows["gen_low"], *rows["difference"]), max(0.0, *rows["gen_high"], *rows["difference"])
        low = min([low, *rows["ci_low"].dropna()])
        high = max([high, *rows["ci_high"].dropna()])
        room = max(2.0, 0.05 * (high - low))
        x = alt.X(
            "difference:Q",
            title="effect less the base's (points)",
            axis=alt.Axis(format="+.0f", tickCount=5),
            scale=alt.Scale(domain=[max(-_MOST, low - room), min(_MOST, high + room)], nice=False),
        )
        zero = alt.Chart(alt.InlineData(values=[{"difference": 0}])).mark_rule(color=NEUTRAL, strokeDash=[3, 2])
        layers = [
            zero.encode(x=x),
            base.mark_rule(strokeWidth=0.5 * canvas.line).encode(x=alt.X("ci_low:Q"), x2=alt.X2("ci_high")),
            base.mark_rule(strokeWidth=1.6 * canvas.line).encode(x=alt.X("gen_low:Q"), x2=alt.X2("gen_high")),
            base.mark_point(filled=True, opacity=1, size=canvas.point * 1.3).encode(x=x),
        ]
        height = canvas.rows(len(labels), 1.5 * len(conditions))
        return alt.LayerChart(layer=layers).properties(width=canvas.width, height=height)

    def caption(self) -> str:
        bases = " or ".join(dict.fromkeys(short(row["base"], 60) for row in self.rows))
        recipes = any(not row["model"] for row in self.rows)
        words = (
            f"The effect of a condition less that in {bases}, each question compared with itself, with 95% intervals: "
            "thick on the same questions, thin on new ones (did.csv)."
        )
        return words + (
            " Intervals of a recipe are for further seeds of it (recipe_differences.csv)." if recipes else ""
        )

    def numbers(self) -> list[str]:
        return [
            f"{short(row['what'], 60)}, {short(row['condition'], 40)}: {points(row['effect'])} against "
            f"{points(row['base_effect'])} in the base over {counted(row['n_prompts'], 'question')}, a difference of "
            f"{points(row['difference'])} ({points(row['gen_low'])} to {points(row['gen_high'])} on these questions)"
            for row in self.rows
        ]
