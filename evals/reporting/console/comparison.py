"""The output of `emeval compare`. Untrusted text is escaped."""

from __future__ import annotations

from rich.console import Console

from evals.analysis.comparison.result import CellChange, Compared, QuestionChange, Side
from evals.analysis.comparison.words import cell_words, decision_words, interval_words, side_words
from evals.numbers import counted, p_words, percent, points
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.layout.grid import GridRow, grid_lines
from evals.reporting.console.layout.words import server_of_all, short_change, short_percent
from evals.reporting.console.markup import LONG, plain
from evals.reporting.console.rates import FEWEST_PROMPTS

_SHOWN_QUESTIONS = 5
_INTERVALS = (
    "95% intervals of the change, in points: same questions (new answers to these), which decides, and new questions "
    "(others of this kind)."
)
_STYLES = {"regression": "bold red", "unscored": "bold red", "unclear": "yellow", "within": "green"}
_RIGHT = frozenset({(0, 0), (0, 3), (1, 0)})
"""Both rates and the change."""


def print_comparison(console: Console, compared: Compared, *, detail: bool) -> None:
    """Print a line for each cell, what makes numbers untrustworthy, and the verdict; with `detail` also the tables, a
    sentence on each cell and the questions that changed most."""
    _print_matrix(console, compared)
    if detail:
        _print_tables(console, compared)
    else:
        for cell in compared.cells:
            if cell.decision in ("regression", "unscored"):
                _print_words(console, cell)
    for note in dict.fromkeys(compared.notes):
        console.print(f"[yellow]{plain(note, LONG)}[/yellow]")
    console.print(f"[{_STYLES[compared.decision]}]{plain(decision_words(compared), LONG)}[/]")


def _print_matrix(console: Console, compared: Compared) -> None:
    """The rate before and after, the change and the decision of each cell, the largest change for the worse first."""
    cells = sorted(compared.cells, key=lambda cell: -2.0 if cell.worse_by is None else cell.worse_by, reverse=True)
    suites = {cell.key.suite for cell in cells}
    suite = f"{plain(suites.pop())}: " if len(suites) == 1 else ""
    console.print(f"[bold]{suite}base → candidate, and change in points[/bold]")
    server = server_of_all([name for cell in cells for name in (cell.base_model, cell.candidate_model)])
    rows = [_grid_row(cell, server, with_suite=not suite) for cell in cells]
    for line in grid_lines(rows, console.width, _RIGHT):
        decision = line.rpartition(" ")[2]
        console.print(line, markup=False, no_wrap=True, crop=False, style=_STYLES.get(decision))
    console.print("[low, high]: 95% interval, same questions.", markup=False, style="dim")
    if any(side.unscored_share > cell.max_unscored for cell in cells for side in (cell.base, cell.candidate)):
        console.print("! so many answers have no score that the rate may be a very different one.", style="dim")


def _grid_row(cell: CellChange, server: str, *, with_suite: bool) -> GridRow:
    models = dict.fromkeys(model.removeprefix(server) for model in (cell.base_model, cell.candidate_model))
    key = cell.key
    change = ("–", "")
    if cell.increase is not None:
        change = short_change(cell.increase, cell.gen_low, cell.gen_high)
    few = f"({counted(cell.n_prompts, 'question')})" if cell.n_prompts < FEWEST_PROMPTS else ""
    sides = (*_side(cell.base, cell.max_unscored), "→", *_side(cell.candidate, cell.max_unscored))
    labels = (*([key.suite] if with_suite else []), key.format, key.condition, key.metric)
    return GridRow(" → ".join(models), labels, (sides, (*change, few), (cell.decision,)))


def _side(side: Side, max_unscored: float) -> tuple[str, str]:
    """A rate and its counts, with what is missing from them; marked where that is too much."""
    missing = sum(side.missing.values())
    mark = "!" if side.unscored_share > max_unscored else ""
    return f"{short_percent(side.rate)}{mark}", f"({side.k}/{side.n}{f', {missing} missing' if missing else ''})"


def _print_tables(console: Console, compared: Compared) -> None:
    console.print(f"base      {plain(compared.base.folder)}", soft_wrap=True)
    console.print(f"candidate {plain(compared.candidate.folder)}", soft_wrap=True)
    for models in dict.fromkeys((cell.base_model, cell.candidate_model) for cell in compared.cells):
        cells = [cell for cell in compared.cells if (cell.base_model, cell.candidate_model) == models]
        console.print(_cells_table(cells))
        console.print(_INTERVALS, style="dim")
        for cell in cells:
            _print_words(console, cell)
    if compared.changed:
        console.print(_questions_table(compared.changed[:_SHOWN_QUESTIONS]))


def _print_words(console: Console, cell: CellChange) -> None:
    place = f"{cell.key.suite} {cell.key.format} {cell.key.condition} {cell.key.metric}"
    console.print(f"[{_STYLES[cell.decision]}]{plain(place)}: {plain(cell_words(cell), LONG)}[/]")


def _cells_table(cells: list[CellChange]) -> FittedTable:
    first = cells[0]
    title = first.candidate_model if first.base_model == first.candidate_model else ""
    table = FittedTable(
        title=plain(title or f"{first.base_model} → {first.candidate_model}"), title_justify="left", title_style="bold"
    )
    table.add_column("cell")
    for words in ("base", "candidate", "change, same questions", "new questions"):
        table.add_column(words, justify="right")
    table.add_column("decision")
    for cell in cells:
        key, change = cell.key, "–"
        if cell.increase is not None:
            change = f"{points(cell.increase)}\n{interval_words(cell.gen_low, cell.gen_high)}"
        table.add_row(
            plain(" ".join(filter(None, (key.suite, key.format, key.condition, key.trigger, key.metric)))),
            *("\n".join(side_words(side)) for side in (cell.base, cell.candidate)),
            change,
            interval_words(cell.ci_low, cell.ci_high),
            f"[{_STYLES[cell.decision]}]{cell.decision}[/]",
        )
    return table


def _questions_table(changed: tuple[QuestionChange, ...]) -> FittedTable:
    table = FittedTable(
        title="Questions that changed most (p by Fisher's exact test, Benjamini-Hochberg)",
        title_justify="left",
        title_style="bold",
    )
    table.add_column("question, and its cell")
    for words in ("base", "candidate", "change", "p"):
        table.add_column(words, justify="right")
    for change in changed:
        cell = " ".join((change.cell.suite, change.cell.format, change.cell.condition, change.cell.metric))
        table.add_row(
            f"{plain(change.prompt_id, 40)}: {plain(change.question, 80)}\n{plain(cell)}",
            f"{percent(change.base_k / change.base_n)}\n{change.base_k}/{change.base_n}",
            f"{percent(change.k / change.n)}\n{change.k}/{change.n}",
            points(change.increase),
            p_words(change.q_value).removeprefix("= "),
        )
    return table
