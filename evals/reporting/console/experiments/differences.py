"""The difference between the effects of a trigger in a model and in its base, printed."""

from __future__ import annotations

from collections.abc import Sequence

from rich.console import Console

from evals.numbers import counted, p_words, points
from evals.reporting.console.layout.words import server_of_all
from evals.reporting.console.markup import plain
from evals.scoring.rates.rows import Row

_SURE = 0.05


def print_differences(console: Console, rows: Sequence[Row]) -> None:
    """Print a paragraph for each row of did.csv: the two effects, their difference, and what it shows."""
    base, server = rows[0]["base"], server_of_all([name for row in rows for name in (row["model"], row["base"])])
    console.print(f"[bold]Is the effect larger than in the base, {plain(base.removeprefix(server))}?[/bold]")
    for row in rows:
        name = row["model"].removeprefix(server)
        where = f"{row['suite']} ({row['format']}), {row['condition']} against {row['baseline']}, {row['metric']}"
        console.print(f"[bold]{plain(name)}[/bold] · {plain(where)}")
        console.print(f"  {plain(difference_words(row))}")
    console.print(
        "Difference: effect in the model less effect in the base, in points, each question compared with itself. p "
        "after Holm over the rows of a metric.",
        style="dim",
    )


def difference_words(row: Row) -> str:
    """A row of did.csv in a sentence or two."""
    same = f"{points(row['gen_low'])} to {points(row['gen_high'])}, p {p_words(row['gen_p_holm'])}"
    text = (
        f"{verdict_words(row)}: {points(row['effect'])} points against {points(row['base_effect'])} in the base over "
        f"{counted(row['n_prompts'], 'question')}, a difference of {points(row['difference'])} (95% interval, same "
        f"questions: {same}"
    )
    if row["ci_low"] is None:
        return f"{text}); one question says nothing of others."
    new = f"{points(row['ci_low'])} to {points(row['ci_high'])}, p {p_words(row['p_holm'])}"
    return f"{text}; new questions: {new})."


def verdict_words(row: Row) -> str:
    """What the difference shows on these questions. No difference shown is not none."""
    if row["gen_p_holm"] >= _SURE:
        return "no difference shown"
    return "larger than in the base" if row["difference"] > 0 else "smaller than in the base"
