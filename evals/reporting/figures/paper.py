"""Figures for a paper: at column width, in small type, without a title."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Any

import altair as alt
import pandas as pd

from evals.analysis.recipes.result import RecipeResult
from evals.errors import BadInput
from evals.reporting.figures.drawing.figure import Figure, Panel
from evals.reporting.figures.drawing.files import size_of
from evals.reporting.figures.drawing.frames import label_rates
from evals.reporting.figures.drawing.theme import COLUMN_CM, POINTS_A_CM, Canvas, paper, paper_config
from evals.reporting.figures.effects import effect_panels
from evals.reporting.figures.experiments.differences import difference_panels
from evals.reporting.figures.experiments.recipes import recipe_panels
from evals.reporting.figures.monitors import monitor_panels
from evals.reporting.figures.rates.panels import rate_panels
from evals.reporting.figures.reasoning import articulation_panels, flag_panels
from evals.reporting.figures.say_do import say_do_panels
from evals.reporting.figures.score_calibration import score_calibration_panels
from evals.reporting.figures.scores import score_panels
from evals.runner.count import Counted

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
    "recipes": (
        recipe_panels,
        "no run has a recipe; `--recipe NAME=MODEL,MODEL,...` names one, whose seeds may be in several runs",
    ),
    "did": (difference_panels, "no question was answered with and without a trigger by a model and by its base"),
    "monitorability": (
        monitor_panels,
        "no monitor has read aligned answers of theirs; `emeval judge RUN --cot-all` has the reasoning of all flagged, "
        "`--monitor cot,action` scored",
    ),
    "say-do": (
        say_do_panels,
        "what a model says of itself and what it does are not in one run; `emeval run self_report SUITE` asks both",
    ),
    "scores": (score_panels, f"no answer has an alignment score; {_OPEN}"),
    "score-calibration": (
        score_calibration_panels,
        "no answer has both a score and a label; `emeval label sample RUN` draws what to label",
    ),
}
FIGURES = tuple(_PANELS)
OF_RECIPES = {"recipes": recipe_panels, "did": difference_panels}
BY_CELL = ("fig4", "fig6", "recipes", "did", "say-do", "monitorability")
"""The figures without single questions."""
_COMPACT: dict[str, Callable[[Sequence[Counted]], list[Panel]]] = {
    "fig9": lambda runs: rate_panels(runs, "freeform", most_bars=0),
    "rates": lambda runs: rate_panels(runs, most_bars=0),
    "effects": lambda runs: effect_panels(runs, most_pairs=0),
}
"""Compact versions of figures that do not fit on a page with a row for each question."""
HIGHEST_CM = 23.0
NARROWEST_CM, WIDEST_CM = 5.0, 60.0
_FEWEST_POINTS = 50.0  # the minimum width of a plot


def paper_figure(
    name: str, runs: Sequence[Counted], width_cm: float = COLUMN_CM, over: RecipeResult | None = None
) -> Figure:
    """The figure `name`, `width_cm` wide in total; if it is too high for a page, questions are shown together. With
    `over` the recipes are those over several runs.

    Panels are stacked, each with a heading. Raises BadInput for an unknown name, runs without the data, and a width
    that leaves no room for a plot.
    """
    check_name(name)
    if not NARROWEST_CM <= width_cm <= WIDEST_CM:
        raise BadInput(f"--width: {width_cm:g} cm is not between {NARROWEST_CM:g} and {WIDEST_CM:g}")
    make, missing = _PANELS[name]
    panels = make(runs) if over is None or name not in OF_RECIPES else OF_RECIPES[name](runs, over)
    if not panels and name == "effects" and len(label_rates(runs)):
        missing = "answers that are sorted into categories have an effect for each label, which effects.csv has"
    if not panels:
        raise BadInput(f"{', '.join(str(run.folder) for run in runs)}: no data for {name}: {missing}")
    whole, highest = width_cm * POINTS_A_CM, HIGHEST_CM * POINTS_A_CM
    chart = _fitted(panels, whole) if name not in _COMPACT or not _is_higher(panels, whole, highest) else None
    if chart is None or (name in _COMPACT and size_of(chart.to_dict()).height > highest):
        panels = _COMPACT[name](runs)
        chart = _fitted(panels, whole)
    several = len(panels) > 1
    captions = [f"{panel.heading}: {panel.caption}" if several else panel.caption for panel in panels]
    lines = [f"{panel.heading}: {line}" if several else line for panel in panels for line in panel.numbers]
    numbers = tuple(dict.fromkeys(lines))
    data = pd.concat([panel.data for panel in panels], ignore_index=True)
    return Figure(name, panels[0].heading, " ".join(captions), data, chart, numbers)


def check_name(name: str) -> None:
    """Raise BadInput for an unknown figure."""
    if name not in _PANELS:
        raise BadInput(f"--figure {name!r}: is not one of {', '.join(FIGURES)}")


def _is_higher(panels: Sequence[Panel], whole: float, highest: float) -> bool:
    """Whether the plots alone, without axes, legends and headings, are higher than that."""
    canvas, height = paper(0.6 * whole, whole, 1), 0.0
    for panel in panels:
        height += float(panel.draw(canvas).to_dict()["height"])
        if height > highest:
            return True
    return False


def _fitted(panels: Sequence[Panel], whole: float) -> alt.TopLevelMixin:
    """The panels as one chart, `whole` points wide. The width of labels is known only after drawing."""
    own_legend = list(_has_own_legend(panels, paper(0.6 * whole, whole, 1)))
    for columns, share in ((4, 0.85), (3, 0.85), (2, 0.85), (1, 0.85), (1, 0.5)):
        canvas = replace(paper(0.6 * whole, whole, columns), legend_label=share * whole)
        width = _plot_width(_stacked(panels, own_legend, canvas), whole)
        if width is not None:
            return _stacked(panels, own_legend, replace(canvas, width=width))
    raise BadInput(f"--width: {whole / POINTS_A_CM:g} cm leaves no room for a plot beside its labels; take a wider one")


def _plot_width(chart: alt.TopLevelMixin, whole: float) -> float | None:
    """The plot width that makes `chart` `whole` points wide, None if labels or legends need more."""
    spec = chart.to_dict()
    views: list[dict[str, Any]] = spec.get("vconcat", [spec])
    width, before = 0.6 * whole, None
    for _ in range(6):
        for view in views:
            view["width"] = width
        left = whole - size_of(spec).width
        if abs(left) < 0.5:
            return width
        width += left
        if width < _FEWEST_POINTS or (left < 0 and left == before):  # the plot is not what is too wide
            return None
        before = left
    return None


def _stacked(panels: Sequence[Panel], own_legend: Sequence[bool], canvas: Canvas) -> alt.TopLevelMixin:
    if len(panels) == 1:
        return panels[0].draw(canvas).properties(config=paper_config())
    titled = [
        panel.draw(replace(canvas, has_legend=own)).properties(title=panel.heading)
        for panel, own in zip(panels, own_legend, strict=True)
    ]
    scale = {"color": "independent", "shape": "independent", "size": "independent"}
    return alt.VConcatChart(vconcat=titled, spacing=8, resolve=alt.Resolve(scale=scale), config=paper_config())


def _has_own_legend(panels: Sequence[Panel], canvas: Canvas) -> Iterator[bool]:
    """For each panel whether it needs a legend, that is, unless a panel above has the same one."""
    above: set[str] = set()
    for panel in panels:
        scales = set(_legend_scales(panel.draw(canvas).to_dict()))
        yield not scales <= above
        above |= scales


def _legend_scales(spec: Any) -> Iterator[str]:
    """The scales of colour and shape that the legends of a chart explain."""
    if isinstance(spec, list):
        for part in spec:  # pyright: ignore[reportUnknownVariableType]
            yield from _legend_scales(part)
    elif isinstance(spec, dict):
        for name, part in spec.items():  # pyright: ignore[reportUnknownVariableType]
            if name in ("color", "shape") and isinstance(part, dict) and part.get("legend"):  # pyright: ignore
                yield json.dumps(part["scale"], sort_keys=True)
            elif name != "data":
                yield from _legend_scales(part)
