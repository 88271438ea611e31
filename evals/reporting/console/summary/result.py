"""The printed result of a run: the matrix, what makes a number untrustworthy, and with `detail` every table."""

from __future__ import annotations

from rich.console import Console

from evals.analysis.seeds import headline_did_rows, headline_recipe_differences, of_one_checkpoint
from evals.analysis.who_answered import cache_words
from evals.plan.manifest import Manifest, judges_beside
from evals.plan.spend import spend_words
from evals.reporting.console.choices.tables import print_choices
from evals.reporting.console.experiments.differences import print_differences
from evals.reporting.console.experiments.recipe_differences import print_recipe_differences
from evals.reporting.console.experiments.recipes import print_recipes
from evals.reporting.console.markup import LONG, plain
from evals.reporting.console.summary.matrix import print_matrix
from evals.reporting.console.summary.plugins import plugin_lines
from evals.reporting.console.summary.warnings import warnings
from evals.reporting.console.tables import print_tables
from evals.reporting.corrected import corrected_lines_of
from evals.reporting.monitor_words import monitor_line
from evals.scoring.rates.tables import Tables


def print_result(console: Console, manifest: Manifest, tables: Tables, *, detail: bool) -> None:
    """Print what labels correct first, then the matrix of a run, the warnings, the tables with `detail`, and what the
    run cost."""
    _print_corrected(console, tables)
    print_matrix(console, manifest, tables)
    print_recipes(console, manifest, tables)
    if tables.probability_rows:
        print_choices(console, tables.probability_rows)
    for line in plugin_lines(manifest, tables) if not detail else ():
        console.print(line)
    if text := monitor_line(tables.rate_rows):
        console.print(plain(text, LONG))
    for text in warnings(manifest, tables):
        console.print(f"[yellow]{plain(text, LONG)}[/yellow]")
    if detail:
        console.print()
        print_tables(console, manifest, tables)
        if differences := headline_did_rows(tables):
            print_differences(console, differences)
        print_recipe_differences(console, headline_recipe_differences(tables))
        if text := of_one_checkpoint(manifest, tables):
            console.print(plain(text, LONG))
    if beside := judges_beside(manifest):
        console.print(
            f"Verdicts of {plain(', '.join(beside))} are kept beside and count nowhere: "
            "emeval robustness RUN compares the judges.",
        )
    hits = cache_words(manifest)
    if hits:
        console.print(f"From the answer cache: {hits}.")
    spent = spend_words([row.charge() for row in manifest.spend or ()])
    if spent:
        console.print(f"Spent on this run, at list prices: {plain(spent)}")
    if manifest.trials_recorded < manifest.trials_planned:
        recorded = f"{manifest.trials_recorded} of {manifest.trials_planned} trials are recorded."
        console.print(f"[bold]Not complete[/bold]: {recorded}")


def _print_corrected(console: Console, tables: Tables) -> None:
    """Print the rates and effects without the judge's errors, and then those as judged, for each labelled model."""
    labelled = list(corrected_lines_of(tables))
    for lines in labelled:
        console.print(f"[bold]{plain(lines.title, LONG)}[/bold]")
        console.print(f"  {plain(lines.corrected, LONG)}")
        console.print(f"  As judged: {plain(lines.as_judged, LONG)}")
        for note in lines.notes:
            console.print(f"  [yellow]{plain(note, LONG)}[/yellow]")
    if labelled:
        console.print("95% intervals for questions like these (PPI++). The numbers below are as judged.", style="dim")
        console.print()
