"""The command that sets what a model says of itself beside what it does."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli.app import app
from evals.cli.options import Json, RunFolder
from evals.cli.session import Output, print_json


@app.command("say-do")
def say_do(
    folder: RunFolder,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Also write the numbers as CSV.")] = None,
    json: Json = False,
) -> None:
    """Set what a model says of itself beside what it does. Rates in self_report, over all its questions and those about
    the same behaviour, against the other suites."""
    from evals.analysis.say_do import SAY_DO, say_do_table
    from evals.reporting.say_do import print_say_do
    from evals.runner.count import read_counted
    from evals.scoring.rates.tables import write_named_table

    rows = say_do_table(read_counted(folder))
    if csv is not None:
        write_named_table(csv, SAY_DO, rows)
    if json:
        print_json(rows)
    else:
        print_say_do(Output().view().out, rows)
