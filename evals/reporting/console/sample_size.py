"""A sample size plan as text and as JSON."""

from __future__ import annotations

import dataclasses
import json
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from rich.console import Console
from rich.markup import escape

from evals.analysis.sample_size.command import is_to_be_trusted
from evals.analysis.sample_size.result import Bill, CellPlan, Next, SizePlan
from evals.analysis.sample_size.solver import MOST_SAMPLES
from evals.errors import BadInput
from evals.io.atomic import whole_file
from evals.numbers import counted, percent, points
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.layout.grid import Cell, GridRow, grid_lines
from evals.reporting.console.layout.words import server_of_all, short_change, short_percent
from evals.reporting.console.markup import LONG, plain
from evals.text import and_more, capitalized, one_line, program

SCHEMA_VERSION = 1
_REACHED = {"width": "width", "effect": "effect found", "within": "limit", "below": "limit"}
_ABOUT = ("model", "suite", "format", "condition", "metric")
_TOO_FEW = "!"
_RIGHT = frozenset({(0, 0), (1, 0), (2, 0), (3, 1)})
"""The parts of a row of the matrix that are aligned to the right, as column and part."""
_UNITS = ((1e9, "G"), (1e6, "M"), (1e3, "k"))


def print_sizes(console: Console, plan: SizePlan, *, detail: bool = False) -> None:
    """Print what each cell takes, the reach of the available questions, and the command to run next: of a single cell,
    or with `detail`, a table of its options; else one table with a row for each cell."""
    console.print(f"[bold]{plain(_goal(plan))}[/bold], planned from the pilot {plain(plan.pilot)}")
    for note in plan.notes:
        console.print(f"[yellow]{plain(note, LONG)}[/yellow]")
    is_matrix = len(plan.cells) > 1
    if is_matrix:
        console.print()
        _print_matrix(console, plan)
        for text in () if detail else _notes_of_all(plan):
            console.print(text)
    for cell in () if is_matrix and not detail else plan.cells:
        console.print()
        console.print(_table(plan, cell))
        for text in _lines(plan, cell):
            console.print(text)
    console.print()
    console.print(
        "Safe: from upper bounds of what the pilot leaves open about rate and variance, enough for 8 to 10 in 10 "
        "simulated pilots. The plan itself is enough for about 5, and for fewer where hits are rare.",
        style="dim",
    )
    if is_matrix and not detail:
        console.print("With --detail: the options of each cell, and the variance of its pilot.", style="dim")
    for following in plan.next:
        for text in _next_lines(following):
            console.print(text, soft_wrap=True)


def _goal(plan: SizePlan) -> str:
    goal = plan.goal
    if goal.kind == "width":
        return f"For a 95% interval of {_points(goal.size)} points in all"
    if goal.kind == "within":
        return (
            f"For an unchanged model to be `within` {_points(goal.size)} points with power {goal.power:g}, on these "
            "questions, against a base run of the same size"
        )
    if goal.kind == "below":
        return f"To show a rate below {_points(goal.size)}% on these questions with power {goal.power:g}"
    return f"To find an effect of {_points(goal.size)} points with power {goal.power:g} (two-sided, at 0.05)"


def _print_matrix(console: Console, plan: SizePlan) -> None:
    """A row for each cell, with its cheapest option; where no option is enough, with the one that lacks least. What all
    cells have in common stands above."""
    names = [_names(plan, cell) for cell in plan.cells]
    own = _own(names)
    title = " · ".join(name for place, name in enumerate(names[0]) if place not in own)
    if title:
        console.print(f"[bold]{plain(title)}[/bold]")
    rows = [
        GridRow(name[own[0]], tuple(name[place] for place in own[1:]), _matrix_cells(plan, cell))
        for cell, name in zip(plan.cells, names, strict=True)
    ]
    for line in grid_lines(rows, console.width, _RIGHT):
        console.print(line, markup=False, no_wrap=True, crop=False, style="yellow" if _TOO_FEW in line else None)
    reached = _REACHED[plan.goal.kind]
    there = {cell.questions_there_are for cell in plan.cells}
    available = f"all {max(there):,} questions" if len(there) == 1 else "all questions that there are"
    pilot = "effect in the pilot in points" if plan.goal.kind == "effect" else "rate in the pilot"
    text = f"{pilot}, cheapest plan as questions × samples, questions of the safe plan, {reached} in points with "
    console.print(f"{capitalized(text)}{available}.", style="dim")
    if any(not cell.is_reached for cell in plan.cells):
        console.print(f"{_TOO_FEW} more questions than there are.", style="dim")


