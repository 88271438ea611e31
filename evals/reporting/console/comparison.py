"""The output of `emeval compare`. Untrusted text is escaped."""

from __future__ import annotations

from rich.console import Console
from rich.table import Table

from evals.analysis.comparison.result import CellChange, Compared, QuestionChange
from evals.analysis.comparison.words import cell_words, decision_words, interval_words, side_words
from evals.numbers import p_words, percent, points
from evals.reporting.console.markup import plain

_SHOWN_QUESTIONS = 5
_INTERVALS = (
    "95% intervals of the change, in points: on these questions (new answers to the same questions), which decides, "
    "and for questions like these (other questions of this kind)."
)
_STYLES = {"regression": "bold red", "unscored": "bold red", "unclear": "yellow", "within": "green"}


def print_comparison(console: Console, compared: Compared) -> None:
    """Print the cells with a sentence on each, the questions that changed most, notes, and the verdict."""
    console.print(f"base      {plain(compared.base.folder)}", soft_wrap=True)
    console.print(f"candidate {plain(compared.candidate.folder)}", soft_wrap=True)
    for models in dict.fromkeys((cell.base_model, cell.candidate_model) for cell in compared.cells):
        cells = [cell for cell in compared.cells if (cell.base_model, cell.candidate_model) == models]
        console.print(_cells_table(cells))
        console.print(_INTERVALS, style="dim")
        for cell in cells:
            place = f"{cell.key.suite} {cell.key.format} {cell.key.condition} {cell.key.metric}"
            words = f"{plain(place)}: {plain(cell_words(cell))}"
            console.print(f"[{_STYLES[cell.decision]}]{words}[/]", soft_wrap=True)
    if compared.changed:
        console.print(_questions_table(compared.changed[:_SHOWN_QUESTIONS]))
    for note in compared.notes:
        console.print(f"[yellow]{plain(note)}[/yellow]", soft_wrap=True)
    console.print(f"[{_STYLES[compared.decision]}]{plain(decision_words(compared))}[/]", soft_wrap=True)


def _cells_table(cells: list[CellChange]) -> Table:
    first = cells[0]
    title = first.candidate_model if first.base_model == first.candidate_model else ""
    table = Table(
        title=plain(title or f"{first.base_model} → {first.candidate_model}"), title_justify="left", title_style="bold"
    )
    table.add_column("cell")
    for words in ("base", "candidate", "change on these questions", "for questions like these"):
        table.add_column(words, justify="right")
    table.add_column("decision", no_wrap=True)
    for cell in cells:
        key, change = cell.key, "–"
        if cell.increase is not None:
            change = f"{points(cell.increase)} ({interval_words(cell.gen_low, cell.gen_high)})"
        table.add_row(
            plain(" ".join(filter(None, (key.suite, key.format, key.condition, key.trigger, key.metric)))),
            side_words(cell.base),
            side_words(cell.candidate),
            change,
            interval_words(cell.ci_low, cell.ci_high),
            f"[{_STYLES[cell.decision]}]{cell.decision}[/]",
        )
    return table


def _questions_table(changed: tuple[QuestionChange, ...]) -> Table:
    table = Table(
        title="Questions that changed most (p by Fisher's exact test, Benjamini-Hochberg)",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("question", no_wrap=True, max_width=48)
    table.add_column("cell")
    for words in ("base", "candidate", "change", "p (B.-H.)"):
        table.add_column(words, justify="right", no_wrap=True)
    for change in changed:
        table.add_row(
            f"{plain(change.prompt_id)}: {plain(change.question)}",
            plain(" ".join((change.cell.suite, change.cell.format, change.cell.condition, change.cell.metric))),
            f"{percent(change.base_k / change.base_n)} ({change.base_k} of {change.base_n})",
            f"{percent(change.k / change.n)} ({change.k} of {change.n})",
            points(change.increase),
            p_words(change.q_value).removeprefix("= "),
        )
    return table
