"""Commands about labels by people: what to label, and the labels back into the run folder."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli.app import app
from evals.cli.options import RunFolder
from evals.cli.session import interrupt_on_sigterm

label_app = typer.Typer(no_args_is_help=True, help="Human labels: sample answers, import labels.")
app.add_typer(label_app, name="label")


@label_app.command(name="sample")
def label_sample(
    folder: RunFolder,
    n: Annotated[int, typer.Option("--n", min=1, help="Answers to label.")] = 200,
    seed: Annotated[int, typer.Option(min=0, help="Seed of which answers are drawn.")] = 0,
    force: Annotated[
        bool, typer.Option("--force", help="Replace a sample that has no labels with a new draw.")
    ] = False,
) -> None:
    """Draw open answers for people to label. Drawn with known probabilities; writes a page and a table for blind
    labelling."""
    from evals.analysis.labelling.sample import sample_run
    from evals.reporting.console.labels import print_sampled

    interrupt_on_sigterm()
    print_sampled(folder, sample_run(folder, n, seed, force=force))


@label_app.command(name="import")
def label_import(
    folder: RunFolder,
    file: Annotated[Path, typer.Argument(metavar="FILE.csv", help="The CSV from the page, or to_label.csv filled in.")],
    labeller: Annotated[str, typer.Option(metavar="NAME", help="Who labelled.")],
) -> None:
    """Import labels into the run. They are added to other labellers' and replace the same labeller's."""
    from evals.analysis.labelling.import_labels import import_labels
    from evals.reporting.console.labels import print_imported

    interrupt_on_sigterm()
    print_imported(folder, import_labels(folder, file, labeller), labeller.strip())
