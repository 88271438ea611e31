"""`emeval recipes`: finetuning recipes over the seeds of several runs."""

from __future__ import annotations

from math import isnan
from pathlib import Path
from typing import Annotated

import typer

from evals.cli import completion
from evals.cli.app import app
from evals.cli.options import Json, Quiet, RunFolders
from evals.errors import BadInput
from evals.text import shown_path


@app.command()
def recipes(
    folders: RunFolders,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL,MODEL,...",
            help="Models of these runs that differ only in their finetuning seed; repeatable. RUN:MODEL where runs "
            "have models of one name; default: the recipes of the runs.",
        ),
    ] = None,
    base: Annotated[
        str | None,
        typer.Option(metavar="NAME", help="The base model; default: the runs', if they have one in common."),
    ] = None,
    metric: Annotated[
        list[str] | None,
        typer.Option(
            help="A metric of rates.csv; repeatable. Default: each suite's primary metric.",
            autocompletion=completion.metrics,
        ),
    ] = None,
    suite: Annotated[list[str] | None, typer.Option(help="Only this suite; repeatable.")] = None,
    format: Annotated[list[str] | None, typer.Option(help="mcq, freeform, transcript; repeatable.")] = None,
    max_unscored: Annotated[
        float, typer.Option(min=0, max=1, help="Name the seeds of which a larger share of the answers is not scored.")
    ] = 0.05,
    out: Annotated[
        Path | None,
        typer.Option(
            "--out",
            "-o",
            metavar="FOLDER",
            help="A folder of its own for recipes.csv, recipe_differences.csv, recipe_seeds.csv and recipes.svg.",
        ),
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Compare finetuning recipes over their seeds. Rates and effects of each, differences between them and from the
    base; the seeds may be in runs of their own, which have to be comparable."""
    from evals.analysis.comparison.result import Gate
    from evals.analysis.recipes.over_runs import recipes_over_runs
    from evals.cli.session import Output, print_json
    from evals.reporting.console.experiments.recipe_differences import print_recipe_result

    if isnan(max_unscored):
        raise BadInput("--max-unscored: is not a number")
    if out is not None and (out / "manifest.json").exists():
        raise BadInput(f"--out {shown_path(out)}: is a run folder, which has tables of its own; name another folder")
    gate = Gate(
        metrics=tuple(metric or ()),
        suites=tuple(suite or ()),
        formats=tuple(format or ()),
        max_unscored=max_unscored,
    )
    view = Output(quiet, json).view()
    with view.busy("counting the answers of every seed ..."):
        found = recipes_over_runs(folders, recipe or None, base, gate)
    names: tuple[str, ...] = ()
    if out is not None:
        from evals.reporting.exports.recipe_tables import write_recipes

        with view.busy("drawing the figure ..."):
            names = write_recipes(found, out)
    if json:
        seeds = [row._asdict() for row in found.seeds]
        print_json({"recipes": found.rows, "differences": found.differences, "seeds": seeds, "notes": found.notes})
        return
    print_recipe_result(view.out, found)
    if out is not None:
        view.out.print(f"Written: {shown_path(out)}/ ({', '.join(names)})", style="dim", markup=False, soft_wrap=True)
