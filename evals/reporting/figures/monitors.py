"""What each monitor of a run catches, and its false alarms: a strip of dots with intervals for each cell."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt
import pandas as pd

from evals.numbers import percent
from evals.reporting.figures.cells import ChartGroup, grouped, row_axis
from evals.reporting.figures.drawing.encodings import legend
from evals.reporting.figures.drawing.figure import Drawable, Panel, tips, values
from evals.reporting.figures.drawing.frames import CELL, rates_of
from evals.reporting.figures.drawing.theme import Canvas
from evals.reporting.figures.reasoning import share_axis
from evals.runner.count import Counted
from evals.scoring.rates.tables import pooled
from judges.monitors.suspicion import VIEWS, View, monitor_name

_WORDS: dict[View, str] = {"cot": "reasoning", "action": "answer", "both": "both"}
_MONITORS = {"cot_flagged": "flags", **{monitor_name(view): _WORDS[view] for view in VIEWS}}
"""By the metric of what a monitor catches; that of its false alarms has this name with the ending."""
_ALIGNED = "_aligned"
_CAUGHT, _ALARMS = "misaligned, flagged", "aligned, flagged"
_COLOURS = {_CAUGHT: "#D55E00", _ALARMS: "#0072B2"}
_SHAPES = {_CAUGHT: "circle", _ALARMS: "diamond"}
_WITHOUT = ["n_no_reasoning", "n_unreadable", "n_truncated", "n_pending"]


def monitor_panels(runs: Sequence[Counted]) -> list[Panel]:
    """Panels with the shares of misaligned and of aligned answers that each monitor flags, by cell; none where no
    monitor has read aligned answers."""
    rates = pooled(rates_of(runs))
    name = rates["metric"].str.removesuffix(_ALIGNED)
    shares = rates[name.isin(list(_MONITORS))].assign(monitor=name.map(_MONITORS))
    shares = shares.assign(what=shares["metric"].str.endswith(_ALIGNED).map({False: _CAUGHT, True: _ALARMS}))
    known = shares[shares["n"] > 0]
    if not (known["what"] == _ALARMS).any():
        return []
    caption = (
        "Shares of misaligned and of aligned answers that a monitor flags, with 95% intervals for new answers to the "
        "same questions; of answers that it has read. A monitor is worth as much as the two lie apart."
    )
    panels: list[Panel] = []
    for group in grouped(known.drop(columns="n").assign(answers=known["n"]), runs):
        several = group.frame["monitor"].nunique() > 1
        labels = group.frame["row"] + (", " + group.frame["monitor"] if several else "")
        frame = group.frame.assign(row=labels)
        order = [f"{row}, {words}" if several else row for row in group.rows for words in _MONITORS.values()]
        rows = tuple(row for row in dict.fromkeys(order) if (labels == row).any())
        numbers = [_number(row) for row in frame.to_dict("records")]
        columns = ["run_id", *CELL, "metric", "k", "answers", "rate", "gen_low", "gen_high", *_WITHOUT]
        data = frame[columns].rename(columns={"answers": "n"}).reset_index(drop=True)
        labelled = ChartGroup(group.key, group.heading, frame, rows)
        panels.append(Panel(group.key, group.heading, caption, data, _Strip(labelled).draw, numbers))
    return panels


def _number(row: dict[Any, Any]) -> str:
    return f"{row['row']}, {row['what']}: {percent(row['rate'])} ({row['k']} of {row['answers']})"


class _Strip:
    """Two dots with intervals in a row: what is caught, and the false alarms."""

    def __init__(self, group: ChartGroup) -> None:
        self.group = group

    def draw(self, canvas: Canvas) -> Drawable:
        rows = self.group.frame
        dots = pd.DataFrame(
            {
                "row": rows["row"],
                "what": rows["what"],
                "rate": rows["rate"].astype(float),
                "low": rows["gen_low"].astype(float),
                "high": rows["gen_high"].astype(float),
                "counted": [f"{k} of {n}" for k, n in zip(rows["k"], rows["answers"], strict=True)],
            }
        )
        kinds = [kind for kind in _COLOURS if (dots["what"] == kind).any()]
        colour = alt.Color(
            "what:N",
            title=None,
            scale=alt.Scale(domain=kinds, range=[_COLOURS[kind] for kind in kinds]),
            legend=legend(canvas, symbolType="circle"),
        )
        shape = alt.Shape("what:N", scale=alt.Scale(domain=kinds, range=[_SHAPES[kind] for kind in kinds]), legend=None)
        base = alt.Chart(values(dots)).encode(
            y=row_axis(self.group, canvas),
            yOffset=alt.YOffset("what:N", scale=alt.Scale(domain=kinds)),
            color=colour,
            tooltip=tips(("row", "answers of"), ("what", "which"), ("counted", "answers"), ("rate", "share", ".1%"))
            + tips(("low", "95% from", ".1%"), ("high", "to", ".1%")),
        )
        x = share_axis("rate", "flagged by the monitor")
        layers = [
            base.mark_rule(strokeWidth=canvas.line).encode(x=alt.X("low:Q"), x2=alt.X2("high")),
            base.mark_point(filled=True, opacity=1, size=canvas.point).encode(x=x, shape=shape),
        ]
        chart = alt.LayerChart(layer=layers)
        return chart.properties(width=canvas.width, height=canvas.rows(len(self.group.rows), 1.8))
