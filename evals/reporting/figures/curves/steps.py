"""Rates over the steps of a training, and below them the shares of answers that are missing from the rates."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from evals.analysis.curve.result import SHARES, Curve, Curves
from evals.reporting.figures.drawing.frames import METRIC_WORDS, place_words, short
from evals.reporting.figures.drawing.theme import NEUTRAL, OUTCOME_COLOURS, condition_colours, paper_config
from evals.trials.condition import run_order

_WIDTH, _HEIGHT, _LOW = 360, 150, 70
_DASHES = ([1, 0], [4, 2], [1, 2], [6, 2, 1, 2])
"""By condition, in the panel whose colours are of reasons; with more of them they come again."""

_DASH_LEGEND = alt.Legend(orient="top", symbolType="stroke", symbolStrokeColor="black")


def curve_figure(curves: Curves) -> alt.TopLevelMixin:
    """Two panels for each suite, format and metric: the rate of each condition by step, with its 95% interval for these
    questions, and the shares of answers that are cut off, incoherent or refused."""
    groups: dict[tuple[str, str, str], list[Curve]] = {}
    for curve in curves.curves:
        groups.setdefault((curve.key.suite, curve.key.format, curve.key.metric), []).append(curve)
    panels = [panel for place, group in groups.items() for panel in _panels(place, group)]
    each_its_own = alt.ScaleResolveMap(color="independent", strokeDash="independent")
    return alt.VConcatChart(vconcat=panels, spacing=14, resolve=alt.Resolve(scale=each_its_own), config=paper_config())


def _panels(place: tuple[str, str, str], curves: Sequence[Curve]) -> list[alt.LayerChart | alt.Chart]:
    suite, form, metric = place
    names = run_order(curve.key.condition for curve in curves)
    labels = {curve.key.condition: short(_label(curve), 60) for curve in curves}
    colours = condition_colours(names)
    title = f"{place_words(suite, form)}, {short(METRIC_WORDS.get(metric, metric), 60)}"
    steps = sorted({point.step for curve in curves for point in curve.points})
    x = alt.X(
        "step:Q",
        title="step",
        scale=alt.Scale(domain=[steps[0], steps[-1]], nice=False, padding=8),
        axis=alt.Axis(values=steps, labelOverlap=True, grid=False, format=".12~g"),
    )
    domain = [labels[name] for name in names]
    colour = alt.Color(
        "condition:N",
        title=None,
        scale=alt.Scale(domain=domain, range=[colours[name] for name in names]),
        legend=alt.Legend(orient="top") if len(names) > 1 else None,
    )
    base = alt.Chart(alt.InlineData(values=_rates(curves, labels))).encode(x=x, color=colour)
    y = alt.Y("rate:Q", title="rate", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%", tickCount=5))
    layers = [
        base.mark_rule(strokeWidth=1).encode(y=alt.Y("low:Q"), y2=alt.Y2("high")),
        base.mark_line(strokeWidth=1.2).encode(y=y),
        base.mark_point(filled=True, opacity=1, size=18).encode(y=y),
    ]
    chart = alt.LayerChart(layer=layers).properties(title=title, width=_WIDTH, height=_HEIGHT)
    missing = _shares(curves, labels)
    if not missing:
        return [chart]
    reasons = [reason for reason in SHARES if any(row["reason"] == reason for row in missing)]
    below = (
        alt.Chart(alt.InlineData(values=missing))
        .mark_line(strokeWidth=1.2, point=alt.OverlayMarkDef(size=14, filled=True))
        .encode(
            x=x,
            y=alt.Y(
                "share:Q",
                title="not in n",
                scale=alt.Scale(domain=[0, 1]),
                axis=alt.Axis(format=".0%", tickCount=3),
            ),
            color=alt.Color(
                "reason:N",
                title=None,
                scale=alt.Scale(domain=reasons, range=[OUTCOME_COLOURS.get(reason, NEUTRAL) for reason in reasons]),
                legend=alt.Legend(orient="top"),
            ),
            strokeDash=alt.StrokeDash(
                "condition:N",
                title=None,
                scale=alt.Scale(domain=domain, range=[_DASHES[place % len(_DASHES)] for place in range(len(domain))]),
                legend=alt.Legend(orient="top", symbolType="stroke", symbolStrokeColor="black")
                if len(names) > 1
                else None,
            ),
        )
        .properties(width=_WIDTH, height=_LOW)
    )
    return [chart, below]


def _label(curve: Curve) -> str:
    return curve.key.condition + (f": {curve.key.trigger}" if curve.key.trigger else "")


def _rates(curves: Sequence[Curve], labels: dict[str, str]) -> list[dict[str, Any]]:
    return [
        {
            "step": point.step,
            "condition": labels[curve.key.condition],
            "rate": point.rate,
            "low": point.gen.low,
            "high": point.gen.high,
        }
        for curve in curves
        for point in curve.points
        if point.n
    ]


def _shares(curves: Sequence[Curve], labels: dict[str, str]) -> list[dict[str, Any]]:
    """The shares of a reason at every step, for reasons that any step has."""
    return [
        {
            "step": point.step,
            "condition": labels[curve.key.condition],
            "reason": reason,
            "share": point.share(reason),
        }
        for curve in curves
        for reason in SHARES
        if any(found.absent.get(reason) for other in curves for found in other.points)
        for point in curve.points
    ]
