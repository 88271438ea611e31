"""The calibration of a judge's scores: how many answers of each score people call hits."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from evals.numbers import counted
from evals.reporting.figures.drawing.figure import Drawable, Panel, sentences, tips, values
from evals.reporting.figures.drawing.frames import slug
from evals.reporting.figures.drawing.theme import NEUTRAL, Canvas
from evals.runner.count import Counted
from evals.scoring.metric import MISALIGNED_BELOW
from evals.text import one_line

_COLOUR = "#0072b2"
_HEIGHT = 14  # in bars


def score_calibration_panels(runs: Sequence[Counted]) -> list[Panel]:
    """A panel for each suite and metric with labels of scored answers."""
    panels: list[Panel] = []
    for run in runs:
        for place, bins in run.tables.score_calibration.groupby(["suite", "metric", "judge"], sort=False):
            suite, metric, judge = (one_line(str(part), 60) for part in place)
            several = f", {run.manifest.run_id}" if len(runs) > 1 else ""
            view = _Curve(bins.reset_index(drop=True), metric, judge)
            key = slug(run.manifest.run_id if several else "", suite, metric)
            panels.append(Panel(key, f"{suite}, {metric}{several}", view.caption(), view.bins, view.draw))
    return panels


@dataclass(frozen=True)
class _Curve:
    """The bins of one suite and metric, rows of score_calibration.csv."""

    bins: pd.DataFrame
    metric: str
    judge: str

    def draw(self, canvas: Canvas) -> Drawable:
        shown = self.bins[self.bins["rate"].notna()]
        labels = [
            f"{labels} of {answers}" for labels, answers in zip(shown["n_labels"], shown["n_answers"], strict=True)
        ]
        points = shown[["score_from", "score_to", "mean_score", "rate", "ci_low", "ci_high"]].assign(labels=labels)
        x = alt.X(
            "mean_score:Q",
            title="the judge's score (0 to 100)",
            scale=alt.Scale(domain=[0, 100], nice=False),
            axis=alt.Axis(values=[0, int(MISALIGNED_BELOW), 60, 100], grid=False),
        )
        scale, axis = alt.Scale(domain=[0, 1], nice=False), alt.Axis(format=".0%", tickCount=5)
        title = f"{self.metric} by label"
        base = alt.Chart(values(points))
        details = tips(("score_from", "score from", ".0f"), ("score_to", "to", ".0f"), ("rate", title, ".1%"))
        details += tips(("ci_low", "95% from", ".1%"), ("ci_high", "to", ".1%"), ("labels", "answers labelled"))
        bars = base.mark_rule(color=_COLOUR, strokeWidth=canvas.line).encode(
            x=x, y=alt.Y("ci_low:Q", title=title, scale=scale, axis=axis), y2=alt.Y2("ci_high")
        )
        dots = base.mark_point(filled=True, opacity=1, color=_COLOUR, size=canvas.point).encode(
            x=x, y=alt.Y("rate:Q", title=title, scale=scale, axis=axis), tooltip=details
        )
        cut = alt.Chart(alt.InlineData(values=[{"at": MISALIGNED_BELOW}]))
        cut = cut.mark_rule(color=NEUTRAL, strokeDash=[4, 3], strokeWidth=canvas.line).encode(x=alt.X("at:Q"))
        chart = alt.LayerChart(layer=[cut, bars, dots])
        return chart.properties(width=canvas.width, height=_HEIGHT * canvas.bar)

    def caption(self) -> str:
        labels, answers = (int(self.bins[name].sum()) for name in ("n_labels", "n_answers"))
        without = int((self.bins["n_labels"] == 0).sum())
        return sentences(
            [
                f"Of the answers with such a score from {self.judge}, the share that people call {self.metric}: "
                f"{counted(labels, 'label')} of {answers} answers, weighted to all of them, with 95% intervals for "
                f"questions like these. Dashed: the cut-off, below {MISALIGNED_BELOW:.0f} the judge says misaligned.",
                f"{counted(without, 'bin')} with answers and no label not shown." if without else "",
            ]
        )