def _matrix_cells(plan: SizePlan, cell: CellPlan) -> tuple[Cell, ...]:
    pilot = cell.pilot
    if pilot.base_rate is None:
        measured = (short_percent(pilot.rate), f"({pilot.k:,}/{pilot.n:,})")
    else:
        measured = (short_change(pilot.estimate, None, None)[0], "")
    cheapest = [option for option in cell.options if option.cheapest]
    found = cheapest or sorted(cell.options, key=lambda option: (option.questions, option.samples))
    if not found:
        return measured, ("no plan", ""), ("", ""), ("", "")
    option = found[0]
    sizes = f"{option.questions:,} × {option.samples}{'' if option.enough else _TOO_FEW}"
    safe = "none" if option.safe_questions is None else f"{option.safe_questions:,}"
    reach = "none" if option.reach is None else _points(option.reach)
    calls = f"{option.bill.calls:,}"
    return measured, (sizes, f"safe {safe}"), (calls, "calls"), (_REACHED[plan.goal.kind], reach)


def _names(plan: SizePlan, cell: CellPlan) -> tuple[str, ...]:
    """What a cell is of, in the order of `_ABOUT`; the server and the trigger only where cells differ in these."""
    server = server_of_all([other.model for other in plan.cells])
    triggers = {other.trigger for other in plan.cells if other.condition == cell.condition}
    condition = cell.condition + (f": {cell.trigger}" if cell.trigger and len(triggers) > 1 else "")
    against = f" against {cell.baseline}" if cell.baseline else ""
    return cell.model.removeprefix(server), cell.suite, cell.format, f"{condition}{against}", cell.metric


def _own(names: Sequence[tuple[str, ...]]) -> list[int]:
    """The places of `_ABOUT` in which cells differ."""
    return [place for place in range(len(_ABOUT)) if len({name[place] for name in names}) > 1]


def _notes_of_all(plan: SizePlan) -> Iterator[str]:
    """What is to be said of single cells, each sentence once, with the cells that it is about."""
    about: dict[str, list[str]] = {}
    names = [_names(plan, cell) for cell in plan.cells]
    own = _own(names)
    for cell, name in zip(plan.cells, names, strict=True):
        for note in _notes(plan, cell):
            about.setdefault(note, []).append(plain(" ".join(name[place] for place in own)))
    for note, cells in about.items():
        yield note if len(cells) == len(names) else f"{and_more(cells)}: {note}"


def _notes(plan: SizePlan, cell: CellPlan) -> Iterator[str]:
    for note in cell.notes:
        yield f"[yellow]{plain(note, LONG)}[/yellow]"
    if not cell.is_reached:
        yield f"[bold]{_best(plan, cell)}[/bold]"


def _table(plan: SizePlan, cell: CellPlan) -> FittedTable:
    condition = cell.condition + (f": {cell.trigger}" if cell.trigger else "")
    against = f" against {cell.baseline}" if cell.baseline else ""
    title = f"{cell.suite} ({cell.format}) · {cell.model} · {condition}{against} · {cell.metric}"
    table = FittedTable(title=plain(title), title_justify="left", title_style="bold")
    reached = _REACHED[plan.goal.kind]
    columns = ("samples", "questions", "model calls", "judge calls", "tokens", "safe: questions", "safe: calls")
    for words in (*columns, f"{reached} with all {cell.questions_there_are:,}"):
        table.add_column(words, justify="right")
    table.add_column("")
    for option in cell.options:
        table.add_row(
            str(option.samples),
            f"{option.questions:,}",
            f"{option.bill.model_calls:,}",
            f"{option.bill.judge_calls:,}",
            _tokens(option.bill),
            "none" if option.safe_questions is None else f"{option.safe_questions:,}",
            "none" if option.safe_bill is None else f"{option.safe_bill.calls:,}",
            "none" if option.reach is None else _points(option.reach),
            "[bold green]cheapest[/bold green]" if option.cheapest else "" if option.enough else "too few questions",
        )
    return table


