"""Rates against references: the organism's true rates, and the paper's published figures."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from evals.analysis.calibration import compare
from evals.errors import BadInput
from evals.reporting.figures.drawing.encodings import colour_of, legend, shape_of
from evals.reporting.figures.drawing.figure import Drawable, Panel, tips, values
from evals.reporting.figures.drawing.frames import (
    condition_labels,
    distinct,
    in_order,
    place_words,
    run_id,
    series_in,
    short,
    short_names,
    slug,
    unique,
    with_series,
)
from evals.reporting.figures.drawing.theme import CONDITION_COLOURS, MOST_MODELS, NEUTRAL, Canvas
from evals.reporting.paper_tables.definitions import find_table
from evals.reporting.paper_tables.fill import Section, fill_from
from evals.reporting.paper_tables.rows import read_run
from evals.reporting.paper_tables.table import Absent
from evals.runner.count import Counted

_TABLES = ("fig9", "fig4", "fig6", "fig5", "fig8", "fig16")
"""The main figures of the paper; `emeval table` has the others."""


# --- calibration -----------------------------------------------------------------------------------------------------


def calibration_panels(runs: Sequence[Counted]) -> list[Panel]:
    """Panels of measured intervals and true rates of runs on the organism, by model and format."""
    known = [frame for number, run in enumerate(runs) if (frame := _compared(run, number)) is not None]
    if not known:
        return []
    rows = with_series(pd.concat(known, ignore_index=True), runs)
    order = {label: number for number, label in enumerate(series_in(rows, runs))}
    rows = rows.sort_values("series", key=lambda labels: labels.map(order), kind="stable")
    panels: list[Panel] = []
    for place, group in rows.groupby(["series", "suite", "format"], sort=False):
        series, suite, fmt = (str(part) for part in place)
        group = group.reset_index(drop=True)
        held, total = int(group["holds"].sum()), len(group)
        caption = (
            f"Rates over all questions with their 95% intervals, and the true rates of the organism (vertical marks). "
            f"{held} of {total} intervals hold the true rate; one in twenty may miss it by chance."
        )
        data = group.drop(columns=["run", "series"])
        heading = f"{series}, {place_words(suite, fmt)}"
        panels.append(Panel(slug(series, fmt), heading, caption, data, _Calibration(group).draw))
    return panels


def _compared(run: Counted, number: int) -> pd.DataFrame | None:
    """The rates of a run that have true rates, None if there are none."""
    try:
        compared = compare(run.manifest, run.tables.rates, run.folder)
    except BadInput:
        return None
    known = [comparison for comparison in compared if comparison.true.rate is not None]
    return pd.DataFrame(
        {
            "run": number,
            "run_id": run_id(run),
            "suite": run.manifest.config.suites[0],
            "format": [comparison.format for comparison in known],
            "model": [comparison.model for comparison in known],
            "condition": [comparison.condition for comparison in known],
            "trigger": "",
            "metric": [comparison.metric for comparison in known],
            "k": [comparison.k for comparison in known],
            "n": [comparison.n for comparison in known],
            "rate": [comparison.k / comparison.n for comparison in known],
            "ci_low": [comparison.low for comparison in known],
            "ci_high": [comparison.high for comparison in known],
            "true_rate": [comparison.true.rate for comparison in known],
            "holds": [comparison.holds for comparison in known],
        }
    )


@dataclass(frozen=True)
class _Calibration:
    rows: pd.DataFrame

    def draw(self, canvas: Canvas) -> Drawable:
        conditions = in_order(self.rows["condition"])
        treatments = condition_labels(self.rows)
        frame = pd.DataFrame(
            {
                "metric": self.rows["metric"],
                "treatment": self.rows["condition"].map(treatments),
                "place": self.rows["condition"].map(conditions.index),
                "rate": self.rows["rate"],
                "low": self.rows["ci_low"].astype(float),
                "high": self.rows["ci_high"].astype(float),
                "true": self.rows["true_rate"].astype(float),
                "counted": [f"{k} of {n}" for k, n in zip(self.rows["k"], self.rows["n"], strict=True)],
                "verdict": ["yes" if holds else "NO" for holds in self.rows["holds"]],
            }
        )
        metrics = distinct(frame["metric"])
        base = alt.Chart(values(frame)).encode(
            y=alt.Y(
                "metric:N",
                title=None,
                scale=alt.Scale(domain=metrics, paddingInner=0.3),
                axis=alt.Axis(labelLimit=1.4 * canvas.label, labelPadding=7, ticks=False, domain=False),
            ),
            yOffset=alt.YOffset("place:O", scale=alt.Scale(domain=list(range(len(conditions))))),
            color=colour_of({name: treatments[name] for name in conditions}, canvas),
            tooltip=tips(("metric", "metric"), ("treatment", "condition"), ("counted", "answers"))
            + tips(("rate", "rate", ".1%"), ("low", "95% from", ".1%"), ("high", "to", ".1%"))
            + tips(("true", "true rate", ".1%"), ("verdict", "interval holds it")),
        )
        x = alt.X("rate:Q", title="rate", scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%", tickCount=5))
        layers = [
            base.mark_rule(strokeWidth=canvas.line).encode(x=alt.X("low:Q"), x2=alt.X2("high")),
            base.mark_point(filled=True, opacity=1, size=canvas.point).encode(x=x),
            base.mark_tick(orient="vertical", size=canvas.bar * 1.8, thickness=2.5, opacity=1).encode(
                x=alt.X("true:Q"), color=alt.value(NEUTRAL)
            ),
        ]
        chart = alt.LayerChart(layer=layers)
        return chart.properties(width=canvas.width, height=canvas.rows(len(metrics), 1.2 * len(conditions)))


# --- published figures -----------------------------------------------------------------------------------------------


def published_panels(runs: Sequence[Counted]) -> list[Panel]:
    """Panels of measured and published figures, for each main figure of the paper with a measured cell."""
    rows_of_runs = [row for folder in dict.fromkeys(run.folder for run in runs) for row in read_run(folder)]
    panels: list[Panel] = []
    for name in _TABLES:
        table = find_table(name)
        sections = fill_from(table, rows_of_runs, (), {}).sections
        for series in dict.fromkeys(section.beside for section in sections if section.beside is not None):
            ours = [section for section in sections if section.beside == series]
            names = short_names(distinct(model for section in ours for model in section.models), 40)
            labels = unique([_who(section, sections, names) for section in ours], 60)
            frames = [_beside(section).assign(who=label) for section, label in zip(ours, labels, strict=True)]
            shown = [frame for frame in frames if "item" in frame]
            for start in range(0, len(shown), MOST_MODELS):
                rows = pd.concat(shown[start : start + MOST_MODELS], ignore_index=True)
                source = ", ".join(table.sources)
                caption = (
                    f"{table.title}: ours with 95% intervals, and what Chua et al. 2025 ({source}) published for "
                    f"{series}; where theirs has no error, none was published."
                )
                numbers = ["Which model stands for which of theirs is for the reader to say.", *_unlike(ours)]
                data = rows.assign(table=name).drop(columns="who")
                key = slug(name, str(series), str(start) if start else "")
                heading = f"{source} of the paper, {series}"
                if len(shown) > MOST_MODELS:
                    heading += f", models {start + 1} to {min(start + MOST_MODELS, len(shown))}"
                panels.append(Panel(key, heading, caption, data, _Published(rows).draw, numbers))
    return panels


def _unlike(sections: Sequence[Section]) -> list[str]:
    """A sentence on what differs from the paper, if anything does."""
    found = dict.fromkeys(reason for section in sections for cell in section.cells for reason in cell.differences)
    return [f"Not known to be like with like: ours {'; '.join(found)}."] if found else []


def _who(section: Section, sections: Sequence[Section], names: dict[str, str]) -> str:
    """The models of a section, with their runs if several sections have the same models."""
    models = ", ".join(names[model] for model in section.models)
    alone = [other.models for other in sections].count(section.models) == 1
    return models if alone else f"{models} ({', '.join(map(short, section.runs))})"


def _beside(section: Section) -> pd.DataFrame:
    """The cells with a measured and a published number, in percent."""
    rows: list[dict[str, object]] = []
    for cell in section.cells:
        ours, theirs = cell.ours, cell.published
        if isinstance(ours, Absent) or theirs is None:
            continue
        rows.append(
            {
                "runs": ", ".join(section.runs),
                "models": ", ".join(section.models),
                "item": ", ".join(cell.line.headings),
                "k": ours.k,
                "n": ours.n,
                "value_pct": ours.value,
                "ci_low_pct": ours.low,
                "ci_high_pct": ours.high,
                "published_pct": theirs.value,
                "published_error_95": theirs.error_95,
                "published_n": theirs.n,
                "published_model": theirs.model,
                "published_training": theirs.training,
                "not_compared_because": "; ".join(cell.differences),
            }
        )
    return pd.DataFrame(rows)


@dataclass(frozen=True)
class _Published:
    """Measured and published figures by item, in percent."""

    rows: pd.DataFrame

    @property
    def _models(self) -> list[str]:
        return distinct(self.rows["who"])

    @property
    def _labels(self) -> dict[str, str]:
        items = distinct(self.rows["item"])
        return dict(zip(items, unique(items, 60), strict=True))

    def _ours(self) -> pd.DataFrame:
        rows = self.rows
        return pd.DataFrame(
            {
                "item": rows["item"].map(self._labels),
                "series": rows["who"],
                "place": rows["who"].map(self._models.index),
                "value": rows["value_pct"],
                "low": rows["ci_low_pct"],
                "high": rows["ci_high_pct"],
                "counted": [f"{k} of {n}" for k, n in zip(rows["k"], rows["n"], strict=True)],
                "whose": "ours",
            }
        )

    def _theirs(self) -> pd.DataFrame:
        known = self.rows.drop_duplicates("item")
        error = known["published_error_95"].astype(float)
        return pd.DataFrame(
            {
                "item": known["item"].map(self._labels),
                "series": [
                    short(f"{figure.published_model}, {figure.published_training}") for figure in known.itertuples()
                ],
                "place": len(self._models),
                "value": known["published_pct"],
                "low": known["published_pct"] - error,
                "high": known["published_pct"] + error,
                "counted": ["" if pd.isna(n) else f"n = {n:.0f}" for n in known["published_n"].astype(float)],
                "whose": "published",
            }
        )

    def draw(self, canvas: Canvas) -> Drawable:
        labels, models = self._labels, self._models
        ours, theirs = self._ours(), self._theirs()
        places = range(len(models) + 1)
        y = alt.Y(
            "item:N",
            title=None,
            scale=alt.Scale(domain=list(labels.values()), paddingInner=canvas.padding(len(places))),
            axis=alt.Axis(labelLimit=1.4 * canvas.label, labelPadding=7, ticks=False, domain=False),
        )
        x = alt.X(
            "value:Q",
            title="percent",
            scale=alt.Scale(domain=[min(0.0, float(theirs["value"].min())), 100]),
            axis=alt.Axis(tickCount=5),
        )
        layers: list[alt.Chart] = []
        for frame in (ours, theirs):
            base = alt.Chart(values(frame)).encode(
                y=y,
                yOffset=alt.YOffset("place:O", scale=alt.Scale(domain=list(places))),
                color=alt.Color(
                    "whose:N",
                    title=None,
                    scale=alt.Scale(domain=["ours", "published"], range=[CONDITION_COLOURS["off"], NEUTRAL]),
                    legend=legend(canvas, symbolType="square"),
                ),
                tooltip=tips(("item", "of"), ("series", "model"), ("value", "percent", ".1f"))
                + tips(("counted", "answers"), ("low", "95% from", ".1f"), ("high", "to", ".1f")),
            )
            dots = base.mark_point(filled=True, opacity=1, size=canvas.point).encode(x=x)
            if len(models) > 1 and frame is ours:
                dots = dots.encode(shape=shape_of(models, canvas))
            rule = base.mark_rule(strokeWidth=canvas.line, clip=True)
            layers += [rule.encode(x=alt.X("low:Q"), x2=alt.X2("high")), dots]
        chart = alt.LayerChart(layer=layers)
        return chart.properties(width=canvas.width, height=canvas.rows(len(labels), len(places)))
