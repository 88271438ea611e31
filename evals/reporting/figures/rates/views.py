"""Bars of rates in groups, with 95% intervals: a group for each model, question or label."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from evals.reporting.figures.drawing.encodings import colour_of, label_axis, lanes, model_colour_of, rate_axis
from evals.reporting.figures.drawing.figure import Drawable, tips, values
from evals.reporting.figures.drawing.frames import CELL, distinct, in_order, short, unique
from evals.reporting.figures.drawing.theme import Canvas
from evals.reporting.figures.rates.words import ABSENCES, absent_words, counted_words, rate_lines
from evals.scoring.label_metrics import PREFIX
from evals.scoring.rates.tables import pooled
from evals.trials.prompt import ALL

EVERY = "All questions"
LONGEST_LABEL = 60
_BINS = 20
_INTERVALS = ["ci_low", "ci_high", "ci_method", "gen_low", "gen_high", "gen_method"]
_DATA = ["run_id", *CELL, "prompt_id", "metric", "k", "n", "rate", *_INTERVALS, "n_trials"]


@dataclass(frozen=True)
class RateView:
    """The rates of one suite and format for some series. `words` say what is counted; `treatments` has the labels of
    all conditions of the suite and format, so that each has one colour in all of its figures."""

    words: str
    rates: pd.DataFrame
    series: tuple[str, ...]
    treatments: dict[str, str]

    def data(self) -> pd.DataFrame:
        return self.rates[[*_DATA, *ABSENCES]].reset_index(drop=True)

    @property
    def pooled(self) -> pd.DataFrame:
        rows = pooled(self.rates)
        return rows[rows["n"] > 0]

    @property
    def cells(self) -> list[tuple[str, str]]:
        """Each condition with its trigger, in order."""
        rows = self.pooled
        found = distinct(zip(rows["condition"].astype(str), rows["trigger"].astype(str), strict=True))
        place = {name: number for number, name in enumerate(in_order(rows["condition"]))}
        return sorted(found, key=lambda cell: place[cell[0]])

    @property
    def by_model(self) -> bool:
        """Whether the bars of a group are of models and not of conditions."""
        return False

    @property
    def lanes(self) -> int:
        """The bars of a group."""
        return len(self.series) if self.by_model else len(self.cells)

    def bars(self, rows: pd.DataFrame) -> pd.DataFrame:
        """The bars of these rows, each in the place that it has in its group."""
        if self.by_model:
            place = rows["series"].map(self.series.index)
        else:
            cells = self.cells
            keys = zip(rows["condition"], rows["trigger"], strict=True)
            place = pd.Series([cells.index(key) for key in keys], rows.index, dtype=int)
        return pd.DataFrame(
            {
                "run_id": rows["run_id"].map(short),
                "prompt_id": rows["prompt_id"],
                "series": rows["series"],
                "condition": rows["condition"],
                "treatment": rows["condition"].map(self.treatments),
                "place": place,
                "rate": rows["rate"].astype(float),
                # A row of one question has the interval of new answers to it.
                "low": rows["ci_low"].where(rows["prompt_id"] == ALL, rows["gen_low"]).astype(float),
                "high": rows["ci_high"].where(rows["prompt_id"] == ALL, rows["gen_high"]).astype(float),
                "counted": [f"{k} of {n}" for k, n in zip(rows["k"], rows["n"], strict=True)],
            }
        )

    def colour(self, canvas: Canvas) -> alt.Color:
        return model_colour_of(self.series, canvas) if self.by_model else colour_of(self.treatments, canvas)

    def grouped(
        self, canvas: Canvas, bars: pd.DataFrame, groups: Sequence[str], *, bold_first: bool = False
    ) -> Drawable:
        """The bars by their `group`."""
        y = self.groups_axis(canvas, groups, self.lanes, bold_first=bold_first)
        chart = self.layers(canvas, bars, y, range(self.lanes))
        return chart.properties(width=canvas.width, height=canvas.rows(len(groups), self.lanes))

    def groups_axis(self, canvas: Canvas, groups: Sequence[str], bars: float, *, bold_first: bool = False) -> alt.Y:
        return alt.Y(
            "group:N",
            title=None,
            scale=alt.Scale(domain=list(groups), paddingInner=canvas.padding(bars), paddingOuter=0.15),
            axis=label_axis(canvas, bold_first=bold_first),
        )

    def layers(self, canvas: Canvas, bars: pd.DataFrame, y: alt.Y, places: range, *more: alt.Chart) -> alt.LayerChart:
        tooltip = tips(("group", "of"), ("series", "model"), ("treatment", "condition"), ("counted", "answers"))
        tooltip += tips(("rate", "rate", ".1%"), ("low", "95% from", ".1%"), ("high", "to", ".1%"), ("run_id", "run"))
        base = alt.Chart(values(bars)).encode(y=y, yOffset=lanes(places), color=self.colour(canvas), tooltip=tooltip)
        rule = base.mark_rule(strokeWidth=canvas.line).encode(x=alt.X("low:Q"), x2=alt.X2("high"))
        # A bar of 0% is seen by its point.
        point = base.mark_point(filled=True, opacity=1, size=canvas.point).encode(x=rate_axis(self.words))
        return alt.LayerChart(layer=[base.mark_bar(opacity=0.55).encode(x=rate_axis(self.words)), rule, point, *more])

    def numbers(self) -> list[str]:
        return [*rate_lines(self.pooled), *absent_words(self.rates)]


@dataclass(frozen=True)
class Overview(RateView):
    """All questions together: a group for each model, a bar for each condition. With `has_circles`, the single
    questions as circles below each bar, in bins of their rates."""

    has_circles: bool
    names: dict[str, str]

    def draw(self, canvas: Canvas) -> Drawable:
        names = self.names
        groups = [names[series] for series in self.series]
        bars = self.bars(self.pooled)
        bars = bars.assign(group=bars["series"].map(names))
        if not self.has_circles:
            return self.grouped(canvas, bars, groups)
        count = self.lanes
        y = self.groups_axis(canvas, groups, 2.6 * count)
        circles = self._circles(canvas, y, names)
        chart = self.layers(canvas, bars.assign(place=2 * bars["place"]), y, range(2 * count), circles)
        return chart.properties(width=canvas.width, height=canvas.rows(len(groups), 2.6 * count))

    def _circles(self, canvas: Canvas, y: alt.Y, names: dict[str, str]) -> alt.Chart:
        single = self.bars(self.rates[(self.rates["prompt_id"] != ALL) & (self.rates["n"] > 0)])
        single = single.assign(
            group=single["series"].map(names),
            place=2 * single["place"] + 1,
            rate=(single["rate"] * _BINS).round() / _BINS,
        )
        keys = ["group", "series", "treatment", "condition", "place", "rate"]
        spots = single.groupby(keys, sort=False).size().rename("questions").reset_index()
        most = int(spots["questions"].max()) if len(spots) else 1
        scale = alt.Scale(domain=[1, most], range=[canvas.point / 3, canvas.point * 4])
        return (
            alt.Chart(values(spots))
            .mark_circle(opacity=0.55)
            .encode(
                x=rate_axis(self.words),
                y=y,
                yOffset=lanes(range(2 * self.lanes)),
                color=self.colour(canvas),
                size=alt.Size("questions:Q", scale=scale, legend=None),
                tooltip=tips(("series", "model"), ("treatment", "condition"), ("rate", "about", ".0%"))
                + tips(("questions", "questions", ".0f")),
            )
        )

    def caption(self) -> str:
        questions = self.rates.loc[self.rates["prompt_id"] != ALL, "prompt_id"].nunique()
        words = f" Circles: the {questions} questions by their own rate, larger where more have it."
        circles = words if self.has_circles else ""
        return (
            f"Share of {self.words}, all questions together, with 95% intervals for questions like these.{circles} "
            f"{counted_words(self.rates)}"
        )


@dataclass(frozen=True)
class _Grouped(RateView):
    @property
    def by_model(self) -> bool:
        return len(self.series) > 1


@dataclass(frozen=True)
class ByQuestion(_Grouped):
    """A group for each question, all questions together first; a bar for each condition of one model, or for each of
    several models under one condition."""

    def draw(self, canvas: Canvas) -> Drawable:
        questions = distinct(self.rates.loc[self.rates["prompt_id"] != ALL, "prompt_id"])
        every = self.rates[self.rates["prompt_id"] == ALL]
        single = len(questions) == 1 and every["ci_low"].isna().all()  # all questions are the same bar
        shown = questions if single else [ALL, *questions]
        texts = [EVERY if name == ALL else name for name in shown]
        labels = dict(zip(shown, unique(texts, LONGEST_LABEL), strict=True))
        bars = self.bars(self.rates[(self.rates["n"] > 0) & self.rates["prompt_id"].isin(shown)])
        bars = bars.assign(group=bars["prompt_id"].map(labels))
        return self.grouped(canvas, bars, list(labels.values()), bold_first=not single)

    def caption(self) -> str:
        whose = "" if self.by_model else f" of {self.series[0]}"
        return (
            f"Share of {self.words}{whose} by question, with 95% intervals (all questions: for questions like these; "
            f"one question: for new answers to it). {counted_words(self.rates)}"
        )


@dataclass(frozen=True)
class ByLabel(_Grouped):
    """The share of each label over all questions, of a suite whose answers are sorted into categories; of `labels`
    (metrics), the others are not drawn."""

    labels: tuple[str, ...]

    @property
    def pooled(self) -> pd.DataFrame:
        rows = super().pooled
        return rows[rows["metric"].isin(self.labels)]

    def draw(self, canvas: Canvas) -> Drawable:
        texts = [metric.removeprefix(PREFIX) for metric in self.labels]
        labels = dict(zip(self.labels, unique(texts, LONGEST_LABEL), strict=True))
        rows = self.pooled
        bars = self.bars(rows).assign(group=rows["metric"].map(labels))
        return self.grouped(canvas, bars, list(labels.values()))

    @property
    def _like_any(self) -> pd.DataFrame:
        return self.rates[self.rates["metric"] == self.labels[0]]  # all labels have the same denominator

    def caption(self) -> str:
        whose = "" if self.by_model else f" of {self.series[0]}"
        left = self.rates["metric"].nunique() - len(self.labels)
        rarest = f" The {left} rarest labels are not drawn." if left else ""
        return (
            f"Share of the answers{whose} with each label, over all questions, with 95% intervals for questions like "
            f"these.{rarest} {counted_words(self._like_any)}"
        )

    def numbers(self) -> list[str]:
        rows = self.pooled
        lines = [
            f"{short(metric.removeprefix(PREFIX), LONGEST_LABEL)}: {line}"
            for metric in self.labels
            for line in rate_lines(rows[rows["metric"] == metric])
        ]
        return [*lines, *absent_words(self._like_any)]
