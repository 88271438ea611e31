"""Commands that read what there is: rates, tables, suites, a run beside known rates."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli.app import EXIT_GATE, app
from evals.cli.options import CsvFile, Detail, Json, Quiet, RunFolder, RunFolders, Settings, with_settings
from evals.cli.output import echo
from evals.cli.session import Output, print_json, show
from evals.errors import BadInput

if TYPE_CHECKING:
    from evals.runner.count import RunResult
    from evals.runner.view import RunView


@app.command()
@with_settings("denominator", "max_unscored", "baseline", "base", "recipes", over_run=True)
def rates(
    settings: Settings,
    folder: RunFolder,
    responses: Annotated[
        bool,
        typer.Option("--responses", help="Write responses.csv also if there is none and it has 200,000 rows or more."),
    ] = False,
    detail: Detail = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Recompute the CSVs of a run and print its rates."""
    from evals.runner.count import count_run

    def count(view: RunView) -> RunResult:
        with view.busy("counting the answers ..."):
            return count_run(folder, **settings, responses=responses)

    show(folder, count, Output(quiet, json, detail), resumable=False)


@app.command()
def table(
    name: Annotated[str, typer.Argument(metavar="NAME", help="table1 to table6, fig3, fig4, ...")],
    runs: RunFolders,
    base: Annotated[Path | None, typer.Option(help="The run of the model before finetuning.")] = None,
    stands_for: Annotated[
        list[str] | None,
        typer.Option("--as", metavar="MODEL=TRAINING", help="Published column to show alongside a model."),
    ] = None,
    paper_rubric: Annotated[
        list[Path] | None,
        typer.Option(
            metavar="FILE", help="Rubric file with the paper's own text, for runs judged with it; repeatable."
        ),
    ] = None,
    csv: CsvFile = None,
) -> None:
    """Print a table or figure of the paper from your runs. Markdown, with the published figures alongside."""
    from evals.reporting.paper_tables.definitions import find_table
    from evals.reporting.paper_tables.fill import fill_table
    from evals.reporting.paper_tables.likeness import rubric_hashes
    from evals.reporting.paper_tables.render import markdown, write_csv

    rubrics = rubric_hashes(paper_rubric or [])
    filled = fill_table(find_table(name), runs, base, _assignments(stands_for or []), rubrics)
    if csv is not None:
        write_csv(filled, csv)
    echo(markdown(filled), nl=False)


def _assignments(given: list[str]) -> dict[str, str]:
    assigned: dict[str, str] = {}
    for text in given:
        model, sign, training = text.rpartition("=")
        if not sign or not model.strip() or not training.strip():
            raise BadInput(f"--as {text!r}: write MODEL=TRAINING, such as vllm/BASE:ADAPTER=legal")
        assigned[model.strip()] = training.strip()
    return assigned


@app.command()
def calibrate(folder: RunFolder) -> None:
    """Compare a run on the organism with its true rates. Exit 1 if they differ by more than chance."""
    from evals.analysis.calibration import compare, is_calibrated
    from evals.reporting.console.progress import ConsoleView
    from evals.reporting.console.tables import print_calibration
    from evals.runner.count import count_run

    result = count_run(folder, None, must_write=False)
    compared = compare(result.manifest, result.tables.rates, folder)
    print_calibration(ConsoleView().out, compared)
    raise typer.Exit(0 if is_calibrated(compared) else EXIT_GATE)


@app.command()
def suites(json: Json = False) -> None:
    """List the evaluations. What they ask, whose questions they use, who judges the answers, and what is counted."""
    from evals.reporting.console.suites import print_suites, suite_rows

    if json:
        print_json(list(suite_rows()))
        return
    from evals.reporting.console.progress import ConsoleView

    print_suites(ConsoleView().out)
