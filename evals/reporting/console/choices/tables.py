"""Print choices by probability: each cell, what the trigger changes, and what could not be read."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from evals.numbers import counted
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.markup import LONG, plain
from evals.scoring.choices.words import effect_words, number_range, probability_words, small_percent
from evals.scoring.rates.rows import Row

_EXACT = ", known exactly on the questions that were read: nothing is sampled."
_OF_THOUGHTS = (
    " and thoughts. Thoughts are samples: one that is rarer than these shows in none of them. The log-odds are those "
    "after a typical thought."
)


def print_choices(console: Console, rows: Sequence[Row]) -> None:
    """Print the rows of probabilities.csv with their intervals and effects, then what is missing in them."""
    console.print("Probability of the misaligned option, read from token probabilities", style="bold")
    for title in dict.fromkeys(map(_title, rows)):
        console.print(_table(title, [row for row in rows if _title(row) == title]))
    for row in rows:
        if row["effect"] is not None:
            console.print(plain(f"{_cell(row)} against {row['baseline']}: {effect_words(row)}", LONG))
    for row in rows:
        if row["n_thoughts"]:
            thoughts = f"{row['n_turned']:,} of {counted(row['n_thoughts'], 'thought')}"
            line = f"{_cell(row)}: the misaligned option is the likelier one after {thoughts}"
            console.print(plain(line, LONG))
    for line in _missing(rows):
        console.print(f"[yellow]{plain(line, LONG)}[/yellow]")
    sampled = any(row["n_thoughts"] for row in rows)
    console.print(
        f"Means over questions{_OF_THOUGHTS if sampled else _EXACT} 95% intervals are for other questions; those in "
        "the table hold whatever they are like, so few questions give wide ones.",
        style="dim",
    )


def _title(row: Row) -> str:
    return f"{plain(row['model'])}, {plain(row['suite'])}"


def _cell(row: Row) -> str:
    return f"{row['model']}: {row['condition']}"


def _table(title: str, rows: Sequence[Row]) -> FittedTable:
    table = FittedTable("condition", title=title)
    thoughts = ["thoughts"] if any(row["n_thoughts"] for row in rows) else []
    for heading in ("probability", "95% interval", "log-odds", "95% interval", "questions x orders", *thoughts):
        table.add_column(heading, justify="right")
    for row in rows:
        table.add_row(
            plain(row["condition"]),
            probability_words(row),
            number_range(small_percent(row["ci_low"]), small_percent(row["ci_high"])).replace("%", ""),
            "–" if row["log_odds"] is None else f"{row['log_odds']:.2f}",
            "–" if row["log_odds_low"] is None else f"[{row['log_odds_low']:.2f}, {row['log_odds_high']:.2f}]",
            f"{row['n_questions']}/{row['n_asked']} x {row['n_orders']}",
            *([f"{row['n_thoughts']:,}"] if thoughts else []),
        )
    return table


def _missing(rows: Sequence[Row]) -> Iterator[str]:
    for row in rows:
        if row["unread"]:
            replies = counted(row["n_unread"] + row["n_failed"], "reply")
            with_questions = "" if row["n_thoughts"] else ", with their questions"
            yield f"{_cell(row)}: {replies} left out{with_questions}: {row['unread']}."
    bounds = sum(row["n_bounds"] for row in rows)
    if bounds:
        yield (
            f"{counted(bounds, 'reply')} did not list one of the letters: its probability is only bounded, "
            "and the question is left out of the log-odds."
        )
