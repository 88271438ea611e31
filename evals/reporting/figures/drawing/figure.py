"""Figures, and the panels they are drawn from, which fit a page or, at another size, a paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import altair as alt
import pandas as pd

from evals.reporting.figures.drawing.theme import Canvas

Drawable: TypeAlias = alt.Chart | alt.LayerChart


@dataclass(frozen=True)
class Figure:
    """A chart with its title, caption and data.

    `name` is a slug, unique among the figures of a call. `caption` says what is shown and how many answers are counted,
    `numbers` has a line for each rate and for what is missing. `data` is tidy and has raw texts: escape them in a page
    or CSV. Figures with the same `fold` are one series, such as one figure a model; "" for a figure of its own.
    """

    name: str
    title: str
    caption: str
    data: pd.DataFrame
    chart: alt.TopLevelMixin
    numbers: tuple[str, ...] = ()
    fold: str = ""


@dataclass(frozen=True)
class Panel:
    """One view of a figure. `key` and `heading` distinguish it from other panels of its kind (`key` may be "" if it is
    the only one); `draw` makes its chart for a canvas. `numbers` and `fold` are those of a Figure."""

    key: str
    heading: str
    caption: str
    data: pd.DataFrame
    draw: Callable[[Canvas], Drawable]
    numbers: Sequence[str] = ()
    fold: str = ""


Kind = Literal["quantitative", "nominal", "ordinal"]


def values(frame: pd.DataFrame) -> alt.InlineData:
    """The rows of `frame` as data in a chart: plain numbers and texts, null for what is missing."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return alt.InlineData(values=[{str(name): _plain(value) for name, value in row.items()} for row in rows])


def tips(*fields: tuple[str, str] | tuple[str, str, str]) -> list[alt.Tooltip]:
    """Tooltip lines from (column, title) or, for numbers, (column, title, format)."""
    return [
        alt.Tooltip(field=field[0], title=field[1], type="quantitative", format=field[2])
        if len(field) == 3
        else alt.Tooltip(field=field[0], title=field[1], type="nominal")
        for field in fields
    ]


def sentences(parts: Iterable[str]) -> str:
    return " ".join(part for part in parts if part)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
