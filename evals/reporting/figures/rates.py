"""Rates: bars with 95% intervals by question, model and condition, all questions together first."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import partial
from typing import Any

import altair as alt
import pandas as pd

from evals.numbers import percent, percent_range
from evals.reporting.figures.figure import Drawable, Panel, sentences, tips, values
from evals.reporting.figures.frames import (
    CELL,
    METRIC_WORDS,
    condition_labels,
    distinct,
    in_order,
    label_rates,
    place_words,
    primary_rates,
    series_in,
    short,
    slug,
    unique,
)
from evals.reporting.figures.theme import MODEL_SHAPES, MOST_MODELS, NEUTRAL, Canvas, condition_colours
from evals.runner.count import Counted
from evals.scoring.label_metrics import PREFIX
from evals.scoring.rates.tables import pooled
from evals.trials.prompt import ALL, Format

MOST_QUESTIONS, MOST_BARS = 25, 110
"""Above these numbers bars by question are unreadable, and questions are shown together."""
_FEWEST_LABELS = 12
"""As many labels are drawn at least, however little room there is."""
_EVERY = "All questions"
_BINS = 20
_ABSENCES = {
    "n_refused": "refused",
    "n_code": "code",
    "n_incoherent": "incoherent",
    "n_outside": "left out by a filter",
    "n_truncated": "cut off",
    "n_empty": "empty",
    "n_failed": "failed",
    "n_unreadable": "unreadable by the judge",
    "n_pending": "not asked or not judged yet",
}
_INTERVALS = ["ci_low", "ci_high", "ci_method", "gen_low", "gen_high", "gen_method"]
_DATA = ["run_id", *CELL, "prompt_id", "metric", "k", "n", "rate", *_INTERVALS, "n_trials"]


def rate_panels(runs: Sequence[Counted], only: Format | None = None, most_bars: int = MOST_BARS) -> list[Panel]:
    """Panels for each suite and format with counted answers (or only the format `only`), split if there are too many
    models to tell apart. Above `most_bars` bars the questions are shown together."""
    panels: list[Panel] = []
    for place, rates in primary_rates(runs).groupby(["suite", "format", "metric"], sort=False):
        suite, fmt, metric = (str(part) for part in place)
        if only in (None, fmt):
            panels += _panels(suite, fmt, rates, runs, partial(_View, metric, most_bars=most_bars))
    for place, rates in label_rates(runs).groupby(["suite", "format"], sort=False):
        suite, fmt = (str(part) for part in place)
        if only in (None, fmt):
            panels += _panels(suite, fmt, rates, runs, partial(_LabelView, "", most_bars=most_bars))
    return panels


def _panels(
    suite: str, fmt: str, rates: pd.DataFrame, runs: Sequence[Counted], view_of: Callable[..., _View]
) -> Iterator[Panel]:
    shown = series_in(rates[rates["n"] > 0], runs)
    for start in range(0, len(shown), MOST_MODELS):
        few = shown[start : start + MOST_MODELS]
        # Models without a counted answer have no bar anywhere; the first caption names them.
        silent = [] if start else [series for series in series_in(rates, runs) if series not in shown]
        view = view_of(rates=rates[rates["series"].isin([*few, *silent])], series=tuple(few))
        part = f"{start // MOST_MODELS + 1}" if len(shown) > MOST_MODELS else ""
        heading = place_words(suite, fmt) + (f", models {start + 1} to {start + len(few)}" if part else "")
        yield Panel(slug(suite, fmt, part), heading, view.caption(), view.data(), view.draw)


@dataclass(frozen=True)
class _View:
    """The rates of one metric, suite and format, for some series."""

    metric: str
    rates: pd.DataFrame
    series: tuple[str, ...]
    most_bars: int

    def data(self) -> pd.DataFrame:
        return self.rates[[*_DATA, *_ABSENCES]].reset_index(drop=True)

    def draw(self, canvas: Canvas) -> Drawable:
        return self._by_question(canvas) if self._is_readable else self._together(canvas)

    @property
    def _words(self) -> str:
        return METRIC_WORDS[self.metric]

    @property
    def _pooled(self) -> pd.DataFrame:
        rows = pooled(self.rates)
        return rows[rows["n"] > 0]

    @property
    def _questions(self) -> list[str]:
        return distinct(self.rates.loc[self.rates["prompt_id"] != ALL, "prompt_id"])

    @property
    def _cells(self) -> list[tuple[str, str, str]]:
        """The series, condition and trigger of each bar of a group, in order."""
        pooled = self._pooled
        cells = distinct(
            [
                (str(series), str(condition), str(trigger))
                for series, condition, trigger in zip(
                    pooled["series"], pooled["condition"], pooled["trigger"], strict=True
                )
            ]
        )
        place = {name: number for number, name in enumerate(in_order(pooled["condition"]))}
        return sorted(cells, key=lambda cell: (self.series.index(cell[0]), place[cell[1]]))

    @property
    def _is_readable(self) -> bool:
        count = len(self._questions)
        return count <= MOST_QUESTIONS and count * len(self._cells) <= self.most_bars

    def _by_question(self, canvas: Canvas) -> Drawable:
        ids = [ALL, *self._questions]
        labels = dict(zip(ids, unique([_EVERY, *ids[1:]], 60), strict=True))
        single = len(ids) == 2  # one question: all questions are the same bar
        shown = ids[1:] if single else ids
        bars = self._bars(self.rates[(self.rates["n"] > 0) & self.rates["prompt_id"].isin(shown)])
        bars = bars.assign(question=bars["prompt_id"].map(labels), strength=bars["prompt_id"].eq(ALL) * 0.3 + 0.3)
        return self._grouped(canvas, bars, [labels[question] for question in shown], bold_first=not single)

    def _grouped(self, canvas: Canvas, bars: pd.DataFrame, groups: Sequence[str], *, bold_first: bool) -> Drawable:
        """The bars by `question`, with a bar for each cell."""
        cells = self._cells
        y = alt.Y(
            "question:N",
            title=None,
            scale=alt.Scale(domain=list(groups), paddingInner=canvas.padding(len(cells)), paddingOuter=0.15),
            axis=_group_axis(canvas, bold_first=bold_first),
        )
        chart = self._layers(canvas, bars, y, range(len(cells)))
        return chart.properties(width=canvas.width, height=canvas.rows(len(groups), len(cells)))

    def _together(self, canvas: Canvas) -> Drawable:
        cells = self._cells
        lanes = distinct([(condition, trigger) for _, condition, trigger in cells])
        cell_rows = [2 * lanes.index((condition, trigger)) for _, condition, trigger in cells]
        bars = self._bars(self._pooled).assign(strength=0.6)
        bars = bars.assign(place=bars["place"].map(dict(enumerate(cell_rows))))
        y = alt.Y(
            "series:N",
            title=None,
            scale=alt.Scale(domain=list(self.series), paddingInner=0.15, paddingOuter=0.1),
            axis=_group_axis(canvas, bold_first=False),
        )
        single = self._bars(self.rates[(self.rates["prompt_id"] != ALL) & (self.rates["n"] > 0)])
        single = single.assign(
            place=single["place"].map(dict(enumerate(cell_rows))) + 1, rate=(single["rate"] * _BINS).round() / _BINS
        )
        keys = ["series", "treatment", "condition", "place", "rate"]
        spots = single.groupby(keys, sort=False).size().rename("questions").reset_index()
        dots = (
            alt.Chart(values(spots))
            .mark_circle(opacity=0.55)
            .encode(
                x=_rate_axis(self._words),
                y=y,
                yOffset=_offset(range(2 * len(lanes))),
                color=self._colour(canvas),
                size=alt.Size(
                    "questions:Q",
                    scale=alt.Scale(
                        domain=[1, int(spots["questions"].max())], range=[canvas.point / 3, canvas.point * 4]
                    ),
                    legend=None,
                ),
                tooltip=tips(("series", "model"), ("treatment", "condition"), ("rate", "about", ".0%"))
                + tips(("questions", "questions", ".0f")),
            )
        )
        chart = self._layers(canvas, bars, y, range(2 * len(lanes)), dots)
        return chart.properties(width=canvas.width, height=canvas.rows(len(self.series), 2.6 * len(lanes)))

    def _bars(self, rows: pd.DataFrame) -> pd.DataFrame:
        places = {cell: number for number, cell in enumerate(self._cells)}
        keys = zip(rows["series"], rows["condition"], rows["trigger"], strict=True)
        return pd.DataFrame(
            {
                "run_id": rows["run_id"].map(short),
                "prompt_id": rows["prompt_id"],
                "model": rows["model"].map(_long_name),
                "series": rows["series"],
                "condition": rows["condition"],
                "treatment": rows["condition"].map(condition_labels(self.rates)),
                "place": [places[key] for key in keys],
                "rate": rows["rate"].astype(float),
                # A row of one question has the interval of new answers to it.
                "low": rows["ci_low"].where(rows["prompt_id"] == ALL, rows["gen_low"]).astype(float),
                "high": rows["ci_high"].where(rows["prompt_id"] == ALL, rows["gen_high"]).astype(float),
                "counted": [f"{k} of {n}" for k, n in zip(rows["k"], rows["n"], strict=True)],
                "trials": rows["n_trials"],
            }
        )

    def _layers(self, canvas: Canvas, bars: pd.DataFrame, y: alt.Y, places: range, *more: alt.Chart) -> alt.LayerChart:
        shown = [("question", "question")] if "question" in bars else []
        tooltip = tips(*shown, ("series", "model"), ("treatment", "condition"), ("counted", "answers"))
        tooltip += tips(("rate", "rate", ".1%"), ("low", "95% from", ".1%"), ("high", "to", ".1%"), ("run_id", "run"))
        base = alt.Chart(values(bars)).encode(y=y, yOffset=_offset(places), color=self._colour(canvas), tooltip=tooltip)
        point = base.mark_point(filled=True, opacity=1, size=canvas.point).encode(x=_rate_axis(self._words))
        if len(self.series) > 1:
            point = point.encode(shape=shape_of(self.series, canvas))
        layers = [
            base.mark_bar().encode(
                x=_rate_axis(self._words),
                opacity=alt.Opacity("strength:Q", scale=alt.Scale(domain=[0, 1], range=[0, 1]), legend=None),
            ),
            base.mark_rule(strokeWidth=canvas.line).encode(x=alt.X("low:Q"), x2=alt.X2("high")),
            point,
            *more,
        ]
        return alt.LayerChart(layer=layers)

    def _colour(self, canvas: Canvas) -> alt.Color:
        return colour_of(condition_labels(self._pooled), canvas)

    def caption(self) -> str:
        pooled = self._pooled
        return sentences(
            [
                f"Share of {self._words}; bars with 95% intervals (of all questions: for questions like these; of "
                "one: for new answers to it).",
                ""
                if self._is_readable
                else f"Circles: the {len(self._questions)} questions by their own rate, larger where more have it.",
                f"All questions: {_in_words(pooled)}",
                "".join(_not_counted(self.rates)),
                _without_answer(self.rates),
            ]
        )


@dataclass(frozen=True)
class _LabelView(_View):
    """The share of each label over all questions of a suite whose answers are sorted into categories."""

    @property
    def _words(self) -> str:
        return "answers with this label"

    @property
    def _labels(self) -> list[str]:
        """The labels that are drawn, as rates.csv has them in order: of too many the most frequent."""
        found = distinct(self.rates["metric"])
        room = max(_FEWEST_LABELS, self.most_bars // len(self._cells))
        if len(found) <= room:
            return found
        hits = self.rates.groupby("metric")["k"].sum()
        most = set(sorted(found, key=lambda metric: -hits[metric])[:room])
        return [metric for metric in found if metric in most]

    def draw(self, canvas: Canvas) -> Drawable:
        shown = self._labels
        texts = [metric.removeprefix(PREFIX) for metric in shown]
        labels = dict(zip(shown, unique(texts, 60), strict=True))
        rows = self._pooled
        rows = rows[rows["metric"].isin(shown)]
        bars = self._bars(rows).assign(question=rows["metric"].map(labels), strength=0.6)
        return self._grouped(canvas, bars, list(labels.values()), bold_first=False)

    def caption(self) -> str:
        pooled, shown = self._pooled, self._labels
        words = [
            f"{short(metric.removeprefix(PREFIX), 60)}: {_in_words(pooled[pooled['metric'] == metric])}"
            for metric in shown
        ]
        left = self.rates["metric"].nunique() - len(shown)
        like_any = self.rates[self.rates["metric"] == shown[0]]  # all labels have the same denominator
        return sentences(
            [
                "Share of the answers with each label, over all questions; bars with 95% intervals (for questions like "
                "these).",
                *words,
                f"The {left} rarest labels are not drawn." if left else "",
                "".join(_not_counted(like_any)),
                _without_answer(like_any),
            ]
        )


def _long_name(text: object) -> str:
    return short(str(text), 80)


def colour_of(labels: dict[str, str], canvas: Canvas) -> alt.Color:
    """The colour encoding of conditions."""
    return alt.Color(
        "treatment:N",
        title=None,
        scale=alt.Scale(domain=list(labels.values()), range=list(condition_colours(labels).values())),
        legend=legend(canvas, symbolType="square", symbolOpacity=1),
    )


def shape_of(series: Sequence[str], canvas: Canvas) -> alt.Shape:
    """The shape encoding of models."""
    return alt.Shape(
        "series:N",
        title=None,
        scale=alt.Scale(domain=list(series), range=list(MODEL_SHAPES[: len(series)])),
        legend=legend(canvas, symbolFillColor=NEUTRAL, symbolStrokeColor=NEUTRAL, symbolOpacity=1),
    )


def legend(canvas: Canvas, **more: Any) -> alt.Legend | None:
    """A legend above the plot, None on a canvas without one."""
    if not canvas.has_legend:
        return None
    settings: dict[str, Any] = {"columns": canvas.legend_columns, "labelLimit": canvas.legend_label} | more
    return alt.Legend(orient="top", **settings)


def _group_axis(canvas: Canvas, *, bold_first: bool) -> alt.Axis:
    # The test is on the index of a label, not on its text.
    weight: Any = {"condition": {"test": "datum.index === 0", "value": "bold"}, "value": "normal"}
    return alt.Axis(
        labelLimit=canvas.label,
        labelPadding=7,
        ticks=False,
        domain=False,
        labelFontWeight=weight if bold_first else alt.Undefined,
    )


def _rate_axis(title: str) -> alt.X:
    return alt.X(
        "rate:Q",
        title=title,
        scale=alt.Scale(domain=[0, 1]),
        axis=alt.Axis(format=".0%", tickCount=5),
    )


def _offset(places: range) -> alt.YOffset:
    return alt.YOffset("place:O", scale=alt.Scale(domain=list(places), paddingInner=0.15))


def _in_words(pooled: pd.DataFrame) -> str:
    cells = [
        f"{row['series']}, {row['condition']}: {percent(row['rate'])} ({row['k']} of {row['n']}, 95% interval "
        f"{percent_range(row['ci_low'], row['ci_high'])})"
        for row in pooled.to_dict("records")
    ]
    return f"{'; '.join(cells)}."


def _not_counted(rates: pd.DataFrame) -> Iterator[str]:
    rows = pooled(rates)
    trials, counted = int(rows["n_trials"].sum()), int(rows["n"].sum())
    if counted == trials:
        yield f"All {trials} trials are counted."
        return
    reasons = [f"{int(rows[name].sum())} {words}" for name, words in _ABSENCES.items() if rows[name].sum()]
    yield f"Of {trials} trials {counted} are counted; not counted: {', '.join(reasons)}."


def _without_answer(rates: pd.DataFrame) -> str:
    """A note on what has no bar because nothing was counted."""
    empty = rates[rates["n"] == 0]
    cells = pooled(empty)
    whole = [f"{row['series']}, {row['condition']}" for row in cells.to_dict("records")]
    single = len(empty) - len(cells)
    parts = [f"no answer at all of {'; '.join(whole)}"] if whole else []
    parts += [f"no counted answer in {single} of {(rates['prompt_id'] != ALL).sum()} single bars"] if single else []
    return f"Absent, not 0%: {'; '.join(parts)}." if parts else ""
