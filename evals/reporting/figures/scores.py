"""Alignment scores: their distribution around the cut-off, and against coherence."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import altair as alt
import numpy as np
import pandas as pd

from evals.numbers import out_of, percent
from evals.reporting.figures.cells import grouped, row_axis
from evals.reporting.figures.drawing.encodings import colour_of, shape_of
from evals.reporting.figures.drawing.figure import Drawable, Panel, sentences, tips, values
from evals.reporting.figures.drawing.frames import (
    CELL,
    condition_labels,
    in_order,
    place_words,
    series_in,
    slug,
    trials_of,
)
from evals.reporting.figures.drawing.theme import MOST_MODELS, NEUTRAL, Canvas
from evals.runner.count import Counted
from evals.scoring.coherence_floor import CoherenceFloor, floor_of
from evals.scoring.metric import MISALIGNED_BELOW

NEAR = 10.0
"""Scores within so many points (of 0-100) of the cut-off are near it."""
MOST_POINTS = 2000
"""The most answers drawn as single points."""
_BIN = 5.0
_TALL = 3.0  # a histogram's height, in bars
_FLOOR = 0.94  # the baseline of a histogram in its row, from the top


def score_panels(runs: Sequence[Counted]) -> list[Panel]:
    """Panels of histograms for each suite and format with alignment scores."""
    trials = trials_of(runs, ["outcome", "aligned"])
    scored = trials[trials["aligned"].notna() & (trials["outcome"] == "scored")]
    panels: list[Panel] = []
    for place, group in scored.groupby(["suite", "format"], sort=False):
        suite, fmt = (str(part) for part in place)
        aside = trials["aligned"].notna() & (trials["suite"] == suite) & (trials["format"] == fmt)
        shown = series_in(group, runs)
        for start in range(0, len(shown), MOST_MODELS):
            few = shown[start : start + MOST_MODELS]
            set_aside = int((aside & trials["series"].isin(few)).sum() - group["series"].isin(few).sum())
            view = _Histograms(group[group["series"].isin(few)], runs, set_aside)
            panels.append(_panel(suite, fmt, view, start, len(few), len(shown)))
    return panels


def _panel(suite: str, fmt: str, view: _Histograms | _Coherence, start: int, few: int, models: int) -> Panel:
    """The panel of `few` of the models, from the one numbered `start`."""
    is_part = few < models
    heading = place_words(suite, fmt) + (f", models {start + 1} to {start + few}" if is_part else "")
    key = slug(suite, fmt, f"{start // MOST_MODELS + 1}" if is_part else "")
    return Panel(key, heading, view.caption(), view.data(), view.draw)


@dataclass(frozen=True)
class _Histograms:
    """The scores of one suite and format, with a histogram for each model and condition."""

    trials: pd.DataFrame
    runs: Sequence[Counted]
    set_aside: int

    def data(self) -> pd.DataFrame:
        """A row for each non-empty bin, from `score_from` to below `score_to` (the last includes 100)."""
        keys = ["run_id", *CELL]
        counted = (
            self.trials.assign(score_from=_bin(self.trials["aligned"]))
            .groupby([*keys, "score_from"], sort=False)
            .size()
        )
        frame = counted.rename("answers").reset_index().sort_values([*keys, "score_from"], kind="stable")
        total = frame.groupby(keys)["answers"].transform("sum")
        near = (self.trials["aligned"] - MISALIGNED_BELOW).abs().le(NEAR)
        nears = self.trials.assign(near=near).groupby(keys)["near"].sum().rename("answers_near_cut").reset_index()
        frame = frame.assign(score_to=frame["score_from"] + _BIN, share=frame["answers"] / total, answers_of_cell=total)
        return frame.merge(nears, on=keys).reset_index(drop=True)

    def draw(self, canvas: Canvas) -> Drawable:
        keys = ["run", "series", *CELL]
        bins = self.trials.assign(start=_bin(self.trials["aligned"]))
        counts = bins.groupby([*keys, "start"], sort=False).size().rename("answers").reset_index()
        counts = counts.assign(n=counts.groupby(keys)["answers"].transform("sum"))
        (group,) = grouped(counts, self.runs)  # one suite and format is one group
        treatments = condition_labels(self.trials)
        bars, total = group.frame, group.frame["n"]
        row = bars["row"].map(group.rows.index)
        share = bars["answers"] / total
        bars = pd.DataFrame(
            {
                "row": bars["row"],
                "treatment": bars["condition"].map(treatments),
                "start": bars["start"],
                "end": bars["start"] + _BIN,
                "share": share,
                "bottom": row + _FLOOR,
                "top": row + _FLOOR - 0.86 * share / share.max(),
                "counted": [f"{answers} of {n}" for answers, n in zip(bars["answers"], total, strict=True)],
            }
        )
        # Row names have their own axis, besides the one for heights.
        names = alt.Chart(values(pd.DataFrame({"row": group.rows}))).mark_point(opacity=0)
        names = names.encode(y=row_axis(group, canvas, padding=0.0))
        x = alt.X(
            "start:Q",
            title="alignment score (0 to 100)",
            scale=alt.Scale(domain=[0, 100], nice=False),
            axis=alt.Axis(values=[0, int(MISALIGNED_BELOW), 60, 100], grid=False),
        )
        rows = alt.Scale(domain=[0, len(group.rows)], reverse=True, nice=False)
        hidden = alt.Axis(labels=False, ticks=False, domain=False, grid=False)
        histograms = (
            alt.Chart(values(bars))
            .mark_rect(opacity=0.85)
            .encode(
                x=x,
                x2=alt.X2("end"),
                y=alt.Y("top:Q", title=None, scale=rows, axis=hidden),
                y2=alt.Y2("bottom"),
                color=colour_of({name: treatments[name] for name in in_order(self.trials["condition"])}, canvas),
                tooltip=tips(("row", "answers of"), ("start", "score from", ".0f"))
                + tips(("end", "to", ".0f"), ("counted", "answers"), ("share", "share", ".1%")),
            )
        )
        floor = alt.Chart(values(pd.DataFrame({"level": [_FLOOR + place for place in range(len(group.rows))]})))
        floor = floor.mark_rule(color=NEUTRAL, strokeWidth=0.5).encode(
            y=alt.Y("level:Q", title=None, scale=rows, axis=hidden)
        )
        cut = _line(canvas).encode(x=alt.X("at:Q", title="alignment score (0 to 100)"))
        layers = [names, alt.LayerChart(layer=[histograms, floor, cut])]
        chart = alt.LayerChart(layer=layers, resolve=alt.Resolve(scale={"y": "independent"}))
        return chart.properties(width=canvas.width, height=canvas.rows(len(group.rows), _TALL))

    def caption(self) -> str:
        near = (self.trials["aligned"] - MISALIGNED_BELOW).abs().le(NEAR)
        count, total = int(near.sum()), len(near)
        return sentences(
            [
                f"Alignment scores of {total:,} answers, in bins of {_BIN:.0f} points; heights are shares of the "
                f"answers of a row. Dashed: the cut-off, below {MISALIGNED_BELOW:.0f} an answer is misaligned.",
                f"{out_of(count, total)} scores ({percent(count / total)}) are within {NEAR:.0f} points of it.",
                f"Not shown: {self.set_aside:,} scored answers that are set aside (incoherent)."
                if self.set_aside
                else "",
            ]
        )


def _bin(scores: pd.Series[float]) -> pd.Series[float]:
    """The start of each score's bin."""
    return scores.floordiv(_BIN).clip(0, 100 / _BIN - 1) * _BIN


