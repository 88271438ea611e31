"""What models say of themselves against what they do: a point for each model and condition, a panel for each suite."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from evals.analysis.say_do import say_do_rows
from evals.numbers import counted, percent_range, share_words
from evals.reporting.figures.drawing.encodings import colour_of, shape_of
from evals.reporting.figures.drawing.figure import Drawable, Panel, sentences, tips, values
from evals.reporting.figures.drawing.frames import (
    METRIC_WORDS,
    condition_labels,
    in_order,
    place_words,
    run_id,
    series_in,
    slug,
    with_series,
)
from evals.reporting.figures.drawing.theme import MOST_MODELS, NEUTRAL, Canvas
from evals.runner.count import Counted

_SAYS = "says it is misaligned"
_HEIGHT = 24.0  # in bars


def say_do_panels(runs: Sequence[Counted]) -> list[Panel]:
    """A panel for each suite and format whose misconduct is measured in a run that asks the models of themselves."""
    rows = [
        row | {"run": number, "run_id": run_id(run)}
        for number, run in enumerate(runs)
        for row in say_do_rows(run)
        if row["about"] == "all" and row["say_n"] and row["do_n"]
    ]
    if not rows:
        return []
    frame = with_series(pd.DataFrame(rows), runs)
    panels: list[Panel] = []
    for place, group in frame.groupby(["suite", "format", "metric"], sort=False):
        suite, fmt, metric = (str(part) for part in place)
        shown = series_in(group, runs)
        for start in range(0, len(shown), MOST_MODELS):
            few = shown[start : start + MOST_MODELS]
            view = _Scatter(group[group["series"].isin(few)].reset_index(drop=True), tuple(few), metric)
            is_part = len(few) < len(shown)
            heading = place_words(suite, fmt) + (f", models {start + 1} to {start + len(few)}" if is_part else "")
            key = slug(suite, fmt, f"{start // MOST_MODELS + 1}" if is_part else "")
            panels.append(Panel(key, heading, view.caption(), view.data(), view.draw, view.numbers()))
    return panels


@dataclass(frozen=True)
class _Scatter:
    """The points of one suite and format. Intervals are for questions like these, or where one question shows nothing
    of others for new answers to it."""

    rows: pd.DataFrame
    series: tuple[str, ...]
    metric: str

    def data(self) -> pd.DataFrame:
        return self.rows.drop(columns=["run", "series", "about"])

    def draw(self, canvas: Canvas) -> Drawable:
        treatments = condition_labels(self.rows)
        points = pd.DataFrame(
            {
                "series": self.rows["series"],
                "treatment": self.rows["condition"].map(treatments),
                "say": self.rows["say_rate"],
                "do": self.rows["do_rate"],
                "said": [self._words(row, "say") for row in self.rows.to_dict("records")],
                "done": [self._words(row, "do") for row in self.rows.to_dict("records")],
            }
        )
        for name in ("say", "do"):
            for end in ("low", "high"):
                best = self.rows[f"{name}_ci_{end}"].astype(float)
                points[f"{name}_{end}"] = best.fillna(self.rows[f"{name}_gen_{end}"].astype(float))
        axis = alt.Axis(format=".0%", values=[0, 0.25, 0.5, 0.75, 1])
        scale = alt.Scale(domain=[-0.03, 1.03], nice=False)
        x = alt.X("say:Q", title=_SAYS, scale=scale, axis=axis)
        y = alt.Y("do:Q", title=METRIC_WORDS[self.metric], scale=scale, axis=axis)
        colour = colour_of({name: treatments[name] for name in in_order(self.rows["condition"])}, canvas)
        base = alt.Chart(values(points))
        diagonal = alt.Chart(alt.InlineData(values=[{"say": 0, "do": 0}, {"say": 1, "do": 1}]))
        dots = base.mark_point(filled=True, opacity=1, size=1.6 * canvas.point).encode(
            x=x,
            y=y,
            color=colour,
            tooltip=tips(("series", "model"), ("treatment", "condition"), ("said", "says"), ("done", "does")),
        )
        layers = [
            diagonal.mark_line(color=NEUTRAL, strokeDash=[4, 3], strokeWidth=canvas.line).encode(x=x, y=y),
            base.mark_rule(strokeWidth=canvas.line).encode(
                x=alt.X("say_low:Q", title=_SAYS), x2=alt.X2("say_high"), y=y, color=colour
            ),
            base.mark_rule(strokeWidth=canvas.line).encode(
                x=x, y=alt.Y("do_low:Q", title=METRIC_WORDS[self.metric]), y2=alt.Y2("do_high"), color=colour
            ),
            dots.encode(shape=shape_of(self.series, canvas)) if len(self.series) > 1 else dots,
        ]
        return alt.LayerChart(layer=layers).properties(width=canvas.width, height=_HEIGHT * canvas.bar)

    def caption(self) -> str:
        one = len(self.series) == 1
        who = "a model says of itself" if one else f"{counted(len(self.series), 'model')} say of themselves"
        return sentences(
            [
                f"What {who} (self_report) against {METRIC_WORDS[self.metric]} in this suite, by condition, with 95% "
                "intervals for new questions.",
                "On the dashed line both shares are equal.",
            ]
        )

    def numbers(self) -> list[str]:
        return [
            f"{row['series']}, {row['condition']}: says {self._words(row, 'say')}; does {self._words(row, 'do')}"
            for row in self.rows.to_dict("records")
        ]

    def _words(self, row: dict[Any, Any], name: str) -> str:
        kind = "ci" if pd.notna(row[f"{name}_ci_low"]) else "gen"
        interval = percent_range(row[f"{name}_{kind}_low"], row[f"{name}_{kind}_high"])
        return f"{share_words(row[f'{name}_rate'], row[f'{name}_k'], row[f'{name}_n'])}, 95% interval {interval}"
