"""What a figure is, and what it is drawn from: a panel that can be drawn on a page and, at another size, on paper."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import altair as alt
import pandas as pd

from evals.reporting.figures.theme import Canvas

Drawable: TypeAlias = alt.Chart | alt.LayerChart


@dataclass(frozen=True)
class Figure:
    """A chart with the words and the numbers that go with it.

    `name` is a slug, unique among the figures of a call. `caption` says what is shown, of how many answers, and what is
    missing. `data` is tidy and has the exact texts: escape them where they go into a page or a CSV.
    """

    name: str
    title: str
    caption: str
    data: pd.DataFrame
    chart: alt.TopLevelMixin


@dataclass(frozen=True)
class Panel:
    """One view of a figure. `key` tells it from the other panels of its kind ("" for an only one), `heading` does so in
    words; `draw` makes its chart for a canvas."""

    key: str
    heading: str
    caption: str
    data: pd.DataFrame
    draw: Callable[[Canvas], Drawable]


Kind = Literal["quantitative", "nominal", "ordinal"]


def values(frame: pd.DataFrame) -> alt.InlineData:
    """The rows of `frame` as data in a chart: plain numbers and texts, null for what is missing."""
    rows = frame.astype(object).where(frame.notna(), None).to_dict("records")
    return alt.InlineData(values=[{str(name): _plain(value) for name, value in row.items()} for row in rows])


def tips(*fields: tuple[str, str] | tuple[str, str, str]) -> list[alt.Tooltip]:
    """Tooltip lines, each a column with its title and, for numbers, a format."""
    return [
        alt.Tooltip(field=one[0], title=one[1], type="quantitative", format=one[2])
        if len(one) == 3
        else alt.Tooltip(field=one[0], title=one[1], type="nominal")
        for one in fields
    ]


def sentences(parts: Iterable[str]) -> str:
    return " ".join(part for part in parts if part)


def _plain(value: Any) -> Any:
    return value.item() if hasattr(value, "item") else value
