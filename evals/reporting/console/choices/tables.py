"""Print choices by probability: each cell, what the trigger changes, and what could not be read."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from rich.console import Console

from evals.analysis.choices.cells import ChoiceCell, ChoiceEffect, ReadChoice
from evals.numbers import counted
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.markup import LONG, plain
from evals.statistics.log_odds import MeanLogOdds

_REASONS = 5
"""Reasons that are named before the others are counted together."""


def print_choices(
    console: Console, choices: Sequence[ReadChoice], cells: Sequence[ChoiceCell], effects: Sequence[ChoiceEffect]
) -> None:
    """Print the cells with their intervals and effects, then what is missing in them."""
    console.print("Probability of the misaligned option, from token probabilities", style="bold")
    for title in dict.fromkeys(map(_title, cells)):
        console.print(_table(title, [cell for cell in cells if _title(cell) == title]))
    for effect in effects:
        console.print(_effect_line(effect), markup=False)
    for line in _missing(choices, cells):
        console.print(f"[yellow]{plain(line, LONG)}[/yellow]")
    console.print(
        "Means over questions; intervals are for questions like these. That of the probability assumes nothing of how "
        "questions differ, so its upper end is far; that of the log-odds is a t interval.",
        style="dim",
    )


def _title(cell: ChoiceCell) -> str:
    return f"{plain(cell.key.model)}, {plain(cell.key.suite)}"


def _table(title: str, cells: Sequence[ChoiceCell]) -> FittedTable:
    table = FittedTable("condition", title=title)
    for heading in ("probability", "95% interval", "log-odds", "95% interval", "questions"):
        table.add_column(heading, justify="right")
    for cell in cells:
        ends = (cell.interval.low, cell.interval.high) if cell.interval else (None, None)
        table.add_row(
            plain(cell.key.condition),
            probability_words(cell.low, cell.high),
            _between(*map(small_percent, ends)),
            "–" if cell.log_odds is None else f"{cell.log_odds.mean:.2f}",
            _ends(cell.log_odds),
            f"{cell.questions}/{cell.asked}",
        )
    return table


def small_percent(value: float | None) -> str:
    """A probability as a percentage with two significant digits, however small: `0.0012%`."""
    if value is None:
        return "–"
    if value in (0, 1):
        return f"{value:.0%}"
    digits = max(0, 1 - math.floor(math.log10(100 * min(value, 1 - value))))
    return f"{100 * value:.{digits}f}%"


def probability_words(low: float | None, high: float | None) -> str:
    """A mean probability, or the two bounds that it lies between."""
    shown = small_percent(low), small_percent(high)
    return shown[0] if shown[0] == shown[1] else " to ".join(shown)


def _between(low: str, high: str) -> str:
    return "–" if low == "–" else f"[{low}, {high}]".replace("%", "")


def _ends(mean: MeanLogOdds | None) -> str:
    return "–" if mean is None or mean.low is None else f"[{mean.low:.2f}, {mean.high:.2f}]"


def _effect_line(effect: ChoiceEffect) -> str:
    key, found = effect.key, effect.difference
    interval = "" if found.low is None else f" [{found.low:+.2f}, {found.high:+.2f}]"
    factor = f"odds x{math.exp(min(found.mean, 700)):.3g}"
    questions = counted(found.questions, "question")
    what = f"{key.condition} against {effect.baseline}"
    return f"{key.model}: {what}: {found.mean:+.2f}{interval} log-odds, {factor} ({questions})"


def _missing(choices: Sequence[ReadChoice], cells: Sequence[ChoiceCell]) -> Iterator[str]:
    reasons = Counter(choice.read for choice in choices if isinstance(choice.read, str))
    if reasons:
        named = [f"{reason} ({number})" for reason, number in reasons.most_common(_REASONS)]
        rest = sum(reasons.values()) - sum(number for _, number in reasons.most_common(_REASONS))
        others = [f"other reasons ({rest})"] if rest else []
        yield (
            f"Left out: {reasons.total()} of {len(choices)} replies, with their questions in that condition: "
            f"{'; '.join([*named, *others])}."
        )
    bounds = sum(cell.bounds for cell in cells)
    if bounds:
        yield (
            f"{counted(bounds, 'reply')} did not list one of the letters: its probability is only bounded, and the "
            "question is left out of the log-odds."
        )
