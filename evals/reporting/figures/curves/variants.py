"""The rate under each variant of a trigger."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import altair as alt

from evals.analysis.variants.measured import VariantSet
from evals.analysis.variants.variants import KINDS
from evals.reporting.figures.drawing.frames import METRIC_WORDS, place_words, short
from evals.reporting.figures.drawing.theme import MODEL_COLOURS, NEUTRAL, paper_config

_WIDTH, _ROW = 320, 15
_OFF, _OTHER = "off", "not said"
_COLOURS = {_OFF: NEUTRAL, **dict(zip(KINDS, MODEL_COLOURS, strict=False)), _OTHER: MODEL_COLOURS[len(KINDS)]}


def variants_figure(sets: Sequence[VariantSet]) -> alt.TopLevelMixin:
    """A panel for each suite, format and model: the rate under each variant with its 95% interval for these questions,
    the highest dose first."""
    return alt.VConcatChart(vconcat=[_panel(found) for found in sets], spacing=14, config=paper_config())


def _panel(found: VariantSet) -> alt.LayerChart:
    rows = [_row(_OFF, _OFF, found.off)]
    rows += [_row(short(one.variant.name, 60), one.variant.kind or _OTHER, one.rate) for one in found.variants]
    kinds = [kind for kind in _COLOURS if any(row["kind"] == kind for row in rows)]
    base = alt.Chart(alt.InlineData(values=rows)).encode(
        y=alt.Y("variant:N", title=None, scale=alt.Scale(domain=[row["variant"] for row in rows])),
        color=alt.Color(
            "kind:N",
            title=None,
            scale=alt.Scale(domain=kinds, range=[_COLOURS[kind] for kind in kinds]),
            legend=alt.Legend(orient="top", columns=4),
        ),
    )
    metric = short(METRIC_WORDS.get(found.metric, found.metric), 60)
    x = alt.X("rate:Q", title=metric, scale=alt.Scale(domain=[0, 1]), axis=alt.Axis(format=".0%", tickCount=5))
    layers = [
        base.mark_rule(strokeWidth=1.2).encode(x=alt.X("low:Q"), x2=alt.X2("high")),
        base.mark_point(filled=True, opacity=1, size=24).encode(x=x),
    ]
    title = f"{place_words(found.suite, found.format)}, {short(found.model, 60)}"
    return alt.LayerChart(layer=layers).properties(title=title, width=_WIDTH, height=_ROW * len(rows))


def _row(name: str, kind: str, rate: dict[str, Any]) -> dict[str, Any]:
    return {"variant": name, "kind": kind, "rate": rate["rate"], "low": rate["gen_low"], "high": rate["gen_high"]}
