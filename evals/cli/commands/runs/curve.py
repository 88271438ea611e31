"""`emeval curve`: the checkpoints of a training in the order of their steps."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli.app import app
from evals.cli.options import Conditions, Formats, Metrics, Quiet, RunFolders, Suites
from evals.errors import BadInput
from evals.text import shown_path


@app.command()
def curve(
    folders: RunFolders,
    steps: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A CSV (model,step) of the models of the curve; default: every model with a step in its name, such as "
            "step-400, checkpoint-400 or :400.",
        ),
    ] = None,
    metric: Metrics = None,
    condition: Conditions = None,
    suite: Suites = None,
    format: Formats = None,
    above: Annotated[
        float,
        typer.Option(min=0, max=1, help="Smallest change from the first step that is an onset: 0.05 is 5 points."),
    ] = 0.05,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FILE",
            help="The figure: ends in .pdf, .svg or .png; curve.svg in the (first) run folder. The numbers are beside "
            "it, in a .csv of the same name.",
        ),
    ] = None,
    quiet: Quiet = False,
) -> None:
    """Show a metric over training steps. Trend, onset, and what is missing; the checkpoints are models of one run,
    or of several that are comparable."""
    from evals.analysis.comparison.result import Gate
    from evals.analysis.curve.curve import curves_of
    from evals.analysis.curve.result import CURVE, curve_rows, is_curve_table
    from evals.analysis.curve.steps import read_steps
    from evals.cli.session import Output
    from evals.reporting.console.curves.table import print_curves
    from evals.reporting.figures.curves.steps import curve_figure
    from evals.reporting.figures.drawing.files import check_suffix, write_chart
    from evals.scoring.rates.tables import write_named_table

    figure = out or folders[0] / "curve.svg"
    check_suffix(figure)
    table = figure.with_suffix(".csv")
    if table.exists() and not is_curve_table(table):
        raise BadInput(f"--out {shown_path(figure)}: the numbers beside it would replace {shown_path(table)}")
    gate = Gate(
        max_increase=above,
        metrics=tuple(metric or ()),
        conditions=tuple(condition or ()),
        suites=tuple(suite or ()),
        formats=tuple(format or ()),
    )
    view = Output(quiet).view()
    given = None if steps is None else read_steps(steps)
    with view.busy("counting the answers of every step ..."):
        curves = curves_of(folders, gate, given)
    with view.busy("drawing the figure ..."):
        write_named_table(table, CURVE, list(curve_rows(curves)))
        write_chart(curve_figure(curves), figure)
    print_curves(view.out, curves)
    view.out.print(f"Written: {shown_path(figure)}, {shown_path(table)}", style="dim", markup=False, soft_wrap=True)
