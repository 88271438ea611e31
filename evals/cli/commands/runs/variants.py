"""`emeval variants`: what texts in the place of a trigger do."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli import completion
from evals.cli.app import app
from evals.cli.options import Quiet, ResumedRun, RunOptionsFile, Settings, with_settings
from evals.cli.output import print_error
from evals.cli.session import Output, dated_folder, show
from evals.errors import BadInput
from evals.io.environment import read_dotenv
from evals.text import shown_path

if TYPE_CHECKING:
    from evals.runner.count import RunResult
    from evals.runner.view import RunView

_OF_ITS_OWN = ("trigger", "decoy", "distractor", "baseline")


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
    """Measure variants of a trigger. Other values, paraphrases, look-alikes, places: each is a condition of a run, held
    against off and against the exact trigger; doses have a test of their order."""
    given = [name for name in _OF_ITS_OWN if name in settings]
    if given:
        raise BadInput(f"--{given[0]}: the trigger and what it is held against are variants of the file; leave it out")
    from evals.analysis.variants.measured import VARIANTS, measured, variant_rows
    from evals.analysis.variants.variants import conditions_of, read_variants
    from evals.batches.in_runs.asked import Batches
    from evals.plan.options import build_config
    from evals.reporting.console.curves.variants import print_variants
    from evals.runner.run import start_run
    from evals.scoring.rates.tables import write_table

    found = read_variants(file)
    read_dotenv()
    fields = settings | {"suites": tuple(suites or ()), "conditions": conditions_of(found), "baseline": "off"}
    planned = build_config(fields, config, print_error)
    folder = out or dated_folder("variants")
    results: list[RunResult] = []

    def act(view: RunView) -> RunResult:
        results.append(start_run(planned, folder, view, by_batch=Batches()))
        return results[-1]

    code = 0
    try:
        show(folder, act, Output(quiet))
    except typer.Exit as end:
        code = end.exit_code
    view = Output(quiet).view()
    with view.busy("comparing the variants ..."):
        sets = measured(folder, results[-1].tables, found)
        write_table(folder / "variants.csv", VARIANTS, variant_rows(sets))
        if sets:
            from evals.reporting.figures.curves.variants import variants_figure
            from evals.reporting.figures.drawing.files import write_chart

            write_chart(variants_figure(sets), folder / "variants.svg")
    print_variants(view.out, sets)
    files = "variants.csv, variants.svg" if sets else "variants.csv"
    view.out.print(f"Written: {shown_path(folder)}/ ({files})", style="dim", markup=False, soft_wrap=True)
    if code:
        raise typer.Exit(code)
