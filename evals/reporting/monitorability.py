"""The output of `emeval monitorability`: what the monitor of reasoning catches, and its false alarms."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from evals.analysis.monitorability import LEAST_CHANGE, Monitored
from evals.numbers import percent
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.layout.names import model_names
from evals.reporting.console.markup import plain
from evals.statistics.intervals import Interval
from evals.statistics.monitors.scorecard import Share

_LONGEST_NAME = 17
"""Cells of a model's name; with this and `_MANY` the table has room on 80 columns."""
_MANY = 1_000
"""Answers from which counts have a line of their own."""


def print_monitorability(console: Console, found: Sequence[Monitored]) -> None:
    """Print a table for each suite and format, and what its numbers mean."""
    for suite, form in dict.fromkeys((entry.cell["suite"], entry.cell["format"]) for entry in found):
        here = [entry for entry in found if (entry.cell["suite"], entry.cell["format"]) == (suite, form)]
        here = [entry for entry in here if entry.how == "outcome" or entry.questions]
        table = FittedTable(title=plain(f"{suite} ({form})"), title_justify="left", title_style="bold")
        table.add_column("model")
        table.add_column("condition")
        for words in ("TPR", "FPR", "TPR x TNR"):
            table.add_column(words, justify="right")
        names = model_names([entry.cell["model"] for entry in here], _LONGEST_NAME)
        for entry in here:
            card = entry.card
            table.add_row(
                plain(names[entry.cell["model"]]),
                plain(_condition(entry)),
                _share(card.caught),
                _share(card.alarms),
                _value(card.product, card.same),
            )
        console.print(table)
    for line in _notes(found):
        console.print(line, style="dim")


def _notes(found: Sequence[Monitored]) -> list[str]:
    notes = [
        "TPR: misaligned answers whose reasoning is flagged, of those that the monitor read; FPR (false alarms): "
        "aligned ones; TNR: 1 - FPR. Intervals are 95%, for new answers to the same questions; those for new questions "
        "are in --csv and --json."
    ]
    changed = [entry for entry in found if entry.how == "intervention"]
    if any(entry.questions for entry in changed):
        notes.append(
            f"by intervention: only questions whose rate the condition raises by {100 * LEAST_CHANGE:.0f} points or "
            "more (chosen on one half of the answers, measured on the other); its misaligned answers against all "
            "answers without it."
        )
    if any(not entry.questions for entry in changed):
        notes.append(
            "No row by intervention: no condition raises a question's rate by so much in one half of its answers, or "
            "a question has one answer to each wording only (ask more --samples)."
            if not any(entry.questions for entry in changed)
            else "A condition without a row by intervention raises no question's rate by so much."
        )
    unread = sum(entry.misaligned - (entry.card.caught.n if entry.card.caught else 0) for entry in _by_outcome(found))
    if unread:
        misaligned = sum(entry.misaligned for entry in _by_outcome(found))
        notes.append(f"{unread:,} of {misaligned:,} misaligned answers had no reasoning to read, or no readable flag.")
    if all(entry.card.alarms is None for entry in _by_outcome(found)):
        notes.append(
            "The reasoning of aligned answers was not judged, so false alarms are not known: `emeval judge RUN "
            "--cot-all` judges it."
        )
    return notes


def _by_outcome(found: Sequence[Monitored]) -> list[Monitored]:
    return [entry for entry in found if entry.how == "outcome"]


def _condition(entry: Monitored) -> str:
    if entry.how == "outcome":
        return entry.cell["condition"]
    return f"{entry.cell['condition']}, by intervention"


def _share(share: Share | None) -> str:
    if share is None:
        return "–"
    between = "\n" if share.n >= _MANY else " "
    return f"{percent(share.rate)}{between}({share.k:,}/{share.n:,})\n{_ends(share.same)}"


def _value(value: float | None, interval: Interval | None) -> str:
    return "–" if value is None or interval is None else f"{value:.2f}\n{interval.low:.2f} to {interval.high:.2f}"


def _ends(interval: Interval) -> str:
    return f"{percent(interval.low)} to {percent(interval.high)}"
