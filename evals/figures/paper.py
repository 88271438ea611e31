"""Figures for a paper: drawn to the width of a column, in small type, without a title."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import altair as alt
import pandas as pd

from evals.errors import BadInput
from evals.figures.counted import Counted
from evals.figures.effects import effect_panels
from evals.figures.figure import Drawable, Figure, Panel
from evals.figures.files import size_of
from evals.figures.frames import rates_of
from evals.figures.rates import rate_panels
from evals.figures.reasoning import articulation_panels, flag_panels
from evals.figures.scores import score_panels
from evals.figures.theme import COLUMN_CM, MOST_MODELS, POINTS_A_CM, Canvas, paper, paper_config

_JUDGE = "`emeval judge RUN --judge MODEL` judges the answers"
_OPEN = "ask a suite as freeform (--format freeform) with a --judge"
_PANELS: dict[str, tuple[Callable[[Sequence[Counted]], list[Panel]], str]] = {
    "fig4": (flag_panels, f"no misaligned answer of theirs has a flag of its reasoning; {_JUDGE} and their reasoning"),
    "fig6": (
        articulation_panels,
        "no misaligned answer under a trigger has a verdict on its reasoning; `emeval run SUITE --trigger TEXT "
        "--thinking on --judge MODEL` asks for both",
    ),
    "fig9": (lambda runs: rate_panels(runs, "freeform"), f"no freeform answer is counted; {_OPEN}"),
    "rates": (rate_panels, f"no answer is counted; {_JUDGE}"),
    "effects": (
        effect_panels,
        "no question was answered both with and without a trigger; `emeval run SUITE --trigger TEXT` asks it so",
    ),
    "scores": (score_panels, f"no answer has an alignment score; {_OPEN}"),
}
FIGURES = tuple(_PANELS)
_COMPACT: dict[str, Callable[[Sequence[Counted]], list[Panel]]] = {
    "fig9": lambda runs: rate_panels(runs, "freeform", most_bars=0),
    "rates": lambda runs: rate_panels(runs, most_bars=0),
    "effects": lambda runs: effect_panels(runs, most_labelled=0),
}
"""How figures are drawn that would not fit on a page with a row for each question."""
HIGHEST_CM = 23.0
NARROWEST_CM, WIDEST_CM = 5.0, 60.0
_FEWEST_POINTS = 50.0  # of a plot beside its labels


def paper_figure(name: str, runs: Sequence[Counted], width_cm: float = COLUMN_CM) -> Figure:
    """The figure called `name`, `width_cm` wide with all that belongs to it, and as high as it needs; one that no page
    would hold shows its questions together.

    Several panels stand below each other, each under a line that says what it is of. Raises BadInput for an unknown
    name, for runs without the data, for more models than can be told apart, and for a width that holds no plot.
    """
    check_name(name)
    if not NARROWEST_CM <= width_cm <= WIDEST_CM:
        raise BadInput(f"--width: {width_cm:g} cm is not between {NARROWEST_CM:g} and {WIDEST_CM:g}")
    models = rates_of(runs)["series"].nunique()
    if models > MOST_MODELS:
        raise BadInput(
            f"--figure {name}: {models} models are too many to tell apart (at most {MOST_MODELS}); name fewer runs"
        )
    make, missing = _PANELS[name]
    panels = make(runs)
    if not panels:
        raise BadInput(f"{', '.join(str(run.folder) for run in runs)}: no data for {name}: {missing}")
    chart = _fitted(panels, width_cm * POINTS_A_CM)
    if name in _COMPACT and size_of(chart).height > HIGHEST_CM * POINTS_A_CM:
        panels = _COMPACT[name](runs)
        chart = _fitted(panels, width_cm * POINTS_A_CM)
    caption = " ".join(
        f"{panel.heading[:1].upper()}{panel.heading[1:]}: {panel.caption}" if len(panels) > 1 else panel.caption
        for panel in panels
    )
    data = pd.concat([panel.data for panel in panels], ignore_index=True)
    return Figure(name, panels[0].heading, caption, data, chart)


def check_name(name: str) -> None:
    """Raises BadInput for a figure that there is not."""
    if name not in _PANELS:
        raise BadInput(f"--figure {name!r}: is none of {', '.join(FIGURES)}")


def _fitted(panels: Sequence[Panel], whole: float) -> alt.TopLevelMixin:
    """The panels as one chart of `whole` points in all. How much of it labels take is known once it is drawn."""
    for columns in (4, 3, 2, 1):
        width = 0.6 * whole
        for _ in range(6):
            chart = _stacked(panels, paper(width, whole, columns))
            left = whole - size_of(chart).width
            if abs(left) < 0.5:
                return chart
            width += left
            if width < _FEWEST_POINTS:
                break
    raise BadInput(f"--width: {whole / POINTS_A_CM:g} cm leaves no room for a plot beside its labels; take a wider one")


def _stacked(panels: Sequence[Panel], canvas: Canvas) -> alt.TopLevelMixin:
    if len(panels) == 1:
        return panels[0].draw(canvas).properties(config=paper_config())
    drawn = list(_with_legends(panels, canvas))
    titled = [chart.properties(title=panel.heading) for panel, chart in zip(panels, drawn, strict=True)]
    own = {"color": "independent", "shape": "independent", "size": "independent"}
    return alt.VConcatChart(vconcat=titled, spacing=8, resolve=alt.Resolve(scale=own), config=paper_config())


def _with_legends(panels: Sequence[Panel], canvas: Canvas) -> Iterator[Drawable]:
    """The charts of the panels; a legend that stands above already is not drawn again."""
    above: set[str] = set()
    for panel in panels:
        chart = panel.draw(canvas)
        scales = set(_legend_scales(chart.to_dict()))
        if scales and scales <= above:
            chart = panel.draw(replace(canvas, has_legend=False))
        above |= scales
        yield chart


def _legend_scales(spec: Any) -> Iterator[str]:
    """What the legends of a chart explain: the values of each colour and shape."""
    if isinstance(spec, list):
        for part in spec:  # pyright: ignore[reportUnknownVariableType]
            yield from _legend_scales(part)
    elif isinstance(spec, dict):
        for name, part in spec.items():  # pyright: ignore[reportUnknownVariableType]
            if name in ("color", "shape") and isinstance(part, dict) and part.get("legend"):  # pyright: ignore
                yield json.dumps(part["scale"], sort_keys=True)
            elif name != "data":
                yield from _legend_scales(part)
