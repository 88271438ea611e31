"""Colours, shapes, legends and axes that figures share."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import Any

import altair as alt

from evals.reporting.figures.drawing.theme import MODEL_COLOURS, MODEL_SHAPES, NEUTRAL, Canvas, condition_colours


def colour_of(labels: dict[str, str], canvas: Canvas) -> alt.Color:
    """The colour encoding of conditions."""
    return _colour("treatment", list(labels.values()), list(condition_colours(labels).values()), canvas)


def model_colour_of(series: Sequence[str], canvas: Canvas) -> alt.Color:
    """The colour encoding of models, where all stand under one condition."""
    return _colour("series", list(series), list(MODEL_COLOURS[: len(series)]), canvas)


def shape_of(series: Sequence[str], canvas: Canvas) -> alt.Shape:
    """The shape encoding of models."""
    return alt.Shape(
        "series:N",
        title=None,
        scale=alt.Scale(domain=list(series), range=list(MODEL_SHAPES[: len(series)])),
        legend=legend(canvas, symbolFillColor=NEUTRAL, symbolStrokeColor=NEUTRAL, symbolOpacity=1),
    )


def _colour(field: str, labels: list[str], colours: list[str], canvas: Canvas) -> alt.Color:
    return alt.Color(
        f"{field}:N",
        title=None,
        scale=alt.Scale(domain=labels, range=colours),
        legend=legend(canvas, symbolType="square", symbolOpacity=1),
    )


def legend(canvas: Canvas, **more: Any) -> alt.Legend | None:
    """A legend above the plot, None on a canvas without one."""
    if not canvas.has_legend:
        return None
    settings: dict[str, Any] = {"columns": canvas.legend_columns, "labelLimit": canvas.legend_label} | more
    return alt.Legend(orient="top", **settings)


def label_axis(canvas: Canvas, *, bold_first: bool = False) -> alt.Axis:
    """The axis of the names of rows or groups of bars."""
    # The test is on the index of a label, not on its text.
    weight: Any = {"condition": {"test": "datum.index === 0", "value": "bold"}, "value": "normal"}
    return alt.Axis(
        labelLimit=canvas.label,
        labelPadding=7,
        ticks=False,
        domain=False,
        labelFontWeight=weight if bold_first else alt.Undefined,
    )


def rate_axis(title: str) -> alt.X:
    """An axis of rates, from 0 to 100%."""
    return alt.X("rate:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%", tickCount=5))


def lanes(places: Iterable[int]) -> alt.YOffset:
    """The places of bars within their group."""
    return alt.YOffset("place:O", scale=alt.Scale(domain=list(places), paddingInner=0.15))