def _line(canvas: Canvas) -> alt.Chart:
    """The alignment cut-off as a dashed line."""
    data = alt.InlineData(values=[{"at": MISALIGNED_BELOW}])
    return alt.Chart(data).mark_rule(color=NEUTRAL, strokeDash=[4, 3], strokeWidth=canvas.line)


# --- coherence -------------------------------------------------------------------------------------------------------


def coherence_panels(runs: Sequence[Counted]) -> list[Panel]:
    """Panels for each suite and format with both alignment and coherence scores."""
    trials = trials_of(runs, ["outcome", "aligned", "coherent"])
    both = trials[trials["aligned"].notna() & trials["coherent"].notna()]
    panels: list[Panel] = []
    for place, group in both.groupby(["suite", "format"], sort=False):
        suite, fmt = (str(part) for part in place)
        shown = series_in(group, runs)
        least = sorted({floor for run in runs if (floor := floor_of(run.manifest.config.coherence_min)) is not None})
        for start in range(0, len(shown), MOST_MODELS):
            few = shown[start : start + MOST_MODELS]
            view = _Coherence(group[group["series"].isin(few)].reset_index(drop=True), tuple(few), tuple(least))
            panels.append(_panel(suite, fmt, view, start, len(few), len(shown)))
    return panels


@dataclass(frozen=True)
class _Coherence:
    """Alignment against coherence for one suite and format. `least` are the runs' coherence cut-offs."""

    trials: pd.DataFrame
    series: tuple[str, ...]
    least: tuple[CoherenceFloor, ...]

    @property
    def _has_points(self) -> bool:
        return len(self.trials) <= MOST_POINTS

    def data(self) -> pd.DataFrame:
        """A row for each pair of scores in a cell, with its number of answers."""
        keys = ["run_id", *CELL, "outcome", "aligned", "coherent"]
        texts = self.trials.astype({"outcome": "object"})
        return texts.groupby(keys, sort=False).size().rename("answers").reset_index()

    def draw(self, canvas: Canvas) -> Drawable:
        x = alt.X(
            "coherent:Q",
            title="coherence (0 to 100)",
            scale=alt.Scale(domain=[-3, 103], nice=False),
            axis=alt.Axis(values=list(range(0, 101, 20))),
        )
        y = alt.Y(
            "aligned:Q",
            title="alignment (0 to 100)",
            scale=alt.Scale(domain=[-3, 103], nice=False),
            axis=alt.Axis(values=list(range(0, 101, 20))),
        )
        marks = self._points(canvas, x, y) if self._has_points else self._squares(x, y)
        chart = alt.LayerChart(layer=[marks, *self._lines(canvas)])
        return chart.properties(width=canvas.width, height=30 * canvas.bar)

    def _points(self, canvas: Canvas, x: alt.X, y: alt.Y) -> alt.Chart:
        treatments = condition_labels(self.trials)
        # Scores are mostly whole numbers, so equal ones would overlap.
        shift = np.random.default_rng(0).uniform(-1.2, 1.2, (2, len(self.trials)))
        points = pd.DataFrame(
            {
                "series": self.trials["series"],
                "treatment": self.trials["condition"].map(treatments),
                "aligned": (self.trials["aligned"] + shift[0]).round(2),
                "coherent": (self.trials["coherent"] + shift[1]).round(2),
                "alignment": self.trials["aligned"],
                "coherence": self.trials["coherent"],
                "outcome": self.trials["outcome"].astype(str),
            }
        )
        chart = (
            alt.Chart(values(points))
            .mark_point(filled=True, opacity=0.6, size=canvas.point * 0.7)
            .encode(
                x=x,
                y=y,
                color=colour_of({name: treatments[name] for name in in_order(self.trials["condition"])}, canvas),
                tooltip=tips(("series", "model"), ("treatment", "condition"), ("alignment", "alignment", ".1f"))
                + tips(("coherence", "coherence", ".1f"), ("outcome", "outcome")),
            )
        )
        return chart.encode(shape=shape_of(self.series, canvas)) if len(self.series) > 1 else chart

    def _squares(self, x: alt.X, y: alt.Y) -> alt.Chart:
        low = pd.DataFrame(
            {
                name: np.clip(np.floor(self.trials[name] / _BIN), 0, 100 / _BIN - 1) * _BIN
                for name in ("aligned", "coherent")
            }
        )
        squares = low.value_counts(sort=False).rename("answers").reset_index()
        squares = squares.assign(aligned_to=squares["aligned"] + _BIN, coherent_to=squares["coherent"] + _BIN)
        return (
            alt.Chart(values(squares))
            .mark_rect()
            .encode(
                x=x,
                x2=alt.X2("coherent_to"),
                y=y,
                y2=alt.Y2("aligned_to"),
                color=alt.Color(
                    "answers:Q",
                    title="answers",
                    scale=alt.Scale(scheme="viridis", type="log"),
                    legend=alt.Legend(orient="top"),
                ),
                tooltip=tips(("aligned", "alignment from", ".0f"), ("coherent", "coherence from", ".0f"))
                + tips(("answers", "answers", ".0f")),
            )
        )

    def _lines(self, canvas: Canvas) -> Iterator[alt.Chart]:
        yield _line(canvas).encode(y=alt.Y("at:Q", title="alignment (0 to 100)"))
        if self.least:
            data = alt.InlineData(values=[{"at": cut.score} for cut in self.least])
            rule = alt.Chart(data).mark_rule(color=NEUTRAL, strokeDash=[4, 3], strokeWidth=canvas.line)
            yield rule.encode(x=alt.X("at:Q", title="coherence (0 to 100)"))

    def caption(self) -> str:
        cuts = f"alignment below {MISALIGNED_BELOW:.0f} is misaligned"
        if self.least:
            floors = " or ".join(f"{'not above' if cut.is_exclusive else 'below'} {cut.score:g}" for cut in self.least)
            cuts += f", coherence {floors} is set aside"
        aside = int((self.trials["outcome"] == "incoherent").sum())
        return sentences(
            [
                f"Alignment against coherence of the {len(self.trials):,} answers judged for both"
                + (" (points are moved by up to 1.2 to be seen)." if self._has_points else ", counted in squares."),
                f"Dashed: {cuts}.",
                f"{aside:,} of them are set aside as incoherent." if aside else "",
            ]
        )
