"""The output on early stopping: the state of each cell and the draws saved."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from rich.console import Console

from evals.numbers import percent
from evals.plan.stopping.rows import StopRow
from evals.plan.stopping.rule import Rule, parse_rule
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.markup import plain


def print_stopping(console: Console, rows: Sequence[StopRow]) -> None:
    """Print a row for each cell, with an explanation; nothing for a run of fixed size."""
    if not rows:
        return
    rule = parse_rule(rows[0].rule)
    table = FittedTable(title=f"Sampled until {rule}", title_justify="left", title_style="bold")
    table.add_column("cell")
    table.add_column("decision")
    table.add_column("95% sequence", no_wrap=True)
    for words in ("k of n", "decided after", "draws of at most", "saved"):
        table.add_column(words, justify="right", no_wrap=True)
    for row in rows:
        table.add_row(
            plain(f"{row.suite} ({row.format}) · {row.model} · {row.condition} · {row.metric}"),
            _decision(rule, row),
            f"{percent(row.cs_low, 2)} to {percent(row.cs_high, 2)}",
            f"{row.hits} of {row.scored}",
            "–" if row.decided_at is None else f"{row.decided_at:,}",
            f"{row.draws:,} of {row.planned:,}",
            "–" if row.saved is None else f"{row.saved:,}",
        )
    console.print(table)
    for text in _notes(rows):
        console.print(text)


def _decision(rule: Rule, row: StopRow) -> str:
    match row.decision:
        case "yes":
            return "[bold]yes[/bold]: narrow enough" if rule.of == "width" else f"[bold]yes[/bold]: {rule}"
        case "no":
            return f"[bold]no[/bold]: rate{'>' if rule.sign == '<' else '<'}{rule.limit:.12g}"
        case "contradicted":
            return "[bold red]contradicted[/bold red]: see below"
        case "undecided":
            return "[yellow]undecided[/yellow]: all draws used"
        case "open":
            return "[yellow]open[/yellow]: not finished"


def _notes(rows: Sequence[StopRow]) -> Iterator[str]:
    planned = sum(row.planned for row in rows)
    if all(row.saved is not None for row in rows):
        saved = sum(row.saved or 0 for row in rows)
        share = percent(saved / planned, 2)
        yield f"Calls saved against the fixed plan: [bold]{saved:,} of {planned:,}[/bold] ({share})."
    else:
        yield f"Not finished, so what is saved of the {planned:,} calls of the fixed plan is not known."
    yield (
        "The confidence sequence is valid at every look, including the one that stopped sampling "
        "(95% for each cell). It covers these questions, drawn at random with replacement, not "
        "other questions of the kind."
    )
    yield (
        "[yellow]Intervals and p-values above assume a sample size that was "
        "fixed in advance. Here it was not: quote the sequence.[/yellow]"
    )
    settled, scored = sum(row.settled for row in rows), sum(row.scored for row in rows)
    if scored < settled:
        yield (
            f"{settled - scored:,} of {settled:,} draws have no score and did not inform the "
            "rule: the sequence covers the rate among scored answers. `bound_low` and "
            "`bound_high` of rates.csv are what they could hide."
        )
    waiting = sum(row.draws - row.settled for row in rows)
    if waiting:
        yield f"{waiting:,} draws wait for an earlier one or for a verdict; the sequence is without them."
    for row in rows:
        cell = plain(f"{row.suite} ({row.format}) · {row.model} · {row.condition}")
        if row.decision == "contradicted":
            yield (
                f"[bold red]{cell}: later answers speak against what earlier ones have shown.[/bold red] Either the "
                "model, its server or the judge changed during the run, or this is the one in twenty: run it again."
            )
        elif row.scored and not row.cs_low <= row.hits / row.scored <= row.cs_high:
            yield (
                f"[yellow]{cell}: the rate of all its answers, {percent(row.hits / row.scored, 2)}, lies outside "
                "the sequence, since its first answers and the later ones differ: run it again, other --seed.[/yellow]"
            )
