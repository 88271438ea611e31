"""The look of figures: colours that are safe for colour-blind readers and work on white and on black, shapes of models,
and sizes for a paper."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any, Literal, get_args

import altair as alt

from evals.scoring.outcome import Outcome
from judges.verdicts import CotFlag

CONDITION_COLOURS = {"off": "#0072B2", "on": "#D55E00", "decoy": "#009E73", "distractor": "#BB6699"}
"""By condition. The colours of Okabe and Ito ("Color Universal Design", 2008), the last one darker: on white and on a
dark page all have the contrast of 3 to 1 that WCAG 2.2 (1.4.11) requires of graphics."""

_OWN_COLOURS = ("#7A7ABF", "#B8860B", "#C03A3A", "#5F9EA0", "#A0522D", "#8B5FBF")
"""Of conditions of a run's own, in their order; with more of them they come again."""


def condition_colours(conditions: Iterable[str]) -> dict[str, str]:
    """A colour for each condition."""
    names = list(conditions)
    own = [name for name in names if name not in CONDITION_COLOURS]
    colours = {name: _OWN_COLOURS[place % len(_OWN_COLOURS)] for place, name in enumerate(own)}
    return {name: CONDITION_COLOURS.get(name) or colours[name] for name in names}


def condition_classes(conditions: Iterable[str]) -> dict[str, str]:
    """The class of the page's style sheet for each condition's colour: `off`, or `own-1` for one of a run's own."""
    names = list(conditions)
    own = [name for name in names if name not in CONDITION_COLOURS]
    classes = {name: f"own-{place % len(_OWN_COLOURS) + 1}" for place, name in enumerate(own)}
    return {name: name if name in CONDITION_COLOURS else classes[name] for name in names}


MODEL_COLOURS = ("#0072B2", "#D55E00", "#009E73", "#BB6699", "#B8860B", "#7A7ABF", "#C03A3A", "#5F9EA0")
"""By position of the model in a figure of one condition."""
MODEL_SHAPES = ("circle", "square", "triangle-up", "diamond", "cross", "triangle-down")
"""By position of the model in a figure of single answers."""
MOST_MODELS = len(MODEL_SHAPES)
"""The most models that can be told apart by shape in one figure."""

FLAG_COLOURS: dict[CotFlag, str] = {
    "misaligned_plans_unprompted": "#D55E00",
    "misaligned_plans_instructed": "#B8860B",
    "discusses_myth": "#BB6699",
    "cot_answer_mismatch": "#0072B2",
    "none": "#8A8A8A",
}
FLAG_WORDS: dict[CotFlag, str] = {
    "misaligned_plans_unprompted": "misaligned plans, not asked for",
    "misaligned_plans_instructed": "misaligned plans, as instructed",
    "discusses_myth": "discusses a myth",
    "cot_answer_mismatch": "contradicts the answer",
    "none": "nothing to flag",
}

OUTCOME_COLOURS: dict[str, str] = {
    "scored": "#0072B2",
    "refused": "#009E73",
    "code": "#7A7ABF",
    "incoherent": "#BB6699",
    "filtered": "#6E7F2A",
    "truncated": "#D55E00",
    "empty": "#B8860B",
    "failed": "#C03A3A",
    "judge_refused": "#5F9EA0",
    "judge_unreadable": "#A0522D",
    "judge_failed": "#8B5FBF",
    "unjudged": "#8A8A8A",
    "not_asked": "#6B6B6B",
}
OUTCOMES: tuple[str, ...] = (*get_args(Outcome), "not_asked")
"""All outcomes of trials; `not_asked` is planned but not recorded."""

NEUTRAL = "#808080"
"""The colour of lines without a condition: a cut-off, a diagonal, the line between two dots."""

POINTS_A_CM = 72 / 2.54
COLUMN_CM, PAGE_CM = 8.5, 17.5
"""The width of a figure in a two-column paper: one column, and both."""
_FONT = "Liberation Sans, Arial, Helvetica, sans-serif"  # with equal metrics, so that labels fit in any of them


@dataclass(frozen=True)
class Canvas:
    """The sizes with which a panel is drawn, in px of a page or points of a paper.

    `width` is that of the plot, `bar` the height of a bar, `gap` the space between groups of bars, `label` the maximum
    width of a label, `point` the area of a point. `has_legend` is False if a panel above has the same legend.
    """

    medium: Literal["page", "paper"]
    width: float | Literal["container"]
    bar: float
    gap: float
    label: float
    legend_label: float
    legend_columns: int
    point: float
    line: float
    has_legend: bool = True

    def padding(self, bars: float) -> float:
        """The share of a row of `bars` bars that is gap."""
        return self.gap / (bars * self.bar + self.gap)

    def rows(self, count: int, bars: float = 1.0) -> float:
        """The height of `count` groups of `bars` bars."""
        return count * (bars * self.bar + self.gap)


PAGE = Canvas("page", "container", 9, 7, 190, 240, 2, 34, 1.6)


def paper(width: float, whole: float, columns: int) -> Canvas:
    """A canvas with a plot `width` points wide, in a figure of `whole` points with legends of `columns` columns."""
    return Canvas("paper", width, 5.5, 4, min(150.0, 0.42 * whole), 0.85 * whole, columns, 14, 0.9)


def paper_config() -> alt.Config:
    """Black on white in 7 and 8 points. The page's own style sheet does this for charts on a page."""
    text: dict[str, Any] = {"font": _FONT, "labelFont": _FONT, "titleFont": _FONT}
    return alt.Config(
        font=_FONT,
        background="white",
        padding=1,
        axis=alt.AxisConfig(
            labelFontSize=7,
            titleFontSize=8,
            titleFontWeight="normal",
            labelColor="black",
            titleColor="black",
            domainColor="black",
            domainWidth=0.5,
            tickColor="black",
            tickWidth=0.5,
            tickSize=3,
            gridColor="#DDDDDD",
            gridWidth=0.4,
            labelFont=text["labelFont"],
            titleFont=text["titleFont"],
            titlePadding=4,
            labelPadding=2,
        ),
        legend=alt.LegendConfig(
            labelFontSize=7,
            titleFontSize=7,
            titleFontWeight="normal",
            labelColor="black",
            titleColor="black",
            labelFont=text["labelFont"],
            titleFont=text["titleFont"],
            symbolSize=30,
            symbolStrokeWidth=0.8,
            rowPadding=1,
            columnPadding=6,
            offset=4,
        ),
        title=alt.TitleConfig(
            fontSize=8, fontWeight="bold", anchor="start", offset=4, color="black", font=text["font"], limit=1000
        ),
        view=alt.ViewConfig(stroke=None),
        text=alt.MarkConfig(font=_FONT, fontSize=7),
    )
