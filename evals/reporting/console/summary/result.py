"""The printed result of a run: the matrix, what makes a number untrustworthy, and with `detail` every table."""

from __future__ import annotations

from rich.console import Console

from evals.analysis.seeds import headline_did_rows, of_one_checkpoint
from evals.analysis.who_answered import cache_words
from evals.plan.manifest import Manifest, judges_beside
from evals.plan.spend import spend_words
from evals.reporting.console.choices.tables import print_choices
from evals.reporting.console.experiments.differences import print_differences
from evals.reporting.console.experiments.recipes import print_recipes
from evals.reporting.console.markup import LONG, plain
from evals.reporting.console.summary.matrix import print_matrix
from evals.reporting.console.summary.plugins import plugin_lines
from evals.reporting.console.summary.warnings import warnings
from evals.reporting.console.tables import print_tables
from evals.scoring.rates.tables import Tables


def print_result(console: Console, manifest: Manifest, tables: Tables, *, detail: bool) -> None:
    """Print the matrix of a run first, then the warnings, the tables with `detail`, and what the run cost."""
    print_matrix(console, manifest, tables)
    print_recipes(console, manifest, tables)
    if tables.probability_rows:
        print_choices(console, tables.probability_rows)
    for line in plugin_lines(manifest, tables) if not detail else ():
        console.print(line)
    for text in warnings(manifest, tables):
        console.print(f"[yellow]{plain(text, LONG)}[/yellow]")
    if detail:
        console.print()
        print_tables(console, manifest, tables)
        if differences := headline_did_rows(tables):
            print_differences(console, differences)
        if text := of_one_checkpoint(manifest, tables):
            console.print(plain(text, LONG))
    if beside := judges_beside(manifest):
        console.print(
            f"Verdicts of {plain(', '.join(beside))} are kept beside and count nowhere: "
            "emeval robustness RUN compares the judges.",
        )
    if tables.corrected_rows and not detail:
        console.print(
            "Answers are labelled: --detail and corrected.csv have the rates corrected for the judge's errors."
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
