"""Effects of a condition against the baseline: intervals over all questions, and paired dots by question."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass

import altair as alt
import pandas as pd

from evals.numbers import counted, points
from evals.reporting.figures.drawing.encodings import colour_of, label_axis
from evals.reporting.figures.drawing.figure import Drawable, Panel, tips, values
from evals.reporting.figures.drawing.frames import (
    METRIC_WORDS,
    by_condition,
    condition_labels,
    distinct,
    effects_of,
    in_order,
    place_words,
    primary_rates,
    row_names,
    series_in,
    short,
    slug,
    unique,
)
from evals.reporting.figures.drawing.theme import NEUTRAL, Canvas
from evals.runner.count import Counted

MOST_LABELLED, MOST_PAIRS = 60, 200
"""The most rows of paired dots with labels, and the most drawn; larger figures show the distribution of effects."""
BY_QUESTION = "Effect by question"
_STEP = 5.0  # points, to which the effects of many questions are rounded
_EFFECTS = ["run_id", "suite", "format", "model", "condition", "baseline", "metric", "effect", "ci_low", "ci_high"]
_HERE = ["gen_low", "gen_high", "gen_method", "gen_p_value", "gen_p_holm"]


def effect_panels(runs: Sequence[Counted], most_pairs: int = MOST_PAIRS) -> list[Panel]:
    """A panel of all effects with their intervals, then one of paired dots for each model in each suite and format."""
    effects = effects_of(runs)
    if effects.empty:
        return []
    order = series_in(effects, runs)
    effects = effects.sort_values("series", key=lambda labels: labels.map(order.index), kind="stable")
    everything = _Forest(effects.reset_index(drop=True), condition_labels(primary_rates(runs)), row_names(runs))
    panels = [
        Panel("", _heading(effects), everything.caption(), everything.data(), everything.draw, everything.numbers())
    ]
    rates = primary_rates(runs)
    for place, group in rates.groupby(["suite", "format", "metric"], sort=False):
        suite, fmt, metric = (str(part) for part in place)
        pairs = _pairs(group, runs)
        if pairs.empty:
            continue
        shown = series_in(pairs, runs)
        lines = pairs["prompt_id"].nunique() * pairs["condition"].nunique()
        is_drawn = lines <= most_pairs
        parts = [[series] for series in shown] if is_drawn else [shown]
        for part in parts:
            here = pairs[pairs["series"].isin(part)].reset_index(drop=True)
            view = _Dots(metric, here, tuple(part), condition_labels(group), row_names(runs), has_pairs=is_drawn)
            names = part if len(parts) > 1 else []
            heading = ", ".join((place_words(suite, fmt), *names))
            fold = f"{BY_QUESTION}: {place_words(suite, fmt)}" if names else ""
            key = slug(suite, fmt, *names)
            panels.append(Panel(key, heading, view.caption(), view.data(), view.draw, view.numbers(), fold))
    return panels


def _heading(effects: pd.DataFrame) -> str:
    suites = distinct(effects["suite"])
    return "all questions" + (f", {short(suites[0], 60)}" if len(suites) == 1 else "")


def _pairs(rates: pd.DataFrame, runs: Sequence[Counted]) -> pd.DataFrame:
    """The rates of each question under the baseline of its run and under another condition, if it has both."""
    summed = by_condition(rates)
    baselines = {number: run.manifest.config.baseline for number, run in enumerate(runs)}
    summed = summed.assign(baseline=summed["run"].map(baselines))
    is_base = summed["condition"] == summed["baseline"]
    base = summed[is_base]
    keys = ["run", "series", "prompt_id"]
    base = base[[*keys, "k", "n", "rate"]].rename(columns={"k": "k_off", "n": "n_off", "rate": "rate_off"})
    pairs = summed[~is_base].merge(base, on=keys)
    return pairs.assign(effect=pairs["rate"] - pairs["rate_off"])


@dataclass(frozen=True)
class _Forest:
    """The effects of effects.csv with their 95% intervals, one per row."""

    effects: pd.DataFrame
    treatments: dict[str, str]
    names: dict[str, str]

    def data(self) -> pd.DataFrame:
        return self.effects[[*_EFFECTS, "method", "p_value", "p_holm", "n_prompts", *_HERE]]

    def draw(self, canvas: Canvas) -> Drawable:
        effects = self.effects
        conditions = in_order(effects["condition"])
        rows = pd.DataFrame(
            {
                "row": self._row_labels(),
                "series": effects["series"],
                "treatment": effects["condition"].map(self.treatments),
                "place": effects["condition"].map(conditions.index),
                "effect": 100 * effects["effect"].astype(float),
                "low": 100 * effects["gen_low"].astype(float),
                "high": 100 * effects["gen_high"].astype(float),
                "p": effects["gen_p_value"].astype(float),
                "questions": effects["n_prompts"],
            }
        )
        order = distinct(rows["row"])
        base = alt.Chart(values(rows)).encode(
            y=alt.Y(
                "row:N",
                title=None,
                scale=alt.Scale(domain=order),
                axis=alt.Axis(labelLimit=1.4 * canvas.label, labelPadding=7, ticks=False, domain=False),
            ),
            yOffset=alt.YOffset("place:O", scale=alt.Scale(domain=list(range(len(conditions))))),
            color=colour_of({name: self.treatments[name] for name in conditions}, canvas),
            tooltip=tips(("row", "of"), ("treatment", "condition"), ("effect", "effect in points", "+.1f"))
            + tips(("low", "these questions: 95% from", "+.1f"), ("high", "to", "+.1f"))
            + tips(("questions", "questions", ".0f")),
        )
        x = alt.X(
            "effect:Q",
            title=f"effect against {_either(effects)} (points)",
            axis=alt.Axis(format="+.0f", tickCount=5),
            scale=alt.Scale(domain=_reach(rows), nice=False),
        )
        zero = alt.Chart(alt.InlineData(values=[{"effect": 0}])).mark_rule(color=NEUTRAL, strokeDash=[3, 2])
        layers = [
            zero.encode(x=x),
            base.mark_rule(strokeWidth=canvas.line).encode(x=alt.X("low:Q"), x2=alt.X2("high")),
            base.mark_point(filled=True, opacity=1, size=canvas.point * 1.3).encode(x=x),
        ]
        chart = alt.LayerChart(layer=layers)
        return chart.properties(width=canvas.width, height=canvas.rows(len(order), 1.5 * len(conditions)))

    def _row_labels(self) -> list[str]:
        effects = self.effects
        suites = effects["suite"].nunique() > 1
        pairs = zip(effects["suite"], effects["format"], strict=True)
        places = [f"{suite} {fmt}" if suites else fmt for suite, fmt in pairs]
        several = len(set(places)) > 1
        rows = zip(effects["series"].map(self.names), places, strict=True)
        if several and effects["series"].nunique() > 1:
            return [f"{series}, {place}" for series, place in rows]
        return [place if several else series for series, place in rows]

    def caption(self) -> str:
        return (
            f"Mean over questions of the difference in rate from {_either(self.effects)}, with its 95% interval for "
            "these questions (gen_low and gen_high of effects.csv)."
        )

    def numbers(self) -> list[str]:
        lines = [
            f"{row['series']}, {place_words(row['suite'], row['format'])}, {row['condition']}: "
            f"{points(row['effect'])} points (95% interval {points(row['gen_low'])} to "
            f"{points(row['gen_high'])}, {counted(row['n_prompts'], 'question')})"
            for row in self.effects.to_dict("records")
        ]
        return [*lines, "Only questions with answers under both conditions are in it."]


def _either(frame: pd.DataFrame) -> str:
    """The baselines of `frame` in words."""
    return " or ".join(distinct(frame["baseline"]))


def _reach(rows: pd.DataFrame) -> list[float]:
    """An axis range with zero and all intervals, and a margin."""
    low, high = min(0.0, float(rows["low"].min())), max(0.0, float(rows["high"].max()))
    room = max(2.0, 0.05 * (high - low))
    return [max(-103.0, low - room), min(103.0, high + room)]


@dataclass(frozen=True)
class _Dots:
    """The two rates of each question to one model, joined by a line, sorted by effect; without `has_pairs`, how many
    questions have which effect, for several models."""

    metric: str
    pairs: pd.DataFrame
    series: tuple[str, ...]
    treatments: dict[str, str]
    names: dict[str, str]
    has_pairs: bool

    def data(self) -> pd.DataFrame:
        names = ["run_id", "suite", "format", "model", "condition", "prompt_id", "metric"]
        counts = ["k_off", "n_off", "rate_off", "k", "n", "rate", "effect"]
        ranks = {question: number for number, question in enumerate(self._order)}
        return self.pairs.sort_values("prompt_id", key=lambda ids: ids.map(ranks), kind="stable")[[*names, *counts]]

    @property
    def _order(self) -> list[str]:
        """The questions by mean effect over models and conditions, largest first."""
        effects = self.pairs.groupby("prompt_id", sort=False)["effect"].mean()
        return list(effects.sort_values(ascending=False, kind="stable").index)

    @property
    def _lanes(self) -> list[str]:
        """The condition of each line of a question."""
        return in_order(self.pairs["condition"])

    def draw(self, canvas: Canvas) -> Drawable:
        if not self.has_pairs:
            return self._together(canvas)
        pairs, lanes, order = self.pairs, self._lanes, self._order
        labels = dict(zip(order, unique(order, 60), strict=True))
        named = len(order) * len(lanes) <= MOST_LABELLED
        lines = pd.DataFrame(
            {
                "question": pairs["prompt_id"].map(labels),
                "series": pairs["series"],
                "treatment": pairs["condition"].map(self.treatments),
                "place": pairs["condition"].map(lanes.index),
                "rate": pairs["rate"],
                "off": pairs["rate_off"],
                "counted": [f"{k} of {n}" for k, n in zip(pairs["k"], pairs["n"], strict=True)],
                "counted_off": [f"{k} of {n}" for k, n in zip(pairs["k_off"], pairs["n_off"], strict=True)],
                "points": 100 * pairs["effect"],
                "run_id": pairs["run_id"].map(short),
            }
        )
        off = lines.assign(rate=lines["off"], treatment=list(pairs["baseline"].map(self.treatments)))
        axis = alt.Axis(labelLimit=canvas.label, labelPadding=7, ticks=False, domain=False, labels=named)
        title = alt.Undefined if named else f"{len(order)} questions, by effect"
        y = alt.Y(
            "question:N",
            title=title if not named else None,
            scale=alt.Scale(
                domain=[labels[question] for question in order],
                paddingInner=canvas.padding(len(lanes)),
                paddingOuter=0.15,
            ),
            axis=axis,
        )
        offset = alt.YOffset("place:O", scale=alt.Scale(domain=list(range(len(lanes)))))
        x = alt.X(
            "rate:Q",
            title=METRIC_WORDS[self.metric],
            scale=alt.Scale(domain=[0, 1]),
            axis=alt.Axis(format=".0%", tickCount=5),
        )
        tooltip = tips(("question", "question"), ("series", "model"), ("counted_off", _either(pairs)))
        tooltip += tips(("counted", "under the condition"), ("points", "effect in points", "+.1f"), ("run_id", "run"))
        names = dict.fromkeys((*distinct(pairs["baseline"]), *in_order(pairs["condition"])))
        shown = {name: self.treatments[name] for name in names}
        base = alt.Chart(values(lines)).encode(y=y, yOffset=offset, tooltip=tooltip)
        line = base.mark_rule(color=NEUTRAL, strokeWidth=canvas.line).encode(x=x, x2=alt.X2("off"))
        # The baseline's dot is larger, so that it is visible behind an equal one.
        size = canvas.point if named else canvas.point / 2
        dots = [
            alt.Chart(values(rows))
            .mark_point(filled=True, opacity=1, size=size * scale)
            .encode(x=x, y=y, yOffset=offset, color=colour_of(shown, canvas), tooltip=tooltip)
            for rows, scale in ((off, 2.2), (lines, 1.0))
        ]
        lane = 1.0 if named else 0.45
        height = canvas.rows(len(order), len(lanes)) if named else len(order) * len(lanes) * canvas.bar * lane
        return alt.LayerChart(layer=[line, *dots]).properties(width=canvas.width, height=height)

    def _together(self, canvas: Canvas) -> Drawable:
        conditions = in_order(self.pairs["condition"])
        effects = pd.DataFrame(
            {
                "series": self.pairs["series"],
                "treatment": self.pairs["condition"].map(self.treatments),
                "place": self.pairs["condition"].map(conditions.index),
                "points": (100 * self.pairs["effect"] / _STEP).round() * _STEP + 0.0,
            }
        )
        effects = effects.assign(row=effects["series"].map(self.names))
        spots = effects.value_counts(sort=False).rename("questions").reset_index()
        y = alt.Y(
            "row:N",
            title=None,
            scale=alt.Scale(domain=[self.names[series] for series in self.series], paddingInner=0.15),
            axis=label_axis(canvas),
        )
        x = alt.X(
            "points:Q",
            title="effect on a question (points)",
            scale=alt.Scale(domain=[-100, 100]),
            axis=alt.Axis(format="+.0f", tickCount=5),
        )
        sizes = alt.Scale(domain=[1, int(spots["questions"].max())], range=[canvas.point / 2, canvas.point * 6])
        chart = (
            alt.Chart(values(spots))
            .mark_circle(opacity=0.6)
            .encode(
                x=x,
                y=y,
                yOffset=alt.YOffset("place:O", scale=alt.Scale(domain=list(range(len(conditions))))),
                color=colour_of({name: self.treatments[name] for name in conditions}, canvas),
                size=alt.Size("questions:Q", scale=sizes, legend=None),
                tooltip=tips(("series", "model"), ("treatment", "condition"), ("points", "about", "+.0f"))
                + tips(("questions", "questions", ".0f")),
            )
        )
        return chart.properties(width=canvas.width, height=canvas.rows(len(self.series), 1.8 * len(conditions)))

    def caption(self) -> str:
        if self.has_pairs:
            return (
                f"Share of {METRIC_WORDS[self.metric]} of {self.series[0]} to each question under "
                f"{_either(self.pairs)} and under the other condition, joined by a line; the largest effect first."
            )
        return (
            f"How many questions have which effect: the share of {METRIC_WORDS[self.metric]} under the "
            f"condition less that under {_either(self.pairs)}; a circle is larger where more have it."
        )

    def numbers(self) -> list[str]:
        asked = Counter(zip(self.pairs["series"], self.pairs["condition"], strict=True))
        counts = [f"{counted(count, 'question')} of {series}, {name}" for (series, name), count in asked.items()]
        return [f"Shown: {'; '.join(counts)}; a question without a counted answer under both is not."]
