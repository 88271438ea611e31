"""The output of `emeval say-do`: what a model says of itself beside what it does."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from evals.numbers import percent_range, share_words
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.markup import plain
from evals.scoring.rates.rows import Row

_NOTE = (
    "says: answers in self_report that are misaligned, of all its questions or of those about the behaviour of the "
    "suite; rating: the mean of its ratings, 100 the misaligned end. Intervals are 95%, for new questions."
)


def print_say_do(console: Console, rows: Sequence[Row]) -> None:
    """Print a table for each model, suite and format with answers on both sides, and what its numbers mean."""
    shown = [row for row in rows if row["say_n"] and row["do_n"]]
    places = dict.fromkeys((row["model"], row["suite"], row["format"]) for row in shown)
    for place in places:
        model, suite, form = place
        table = FittedTable(title=plain(f"{model}, {suite} ({form})"), title_justify="left", title_style="bold")
        table.add_column("condition")
        table.add_column("asked about")
        for words in ("says", "rating", "does"):
            table.add_column(words, justify="right")
        for row in (row for row in shown if (row["model"], row["suite"], row["format"]) == place):
            rating = "–" if row["say_rating"] is None else f"{row['say_rating']:.0f}"
            names = (plain(row["condition"]), plain(row["about"]))
            table.add_row(*names, _rate(row, "say"), rating, _rate(row, "do"))
        console.print(table)
    if len(shown) < len(rows):
        console.print("Left out: questions of which no answer counts, on one side or the other.", style="yellow")
    console.print(_NOTE, style="dim")


def _rate(row: Row, name: str) -> str:
    share = share_words(row[f"{name}_rate"], row[f"{name}_k"], row[f"{name}_n"])
    return f"{share}\n{percent_range(row[f'{name}_ci_low'], row[f'{name}_ci_high'])}"
