"""The command that takes in answers judged elsewhere."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli.app import app
from evals.cli.options import Blank, Columns, Detail, Json, Quiet, RowsSuite, Settings, with_settings
from evals.cli.session import Output, dated_folder, show
from evals.errors import BadInput


@app.command(name="import")
@with_settings("denominator", "max_unscored")
def import_command(
    settings: Settings,
    file: Annotated[
        Path,
        typer.Argument(
            metavar="FILE",
            help="A CSV or JSON Lines (.jsonl) with question and answer (or response); question_id, aligned, "
            "coherent, ... Or an Inspect log (.eval or .json), or a folder of them.",
        ),
    ],
    out: Annotated[Path | None, typer.Option(help="The run folder to make.")] = None,
    model: Annotated[
        str | None, typer.Option("--model", "-m", help="Model of rows without one; default: the file's name.")
    ] = None,
    suite: RowsSuite = "imported",
    trigger: Annotated[str | None, typer.Option(help="Trigger of rows under condition on without one.")] = None,
    coherence_min: Annotated[
        str | None,
        typer.Option(
            metavar="[>]NUMBER",
            help="Exclude answers whose coherent score is below this (0-100); '>50' also excludes a score of 50.",
        ),
    ] = None,
    columns: Columns = None,
    blank: Blank = None,
    score: Annotated[
        str | None, typer.Option(metavar="NAME", help="Inspect logs: the score that counts, such as concerning.")
    ] = None,
    hit: Annotated[
        str | None,
        typer.Option(metavar="RULE", help="Its values that are hits: '>=7', '<3', '==1', '!=C', or labels (I,P)."),
    ] = None,
    detail: Detail = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Import answers judged elsewhere as a run. One trial per row of a CSV or JSON Lines, or per sample of an Inspect
    log."""
    from evals.questions.tables.column_names import columns_option
    from evals.runner.imports.answers_csv import KNOWN, import_file
    from evals.runner.imports.imported_run import ImportOptions
    from evals.runner.imports.inspect_log import import_logs, is_log_source
    from evals.scoring.coherence_floor import floor_setting

    folder = out or dated_folder(file.stem)
    try:
        floor = floor_setting(coherence_min)
    except ValueError as error:
        raise BadInput(f"--coherence-min: {error}") from None
    renamed = tuple(columns_option(columns or (), KNOWN).items())
    options = ImportOptions(
        model, suite, trigger, floor, **settings, columns=renamed, blank=blank, score=score, hit=hit
    )
    is_log = is_log_source(file)
    if is_log and (renamed or blank is not None):
        raise BadInput(f"--{'columns' if renamed else 'blank'}: is for a CSV or JSON Lines; {file} holds Inspect logs")
    if not is_log and (score is not None or hit is not None):
        column = "--columns aligned=COLUMN names the scores of a CSV"
        raise BadInput(f"--{'score' if score is not None else 'hit'}: is for Inspect logs; {column}")
    import_it = import_logs if is_log else import_file
    show(folder, lambda view: import_it(file, folder, options, view), Output(quiet, json, detail), resumable=False)
