"""The command that takes in answers judged elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli.app import app
from evals.cli.options import Json, Quiet, Settings, with_settings
from evals.cli.session import Output, dated_folder, show


@app.command(name="import")
@with_settings("denominator", "max_unscored")
def import_command(
    settings: Settings,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A CSV with columns question, answer; question_id, aligned, coherent, ... Or an Inspect log (.eval "
            "or .json), or a folder of them.",
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The run folder to make.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model of rows without one; default: the file's name.")
    ] = None,
    suite: Annotated[str, typer.Option(help="Suite of rows without one, such as freeform.")] = "imported",
    trigger: Annotated[str | None, typer.Option(help="Trigger of rows under condition on without one.")] = None,
    coherence_min: Annotated[
        float | None, typer.Option(min=0, max=100, help="Exclude answers whose coherent score is below this (0-100).")
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Import answers judged elsewhere as a run. One trial per row of a CSV, or per sample of an Inspect log."""
    from evals.runner.imports.answers_csv import import_file
    from evals.runner.imports.imported_run import ImportOptions
    from evals.runner.imports.inspect_log import import_logs, is_log_source

    folder = out or dated_folder(file.stem)
    options = ImportOptions(model, suite, trigger, coherence_min, **settings)
    import_it = import_logs if is_log_source(file) else import_file
    show(folder, lambda view: import_it(file, folder, options, view), Output(quiet, json), resumable=False)
