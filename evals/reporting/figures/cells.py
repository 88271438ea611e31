"""Cells as labelled rows of a chart, with a chart for each model if one would be too large."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import altair as alt
import pandas as pd

from evals.reporting.figures.drawing.frames import (
    condition_labels,
    distinct,
    in_order,
    place_words,
    row_names,
    series_in,
    short,
    slug,
    unique,
)
from evals.reporting.figures.drawing.theme import Canvas
from evals.runner.count import Counted

ROW_PADDING = 0.35
"""The share of a row that is left between two rows."""
PLACE = ["series", "suite", "format", "condition", "trigger"]


class ChartGroup(NamedTuple):
    """The rows of one chart: `frame` has a column `row` with labels from `rows`, which go from top to bottom."""

    key: str
    heading: str
    frame: pd.DataFrame
    rows: tuple[str, ...]


def grouped(frame: pd.DataFrame, runs: Sequence[Counted]) -> Iterator[ChartGroup]:
    """The rows of `frame` by cell: one chart for a single suite and format, else one for each model.

    Labels name what differs among the rows of a chart, with n if `frame` has such a column.
    """
    rank = {name: number for number, name in enumerate(in_order(frame["condition"]))}
    shown = series_in(frame, runs)
    order = pd.DataFrame(
        {
            "series": frame["series"].map(shown.index),
            "suite": frame["suite"],
            "format": frame["format"],
            "condition": frame["condition"].map(rank),
        }
    )
    frame = frame.loc[order.sort_values(["series", "suite", "format", "condition"], kind="stable").index]
    names = row_names(runs)
    several = len(frame[["suite", "format"]].drop_duplicates()) > 1
    if not several:
        yield _labelled("", "", frame, names)
        return
    for number, series in enumerate(shown, start=1):
        yield _labelled(slug(series) or str(number), series, frame[frame["series"] == series], names)


def _labelled(key: str, heading: str, frame: pd.DataFrame, names: dict[str, str]) -> ChartGroup:
    treatments = condition_labels(frame)
    models = distinct(frame["series"])
    places = len(frame[["suite", "format"]].drop_duplicates()) > 1
    suites = frame["suite"].nunique() > 1
    if not suites:
        suite, fmt = (str(part) for part in frame[["suite", "format"]].iloc[0])
        where = short(suite, 60) if places else place_words(suite, fmt)
        heading = f"{heading}, {where}" if heading else where
    ids = list(frame[PLACE].itertuples(index=False, name=None))
    sizes = dict(zip(ids, frame["n"], strict=True)) if "n" in frame else {}
    texts: list[str] = []
    cells = distinct(map(repr, ids))
    by_text = {repr(cell_id): cell_id for cell_id in ids}
    for cell in cells:
        series, suite, fmt, condition, trigger = by_text[cell]
        parts = [names[series]] if len(models) > 1 else []
        parts += [f"{suite} {fmt}" if suites else fmt] if places else []
        tagged = condition in treatments and treatments[condition] == condition and trigger
        parts.append(f"{condition}: {trigger}" if tagged else condition)
        text = ", ".join(parts)
        texts.append(f"{text} (n = {sizes[by_text[cell]]:,})" if sizes else text)
    labels = dict(zip(cells, unique(texts, 70), strict=True))
    rows = [labels[repr(cell_id)] for cell_id in ids]
    return ChartGroup(key, heading, frame.assign(row=rows), tuple(labels.values()))


def row_axis(group: ChartGroup, canvas: Canvas, padding: float = ROW_PADDING) -> alt.Y:
    """The axis of row labels; `padding` is the share of a row left between two rows."""
    return alt.Y(
        "row:N",
        title=None,
        scale=alt.Scale(type="band", domain=list(group.rows), paddingInner=padding, paddingOuter=padding / 2),
        axis=alt.Axis(labelLimit=1.6 * canvas.label, labelPadding=7, ticks=False, domain=False),
    )
