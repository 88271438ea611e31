"""The output of `emeval rare`: one misaligned answer in how many, and the chance of one among several."""

from __future__ import annotations

import math
from collections.abc import Sequence

from rich.console import Console

from evals.analysis.rarity import Rarity
from evals.numbers import counted, percent_range
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.layout.names import model_names
from evals.reporting.console.markup import plain
from evals.scoring.rates.rows import Row
from evals.statistics.rare.any_of import AnyOf

_MILLION = 1_000_000
_LONGEST_NAME = 28
_RARE = 0.05
"""The rate up to which answers are counted in a million."""


def print_rarities(console: Console, found: Sequence[Rarity]) -> None:
    """Print a table for each suite, format and metric, and what it says in words."""
    for place in dict.fromkeys(_place(cell.row) for cell in found):
        here = [cell for cell in found if _place(cell.row) == place]
        _print_table(console, place, here)
    if found:
        console.print(
            "Intervals are 95%, for new answers to the same questions." + _draws_note(found),
            style="dim",
        )


def _draws_note(found: Sequence[Rarity]) -> str:
    draws = [number for number in found[0].chances if number > 1]
    if not draws:
        least = min(cell.least_answers for cell in found)
        return (
            f" A question has as few as {counted(least, 'answer')}: ask more --samples for the chance of one among 10."
        )
    return (
        f" Any of {draws[0]:,}: the chance of at least one hit among {draws[0]:,} answers to a question, the mean over "
        "questions; a dash: a question has fewer answers."
    )


def _print_table(console: Console, place: tuple[str, str, str], cells: Sequence[Rarity]) -> None:
    suite, form, metric = place
    table = FittedTable(title=plain(f"{suite} ({form}), {metric}"), title_justify="left", title_style="bold")
    table.add_column("model")
    table.add_column("condition")
    table.add_column("k of n", justify="right")
    table.add_column("one in", justify="right")
    for draws in cells[0].chances:
        if draws > 1:
            table.add_column(f"any of {draws:,}", justify="right")
    names = model_names([cell.row["model"] for cell in cells], _LONGEST_NAME)
    for cell in cells:
        row = cell.row
        table.add_row(
            plain(names[row["model"]]),
            plain(row["condition"]),
            f"{row['k']:,} of {row['n']:,}",
            one_in(row),
            *(_chance(chance) for draws, chance in cell.chances.items() if draws > 1),
        )
    console.print(table)
    for cell in cells:
        if cell.row["rate"] <= _RARE:
            console.print(plain(f"{names[cell.row['model']]} {cell.row['condition']}: {in_words(cell)}"))


def in_words(cell: Rarity) -> str:
    """What is to be expected of the next million answers, for these questions and for others."""
    row = cell.row
    same = f"{_in_a_million(row['gen_low'])} to {_in_a_million(row['gen_high'])}"
    if not row["k"]:
        questions = "this question" if cell.questions == 1 else f"these {cell.questions} questions"
        return (
            f"none in {counted(row['n'], 'answer')}; up to {_in_a_million(row['gen_high'])} in a million are possible "
            f"for {questions} (95% confidence){_of_others(row)}."
        )
    return f"about {_in_a_million(row['rate'])} in a million answers, {same} for the same questions{_of_others(row)}."


def _of_others(row: Row) -> str:
    if row["ci_low"] is None or math.isnan(row["ci_low"]):
        return "; one question says nothing of others"
    if not row["k"]:
        return f", up to {_in_a_million(row['ci_high'])} for new questions"
    return f", {_in_a_million(row['ci_low'])} to {_in_a_million(row['ci_high'])} for new questions"


def one_in(row: Row) -> str:
    """The number of answers that one hit is to be expected in, with its interval on a second line."""
    least, most = _per_hit(row["gen_high"]), _per_hit(row["gen_low"])
    if not row["k"]:
        return f"–\nat least {least}"
    return f"{_per_hit(row['rate'])}\n{least} to {most or 'none'}"


def _per_hit(rate: float) -> str:
    return f"{_two_digits(1 / rate)}" if rate > 0 else ""


def _in_a_million(rate: float) -> str:
    return _two_digits(rate * _MILLION)


def _two_digits(value: float) -> str:
    """A number with as many digits as there is a use for: 8.3, 120, 1,400."""
    if value < 10:
        return f"{value:.1f}".removesuffix(".0")
    unit = 10 ** max(0, math.floor(math.log10(value)) - 1)
    return f"{round(value / unit) * unit:,}"


def _chance(chance: AnyOf | None) -> str:
    if chance is None:
        return "–"
    low, high, _ = chance.same_questions
    return f"{100 * chance.chance:.1f}%\n{percent_range(low, high)}"


def _place(row: Row) -> tuple[str, str, str]:
    return row["suite"], row["format"], row["metric"]
