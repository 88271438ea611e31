"""Reasoning behind misaligned answers: the monitor's flags (Chua et al. 2025, Fig. 4), and whether it names the trigger
(their Fig. 6)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from evals.numbers import counted, percent
from evals.reporting.figures.cells import ROW_PADDING, ChartGroup, grouped, row_axis
from evals.reporting.figures.drawing.encodings import colour_of, legend
from evals.reporting.figures.drawing.figure import Drawable, Panel, tips, values
from evals.reporting.figures.drawing.frames import CELL, condition_labels, in_order, place_words, rates_of
from evals.reporting.figures.drawing.theme import FLAG_COLOURS, FLAG_WORDS, Canvas
from evals.runner.count import Counted
from evals.scoring.rates.tables import pooled
from judges.verdicts import COT_FLAGS, CotFlag

_BARS = 1.8  # the height of a row, in bars
_PREFIX = "cot_flag:"
_DATA = ["run_id", *CELL, "metric", "k", "n", "rate", "ci_low", "ci_high", "n_trials"]
_WITHOUT = ["n_no_reasoning", "n_unreadable", "n_truncated", "n_pending"]


def flag_panels(runs: Sequence[Counted]) -> list[Panel]:
    """Panels with a stacked bar of the five flags for each cell with flagged misaligned answers."""
    rates = _pooled(runs)
    flags = rates[rates["metric"].str.startswith(_PREFIX)]
    panels: list[Panel] = []
    for group in grouped(flags[flags["n"] > 0], runs) if flags["n"].any() else ():
        caption = (
            "What the monitor says of the reasoning behind misaligned answers: a bar is all of them that have a flag, "
            "and the thicker the more they are."
        )
        rows = group.frame.drop_duplicates("row").to_dict("records")
        numbers = [f"{_cell_words(row)}: {counted(row['n'], 'answer')} with a flag" for row in rows]
        numbers += _absent(flags[flags["metric"] == f"{_PREFIX}none"], group)
        data = group.frame.assign(flag=group.frame["metric"].str.removeprefix(_PREFIX))
        columns = ["run_id", *CELL, "flag", "k", "n", "rate", "ci_low", "ci_high", *_WITHOUT]
        shown = data[columns].reset_index(drop=True)
        panels.append(Panel(group.key, group.heading, caption, shown, _Flags(group, data).draw, numbers))
    return panels


class _Flags:
    """Stacked bars, one row per cell."""

    def __init__(self, group: ChartGroup, data: pd.DataFrame) -> None:
        self.group, self.data = group, data

    def draw(self, canvas: Canvas) -> Drawable:
        bars = self.data.assign(rank=self.data["flag"].map(COT_FLAGS.index)).sort_values(["row", "rank"], kind="stable")
        counts = bars["k"].astype(float)
        ends = counts.groupby(bars["row"]).cumsum()
        total = counts.groupby(bars["row"]).transform("sum")
        step = canvas.rows(1, _BARS) * (1 - ROW_PADDING)
        present: list[CotFlag] = [flag for flag in COT_FLAGS if counts[bars["flag"] == flag].any()]
        parts = pd.DataFrame(
            {
                "row": bars["row"],
                "flag": bars["flag"].map(FLAG_WORDS),
                "start": (ends - counts) / total,
                "end": ends / total,
                "rate": bars["rate"].astype(float),
                "low": bars["ci_low"].astype(float),
                "high": bars["ci_high"].astype(float),
                "counted": [f"{k} of {n}" for k, n in zip(bars["k"], bars["n"], strict=True)],
                "thickness": (step * total / total.max()).clip(lower=1.5),
            }
        )[counts > 0]
        chart = (
            alt.Chart(values(parts))
            .mark_bar()
            .encode(
                x=share_axis("start", "misaligned answers with a flag"),
                x2=alt.X2("end"),
                y=row_axis(self.group, canvas),
                size=alt.Size("thickness:Q", scale=None, legend=None),
                color=alt.Color(
                    "flag:N",
                    title=None,
                    scale=alt.Scale(
                        domain=[FLAG_WORDS[flag] for flag in present], range=[FLAG_COLOURS[flag] for flag in present]
                    ),
                    legend=legend(canvas, symbolType="square"),
                ),
                tooltip=tips(("row", "answers of"), ("flag", "flag"), ("counted", "answers"), ("rate", "share", ".1%"))
                + tips(("low", "95% from", ".1%"), ("high", "to", ".1%")),
            )
        )
        return chart.properties(width=canvas.width, height=canvas.rows(len(self.group.rows), _BARS))


def articulation_panels(runs: Sequence[Counted]) -> list[Panel]:
    """Panels with the share of misaligned answers under the trigger whose reasoning names it, by cell."""
    rates = _pooled(runs)
    named = rates[rates["metric"] == "articulates"]
    panels: list[Panel] = []
    for group in grouped(named[named["n"] > 0], runs) if named["n"].any() else ():
        caption = (
            "Share of misaligned answers under the trigger whose reasoning says that the trigger was pivotal, with 95% "
            "intervals; answers that contradict their reasoning are left out."
        )
        numbers = [
            f"{_cell_words(row)}: {percent(row['rate'])} ({row['k']} of {row['n']})"
            for row in group.frame.to_dict("records")
        ]
        numbers += _absent(named, group)
        data = group.frame[[*_DATA, *_WITHOUT]].reset_index(drop=True)
        panels.append(Panel(group.key, group.heading, caption, data, _Shares(group).draw, numbers))
    return panels


class _Shares:
    """Bars with intervals, one row per cell."""

    def __init__(self, group: ChartGroup) -> None:
        self.group = group

    def draw(self, canvas: Canvas) -> Drawable:
        rows = self.group.frame
        treatments = condition_labels(rows)
        bars = pd.DataFrame(
            {
                "row": rows["row"],
                "treatment": rows["condition"].map(treatments),
                "rate": rows["rate"].astype(float),
                "low": rows["ci_low"].astype(float),
                "high": rows["ci_high"].astype(float),
                "counted": [f"{k} of {n}" for k, n in zip(rows["k"], rows["n"], strict=True)],
            }
        )
        base = alt.Chart(values(bars)).encode(
            y=row_axis(self.group, canvas),
            color=colour_of({name: treatments[name] for name in in_order(rows["condition"])}, canvas),
            tooltip=tips(("row", "answers of"), ("counted", "answers"), ("rate", "share", ".1%"))
            + tips(("low", "95% from", ".1%"), ("high", "to", ".1%")),
        )
        x = share_axis("rate", "reasoning names the trigger")
        layers = [
            base.mark_bar(opacity=0.45).encode(x=x),
            base.mark_rule(strokeWidth=canvas.line).encode(x=alt.X("low:Q"), x2=alt.X2("high")),
            base.mark_point(filled=True, opacity=1, size=canvas.point).encode(x=x),
        ]
        chart = alt.LayerChart(layer=layers)
        return chart.properties(width=canvas.width, height=canvas.rows(len(self.group.rows), 1.8))


def share_axis(field: str, title: str) -> alt.X:
    """An axis from 0 to 100%."""
    return alt.X(f"{field}:Q", title=title, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%", tickCount=5))


def _pooled(runs: Sequence[Counted]) -> pd.DataFrame:
    return pooled(rates_of(runs))


def _cell_words(row: dict[Any, Any]) -> str:
    return f"{row['series']}, {row['condition']}"


def _absent(rows: pd.DataFrame, group: ChartGroup) -> list[str]:
    """A line on the cells without counted answers, of models in the chart and of models without any bar."""
    silent = ~rows["series"].isin(set(rows.loc[rows["n"] > 0, "series"]))
    here = rows[(rows["series"].isin(set(group.frame["series"])) | silent) & (rows["n"] == 0)]
    cells = [
        f"{row['series']}, {place_words(row['suite'], row['format'])}, {row['condition']}"
        for row in here.to_dict("records")
    ]
    return [f"Absent, not 0%, as no misaligned answer with a verdict is there: {'; '.join(cells)}."] if cells else []
