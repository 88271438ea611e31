"""A table for each curve, what it says, and what makes its trend untrustworthy. Untrusted text is escaped."""

from __future__ import annotations

from rich.console import Console

from evals.analysis.curve.result import SHARES, Curve, Curves
from evals.analysis.curve.steps import step_name
from evals.analysis.curve.words import curve_words, warnings
from evals.numbers import percent, percent_range, points
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.markup import LONG, plain
from evals.scoring.metric import Missing

_INTERVALS = (
    "95% intervals, same questions (new answers to these); those of the change from the first step hold all at once."
)


def print_curves(console: Console, curves: Curves) -> None:
    """Print each curve as a table with its sentences, and then what is in none."""
    for curve in curves.curves:
        console.print(_table(curve))
        for text in curve_words(curve):
            console.print(plain(text, LONG))
        for text in warnings(curve):
            console.print(f"[yellow]{plain(text, LONG)}[/yellow]")
    for note in curves.notes:
        console.print(f"[yellow]{plain(note, LONG)}[/yellow]")
    console.print(_INTERVALS, style="dim")


def _table(curve: Curve) -> FittedTable:
    key = curve.key
    trigger = f": {key.trigger}" if key.trigger else ""
    title = f"{key.suite} ({key.format}), {key.condition}{trigger}, {key.metric}"
    table = FittedTable(title=plain(title), title_justify="left", title_style="bold")
    table.add_column("step", justify="right")
    table.add_column("rate", justify="right")
    table.add_column("k of n", justify="right", no_wrap=True)
    table.add_column("95% interval")
    table.add_column("change, points")
    shares: list[Missing] = [reason for reason in SHARES if any(point.absent.get(reason) for point in curve.points)]
    for reason in shares:
        table.add_column(reason, justify="right")
    for point in curve.points:
        change = point.change
        changed = "–"
        if change is not None:
            changed = f"{points(change.change)} ({points(change.low)} to {points(change.high)})"
        table.add_row(
            step_name(point.step),
            percent(point.rate),
            f"{point.k} of {point.n}",
            percent_range(point.gen.low, point.gen.high) if point.n else "no rate",
            changed,
            *(percent(point.share(reason)) for reason in shares),
        )
    return table
