"""What `emeval curve` and `emeval variants` have left in a run folder, as panels of its report.

A table that was made of other answers than the run has now is not shown: its counts have to be those of the run.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import Any

import altair as alt
import pandas as pd

from evals.analysis.curve.result import CURVE
from evals.analysis.curve.steps import step_name
from evals.analysis.variants.measured import VARIANTS
from evals.errors import BadInput
from evals.io.columns import Column
from evals.numbers import p_words, percent, points
from evals.reporting.figures.drawing.encodings import colour_of, label_axis, legend, rate_axis
from evals.reporting.figures.drawing.figure import Drawable, Panel, tips, values
from evals.reporting.figures.drawing.frames import METRIC_WORDS, place_words, short, slug, unique
from evals.reporting.figures.drawing.theme import MODEL_COLOURS, Canvas
from evals.runner.count import Counted
from evals.scoring.rates.rows import Row, pooled_rows
from evals.scoring.rates.tables import read_table
from evals.trials.condition import run_order

_HEIGHT = 150
_OFF, _OTHER = "off", "not said"


def curve_panels(runs: Sequence[Counted]) -> list[Panel]:
    """A panel for each suite, format and metric of curve.csv in the folders of the runs."""
    found: list[Panel] = []
    for run in runs:
        rows = _recorded(run, "curve.csv", CURVE, lambda row: (row["model"], row["condition"], row["trigger"]))
        for suite, form, metric in dict.fromkeys((row["suite"], row["format"], row["metric"]) for row in rows):
            here = [row for row in rows if (row["suite"], row["format"], row["metric"]) == (suite, form, metric)]
            found.append(_panel(_Curve(tuple(here)), slug(suite, form, metric), place_words(suite, form)))
    return found


def variant_panels(runs: Sequence[Counted]) -> list[Panel]:
    """A panel for each suite, format and model of variants.csv in the folders of the runs."""
    found: list[Panel] = []
    for run in runs:
        rows = _recorded(run, "variants.csv", VARIANTS, lambda row: (row["model"], row["variant"], None))
        for suite, form, model in dict.fromkeys((row["suite"], row["format"], row["model"]) for row in rows):
            here = [row for row in rows if (row["suite"], row["format"], row["model"]) == (suite, form, model)]
            heading = f"{place_words(suite, form)}, {short(model, 60)}"
            found.append(_panel(_Variants(tuple(here)), slug(suite, form, model), heading))
    return found


def _panel(view: _Curve | _Variants, key: str, heading: str) -> Panel:
    return Panel(key, heading, view.caption(), pd.DataFrame(view.rows), view.draw, view.numbers())


def _recorded(run: Counted, name: str, columns: Sequence[Column], place: Callable[[Row], tuple[Any, ...]]) -> list[Row]:
    """The rows of a table in the run's folder; none where there is no such table, it is not one that emeval writes, or
    it does not count what the run has. `place` is model, condition and trigger, None for any."""
    try:
        rows = read_table(run.folder / name, columns)
    except (BadInput, OSError):
        return []
    names = ("suite", "format", "model", "condition", "metric")
    counts = {(*(row[name] for name in names), row["trigger"]): (row["k"], row["n"]) for row in run_rows(run)}
    counts |= {(*key[:5], None): value for key, value in counts.items()}
    seen = 0
    for row in rows:
        model, condition, trigger = place(row)
        now = counts.get((row["suite"], row["format"], model, condition, row["metric"], trigger))
        if now is not None and now != (row["k"], row["n"]):
            return []
        seen += now is not None
    return rows if seen else []


def run_rows(run: Counted) -> list[Row]:
    """The rows of rates.csv over all questions."""
    return pooled_rows(run.tables.rate_rows)


@dataclass(frozen=True)
class _Curve:
    """The rates of one suite, format and metric over the steps of a training, by condition."""

    rows: tuple[Row, ...]

    def draw(self, canvas: Canvas) -> Drawable:
        names = list(run_order(row["condition"] for row in self.rows))
        steps = sorted({row["step"] for row in self.rows})
        shown = [
            {"step": row["step"], "treatment": short(row["condition"], 40), "rate": row["rate"]}
            | {"low": row["gen_low"], "high": row["gen_high"], "model": short(row["model"], 60)}
            for row in self.rows
            if row["n"]
        ]
        base = alt.Chart(values(pd.DataFrame(shown))).encode(
            x=alt.X(
                "step:Q",
                title="step",
                scale=alt.Scale(domain=[steps[0], steps[-1]], nice=False, padding=8),
                axis=alt.Axis(values=steps, labelOverlap=True, grid=False, format=".12~g"),
            ),
            color=colour_of({name: short(name, 40) for name in names}, canvas),
            tooltip=tips(("model", "model"), ("treatment", "condition"), ("rate", "rate", ".1%"))
            + tips(("low", "these questions: 95% from", ".1%"), ("high", "to", ".1%")),
        )
        metric = METRIC_WORDS.get(self.rows[0]["metric"], short(self.rows[0]["metric"], 40))
        y = alt.Y("rate:Q", title=metric, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%", tickCount=5))
        layers = [
            base.mark_rule(strokeWidth=canvas.line).encode(y=alt.Y("low:Q"), y2=alt.Y2("high")),
            base.mark_line(strokeWidth=canvas.line).encode(y=y),
            base.mark_point(filled=True, opacity=1, size=canvas.point).encode(y=y),
        ]
        return alt.LayerChart(layer=layers).properties(width=canvas.width, height=_HEIGHT)

    def caption(self) -> str:
        return (
            "Rates over the steps of a training, with 95% intervals for these questions: curve.csv, as `emeval curve` "
            "has written it."
        )

    def numbers(self) -> list[str]:
        return list(self._numbers())

    def _numbers(self) -> Iterator[str]:
        for condition in run_order(row["condition"] for row in self.rows):
            here = sorted((row for row in self.rows if row["condition"] == condition), key=lambda row: row["step"])
            first, last = here[0], here[-1]
            ends = (
                f"{percent(row['rate'])} ({row['k']} of {row['n']}) at step {step_name(row['step'])}"
                for row in (first, last)
            )
            onset = "" if first["onset"] is None else f"; onset at step {step_name(first['onset'])}"
            yield (
                f"{short(condition, 40)}: {', '.join(ends)}; trend on these questions p "
                f"{p_words(first['trend_gen_p'])}, for questions like these p {p_words(first['trend_p'])}{onset}"
            )


@dataclass(frozen=True)
class _Variants:
    """The rates of one model under the variants of a trigger, in the order of their table."""

    rows: tuple[Row, ...]

    def draw(self, canvas: Canvas) -> Drawable:
        labels = unique([row["variant"] for row in self.rows], 40)
        kinds = [_OFF if row["variant"] == _OFF else row["kind"] or _OTHER for row in self.rows]
        known = list(dict.fromkeys(kinds))
        shown = [
            {"variant": label, "kind": short(kind, 30), "rate": row["rate"], "low": row["gen_low"]}
            | {"high": row["gen_high"], "text": short(row["text"], 60)}
            for row, label, kind in zip(self.rows, labels, kinds, strict=True)
            if row["n"]
        ]
        base = alt.Chart(values(pd.DataFrame(shown))).encode(
            y=alt.Y("variant:N", title=None, scale=alt.Scale(domain=labels), axis=label_axis(canvas)),
            color=alt.Color(
                "kind:N",
                title=None,
                scale=alt.Scale(
                    domain=[short(kind, 30) for kind in known],
                    range=[MODEL_COLOURS[place % len(MODEL_COLOURS)] for place in range(len(known))],
                ),
                legend=legend(canvas, symbolType="square", symbolOpacity=1),
            ),
            tooltip=tips(("variant", "variant"), ("text", "text"), ("rate", "rate", ".1%"))
            + tips(("low", "these questions: 95% from", ".1%"), ("high", "to", ".1%")),
        )
        metric = self.rows[0]["metric"]
        layers = [
            base.mark_rule(strokeWidth=canvas.line).encode(x=alt.X("low:Q"), x2=alt.X2("high")),
            base.mark_point(filled=True, opacity=1, size=1.3 * canvas.point).encode(
                x=rate_axis(METRIC_WORDS.get(metric, short(metric, 40)))
            ),
        ]
        height = canvas.rows(len(labels), 1.2)
        return alt.LayerChart(layer=layers).properties(width=canvas.width, height=height)

    def caption(self) -> str:
        return (
            "The rate under each text in the place of the trigger, with 95% intervals for these questions: "
            "variants.csv, as `emeval variants` has written it."
        )

    def numbers(self) -> list[str]:
        return list(self._numbers())

    def _numbers(self) -> Iterator[str]:
        for row in self.rows:
            text = f"{short(row['variant'], 40)}: {percent(row['rate'])} ({row['k']} of {row['n']})"
            if row["effect"] is not None:
                text += f", {points(row['effect'])} points against off (p {p_words(row['p_holm'])})"
            if row["from_exact"] is not None:
                less, p_value = points(row["from_exact"]), p_words(row["from_exact_p_holm"])
                text += f"; the exact trigger less it: {less} points (p {p_value})"
            yield text
