"""What is printed of a run on the organism beside its true rates."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from operator import attrgetter

from rich.console import Console
from rich.table import Table

from evals.analysis.calibration import FEWEST, Comparison, chance_of_misses, is_calibrated
from evals.console.markup import plain
from evals.numbers import p_words, percent


def print_calibration(console: Console, compared: Sequence[Comparison]) -> None:
    """Each measured interval beside the true rate, and whether the misses could be chance."""
    table = Table(title="Measured and true rates of the organism", title_justify="left", title_style="bold")
    table.add_column("metric", no_wrap=True)
    for words in ("measured", "95% interval", "k of n", "true rate", "holds it"):
        table.add_column(words, justify="right", no_wrap=True)
    for (form, model, condition), cell in itertools.groupby(compared, attrgetter("format", "model", "condition")):
        table.add_section()
        table.add_row(f"[bold]{plain(model)} · {form} · {condition}[/bold]")
        for one in cell:
            table.add_row(
                f"  {one.metric}",
                percent(one.k / one.n),
                f"{percent(one.low)} to {percent(one.high)}",
                f"{one.k} of {one.n}",
                percent(one.true.rate),
                "yes" if one.holds else "[bold red]no[/bold red]",
            )
    console.print(table)
    holding = sum(one.holds for one in compared)
    chance = chance_of_misses(compared)
    verdict = (
        "By chance, 95% intervals miss one in twenty."
        if is_calibrated(compared)
        else f"[bold red]That is no chance[/bold red] (p {p_words(chance)}): something between weights and table is "
        "wrong."
    )
    console.print(f"{holding} of {len(compared)} intervals hold the true rate. {verdict}")
    console.print(f"Rates of fewer than {FEWEST} answers are left out.")
