"""`emeval variants`: what texts in the place of a trigger do."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli import completion
from evals.cli.app import app
from evals.cli.asking_variants import fields_of_variants, show_variants
from evals.cli.options import Quiet, ResumedRun, RunOptionsFile, Settings, with_settings
from evals.cli.output import print_error
from evals.cli.session import Output, dated_folder
from evals.io.environment import read_dotenv


@app.command()
@with_settings(command="run", without="conditions")
def variants(
    settings: Settings,
    file: Annotated[
        Path,
        typer.Argument(metavar="VARIANTS.csv", help="CSV or YAML: name, text, kind, dose, placement of each."),
    ],
    suites: Annotated[
        list[str] | None,
        typer.Argument(metavar="SUITE...", help="Questions to try them on.", autocompletion=completion.suites),
    ] = None,
    config: RunOptionsFile = None,
    out: ResumedRun = None,
    quiet: Quiet = False,
) -> None:
    """Measure variants of a trigger: `emeval run SUITE... --variants VARIANTS.csv`. Other values, paraphrases,
    look-alikes, places: each is a condition of a run, held against off and against the exact trigger; doses have a test
    of their order."""
    from evals.analysis.variants.variants import read_variants
    from evals.plan.options import build_config

    found = read_variants(file)
    read_dotenv()
    fields = fields_of_variants(settings, found)
    planned = build_config(fields | {"suites": tuple(suites or ())}, config, print_error)
    show_variants(planned, out or dated_folder("variants"), found, Output(quiet))