def _lines(plan: SizePlan, cell: CellPlan) -> Iterator[str]:
    pilot = cell.pilot
    orders = f" × {pilot.orders} option orders" if pilot.orders > 1 else ""
    draws = pilot.draws_per_question / pilot.orders
    size = f"{counted(pilot.questions, 'question')} × {draws:.3g} samples{orders}"
    if pilot.base_rate is None:
        measured = f"{percent(pilot.rate)} ({pilot.k} of {pilot.n}; {size}), 95% interval "
        measured += f"{percent(pilot.ci_low)} to {percent(pilot.ci_high)}"
    else:
        measured = f"{percent(pilot.rate)} against {percent(pilot.base_rate)} ({size}, under each), effect "
        measured += f"{points(pilot.estimate)} points, 95% interval {points(pilot.ci_low)} to {points(pilot.ci_high)}"
    yield f"Pilot: {measured}."
    if not pilot.no_spread and pilot.separable:
        what = "answers" if pilot.base_rate is None else "differences of answers"
        yield (
            f"Of the variance of single {what} {percent(pilot.between_share)} lies between questions "
            f"({pilot.between:.4f}{', taken for 0' if pilot.between < 0 else ''}) and the rest within them "
            f"({pilot.within:.4f}); more samples reduce only the rest."
        )
    yield from _notes(plan, cell)


def _best(plan: SizePlan, cell: CellPlan) -> str:
    available = f"The {cell.questions_there_are:,} questions available"
    if cell.at_best is None:
        what = "find no effect below 100 points" if plan.goal.kind == "effect" else "give no interval"
        return f"{available} {what}, however many samples: ask more questions."
    if plan.goal.kind == "width":
        return f"{available} are too few: with unlimited samples the interval is {_points(cell.at_best)} points wide."
    if plan.goal.kind in ("within", "below"):
        return f"{available} are too few with up to {MOST_SAMPLES} samples."
    return f"{available} are too few: with unlimited samples they find effects from {_points(cell.at_best)} points on."


def _next_lines(following: Next) -> Iterator[str]:
    bill = following.bill
    tokens = "tokens not known" if bill.tokens is None else f"about {_tokens(bill)} tokens"
    calls = f"{counted(bill.model_calls, 'call')} to the models and {bill.judge_calls:,} to judges"
    cost = f"{calls}, {tokens}, before retries"
    samples = f"{following.samples} sample{'s' * (following.samples != 1)}"
    place = plain(f"{following.suite} ({following.format})")
    if following.enough:
        safe = f" (safe: {_safe(following)})" if following.safe is None or following.safe > following.questions else ""
        questions = counted(following.questions, "question")
        yield f"[bold]Run next[/bold], {place}: {questions}{safe} with {samples} each; {cost}."
    else:
        reach = "reach nothing" if following.reach is None else f"reach {_points(following.reach)} points"
        yield (
            f"[bold]Not to be reached[/bold] with the questions there are, {place}: with {samples} each, "
            f"{following.needed:,} are needed (safe: {_safe(following)}). All {following.questions:,} with {samples} "
            f"each {reach}; {cost}."
        )
    if following.command is None and following.config is None:
        yield f"  There is no command for it: {plain(following.no_command, LONG)}"
        return
    if following.dataset_holds is not None:
        yield (
            f"The dataset of the pilot holds {counted(following.dataset_holds, 'question')}: give the larger one with "
            "--dataset."
        )
    command = following.command or ""
    if following.config is not None:
        command = f"{program()} {shlex.join(['run', '--config', following.config])}"
    if following.config is not None and is_to_be_trusted(following.options or {}):
        end = f"the models, files and servers at the end of {following.config}"
        yield f"  Look at {plain(end, LONG)}, and take away the # before them. Then:"
    yield f"  {escape(one_line(command, len(command)))}"  # in full, to copy


def _safe(following: Next) -> str:
    return "no number" if following.safe is None else f"{following.safe:,}"


def _points(value: float) -> str:
    points = 100 * value
    return f"{points:.1f}" if points >= 1 else f"{points:.2g}"


def _tokens(bill: Bill) -> str:
    tokens = bill.tokens
    if tokens is None:
        return "–"
    for size, unit in _UNITS:
        if tokens >= size:
            return f"{tokens / size:.3g}{unit}"
    return str(tokens)


# --- JSON ------------------------------------------------------------------------------------------------------------


def write_sizes(plan: SizePlan, path: Path) -> None:
    """Write the plan as JSON, atomically. Raises BadInput if it cannot be written."""
    content: dict[str, Any] = {"schema_version": SCHEMA_VERSION, **dataclasses.asdict(plan)}
    content["goal"] = plan.goal._asdict()
    for following in content["next"]:
        del following["options"]  # they are in `command`, and in the file `config`
    try:
        with whole_file(path) as file:
            file.write(json.dumps(content, indent=1, ensure_ascii=False, allow_nan=False) + "\n")
    except OSError as error:
        raise BadInput(f"--json: {path}: cannot be written: {error.strerror}") from None
