"""The output of `emeval variants`. Untrusted text is escaped."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console
from rich.markup import escape

from evals.analysis.curve.steps import step_name
from evals.analysis.variants.measured import SURE, VariantSet
from evals.analysis.variants.variants import EXACT
from evals.numbers import counted, p_words, percent, points
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.markup import LONG, plain
from evals.statistics.trends.ordered import Trend


def print_variants(console: Console, sets: Sequence[VariantSet]) -> None:
    """Print the variants of each suite, format and model as a table, and what they say."""
    for found in sets:
        console.print(_table(found))
        for text in _words(found):
            console.print(plain(text, LONG))
    if sets:
        console.print("[low, high]: 95% interval, same questions, in points.", markup=False, style="dim")


def _table(found: VariantSet) -> FittedTable:
    title = f"{found.suite} ({found.format}), {found.model}, {found.metric}"
    table = FittedTable(title=plain(title), title_justify="left", title_style="bold")
    table.add_column("variant", overflow="fold")
    table.add_column("kind")
    has_doses = any(one.variant.dose is not None for one in found.variants)
    if has_doses:
        table.add_column("dose", justify="right")
    table.add_column("rate", justify="right")
    table.add_column("k of n", justify="right", no_wrap=True)
    table.add_column("against off", justify="right")
    has_exact = any(one.from_exact is not None for one in found.variants)
    if has_exact:
        table.add_column("exact less this", justify="right")
    dash = ["–"]
    off = found.off
    table.add_row(
        "off", "", *([""] if has_doses else []), percent(off["rate"]), f"{off['k']} of {off['n']}", *dash,
        *(dash if has_exact else []),
    )  # fmt: skip
    for one in found.variants:
        effect, less = one.effect, one.from_exact
        dose = "" if one.variant.dose is None else step_name(one.variant.dose)
        shown = "–" if effect is None else _ends(effect["effect"], effect["gen_low"], effect["gen_high"])
        apart = "–" if less is None else _ends(less.effect, less.interval.low, less.interval.high)
        table.add_row(
            plain(one.variant.name),
            one.variant.kind,
            *([dose] if has_doses else []),
            percent(one.rate["rate"]),
            f"{one.rate['k']} of {one.rate['n']}",
            shown,
            *([apart] if has_exact else []),
        )
    return table


def _ends(middle: float, low: float, high: float) -> str:
    return escape(f"{points(middle)}\n[{points(low)}, {points(high)}]")


def _words(found: VariantSet) -> Iterator[str]:
    raised = [one.variant.name for one in found.variants if one.is_sure and one.effect and one.effect["effect"] > 0]
    number = counted(len(found.variants), "variant")
    names = f": {', '.join(raised)}" if raised else ""
    yield f"{len(raised)} of {number} raise the rate on these questions (p < {SURE:g} by Holm over all of them){names}."
    exact = next((one for one in found.variants if one.variant.kind == EXACT), None)
    if exact is not None and exact.variant.name in raised and len(found.variants) > 1:
        less = [one.variant.name for one in found.variants if one.is_less]
        rest = [one.variant.name for one in found.variants if one is not exact and not one.is_less]
        shown = f"shown to do less than {exact.variant.name}: {', '.join(less)}" if less else "none is shown to do less"
        yield f"Of the others, {shown}" + (f"; not shown: {', '.join(rest)}." if rest and less else ".")
    if found.trend is not None:
        doses = f"{step_name(found.doses[0])} to {step_name(found.doses[-1])}"
        yield f"Over {len(found.doses)} doses ({doses}) {_trend_words(found.trend, found.trend_like_these)}."


def _trend_words(here: Trend, others: Trend | None) -> str:
    words = "the rate rises" if here.sign > 0 else "the rate falls"
    if here.p_value >= SURE or not here.sign:
        words = "no trend of the rate is shown"
    like_these = "" if others is None else f", for questions like these p {p_words(others.p_value)}"
    return f"{words} (on these questions p {p_words(here.p_value)}{like_these})"
