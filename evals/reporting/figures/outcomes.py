"""Outcomes of trials: every trial exactly once, scored or not."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from evals.reporting.figures.cells import ChartGroup, grouped, row_axis
from evals.reporting.figures.drawing.encodings import legend
from evals.reporting.figures.drawing.figure import Drawable, Panel, sentences, tips, values
from evals.reporting.figures.drawing.frames import CELL, rates_of, trials_of
from evals.reporting.figures.drawing.theme import OUTCOME_COLOURS, OUTCOMES, Canvas
from evals.runner.count import Counted
from evals.scoring.rates.tables import pooled

_KEYS = ["run", "run_id", "series", *CELL]
_EVERY_CELL = "truncated"  # a metric of all trials, whose rows have the number planned


def outcome_panels(runs: Sequence[Counted]) -> list[Panel]:
    counts = _counts(runs)
    if counts.empty:
        return []
    panels: list[Panel] = []
    for group in grouped(counts, runs):
        lost = group.frame[group.frame["outcome"] != "scored"].groupby("outcome")["trials"].sum()
        words = ", ".join(f"{lost[name]:,} {name.replace('_', ' ')}" for name in OUTCOMES if name in lost.index)
        caption = sentences(
            [
                f"How the {group.frame['trials'].sum():,} trials ended, each in exactly one place.",
                f"Not scored: {words}." if words else "All of them are scored.",
            ]
        )
        data = group.frame[["run_id", *CELL, "outcome", "trials", "n"]].rename(columns={"n": "trials_of_cell"})
        panels.append(Panel(group.key, group.heading, caption, data.reset_index(drop=True), _OutcomeBars(group).draw))
    return panels


def _counts(runs: Sequence[Counted]) -> pd.DataFrame:
    """The `trials` of each outcome in each cell, with `n`, all trials of the cell."""
    trials = trials_of(runs, ["outcome"]).astype({"outcome": "object"})
    recorded = trials.groupby([*_KEYS, "outcome"], sort=False).size().rename("trials").reset_index()
    rates = rates_of(runs)
    planned = pooled(rates, [_EVERY_CELL])[[*_KEYS, "n_trials"]]
    done = recorded.groupby(_KEYS, sort=False)["trials"].sum().rename("done").reset_index()
    rest = planned.merge(done, on=_KEYS, how="left").fillna({"done": 0})
    rest = rest.assign(trials=rest["n_trials"] - rest["done"].astype(int), outcome="not_asked")
    counts = pd.concat([recorded, rest.loc[rest["trials"] > 0, [*_KEYS, "outcome", "trials"]]], ignore_index=True)
    return counts.assign(n=counts.groupby(_KEYS)["trials"].transform("sum"))


@dataclass(frozen=True)
class _OutcomeBars:
    group: ChartGroup

    def draw(self, canvas: Canvas) -> Drawable:
        bars = self.group.frame
        bars = bars.assign(rank=bars["outcome"].map(OUTCOMES.index)).sort_values(["row", "rank"], kind="stable")
        ends = bars.groupby("row")["trials"].cumsum()
        present = [name for name in OUTCOMES if name in set(bars["outcome"])]
        parts = pd.DataFrame(
            {
                "row": bars["row"],
                "outcome": bars["outcome"].str.replace("_", " "),
                "start": ends - bars["trials"],
                "end": ends,
                "trials": bars["trials"],
                "share": bars["trials"] / bars["n"],
            }
        )
        chart = (
            alt.Chart(values(parts))
            .mark_bar()
            .encode(
                x=alt.X("start:Q", title="trials", axis=alt.Axis(tickMinStep=1, tickCount=6)),
                x2=alt.X2("end"),
                y=row_axis(self.group, canvas),
                color=alt.Color(
                    "outcome:N",
                    title=None,
                    scale=alt.Scale(
                        domain=[name.replace("_", " ") for name in present],
                        range=[OUTCOME_COLOURS[name] for name in present],
                    ),
                    legend=legend(canvas, symbolType="square", columns=2 * canvas.legend_columns),
                ),
                tooltip=tips(("row", "trials of"), ("outcome", "outcome"), ("trials", "trials", ".0f"))
                + tips(("share", "share", ".1%")),
            )
        )
        return chart.properties(width=canvas.width, height=canvas.rows(len(self.group.rows), 1.8))
