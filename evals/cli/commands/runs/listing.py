"""The commands that find runs, and say how one stands."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli.app import EXIT_GATE, app
from evals.cli.options import Json, RunFolder
from evals.cli.session import Output, print_json


@app.command(name="ls")
def ls_command(
    place: Annotated[Path, typer.Argument(metavar="FOLDER", help="The folder to search, subfolders included.")] = Path(
        "results"
    ),
    tag: Annotated[str | None, typer.Option(metavar="WORD", help="Only runs with this tag.")] = None,
    json: Json = False,
) -> None:
    """List the runs in a folder, the latest first."""
    from evals.plan.recorded.listing import find_runs
    from evals.reporting.run_list import print_runs, run_facts
    from evals.text import one_line, shown_path

    found, problems = find_runs(place)
    found = [run for run in found if tag is None or tag in run.manifest.config.tags]
    view = Output(json=json).view()
    if json:
        print_json({"runs": [run_facts(run) for run in found], "unreadable": problems})
    elif found:
        print_runs(view.out, found)
    else:
        view.out.print(
            f"There is no run in {shown_path(place)}{'' if tag is None else f' with the tag {one_line(tag)}'}.",
            markup=False,
        )
    for problem in problems:
        view.say(problem)
    if problems:
        raise typer.Exit(EXIT_GATE)


@app.command(name="status")
def status_command(folder: RunFolder, json: Json = False) -> None:
    """Show the state of a run. What is recorded and judged for each model, and what to do next."""
    from evals.plan.recorded.listing import found_run
    from evals.plan.recorded.told_again import resume_command
    from evals.reporting.run_list import print_status, status_facts
    from evals.text import program, quoted_path
    from evals.trials.journal import Journal

    run = found_run(folder)
    with Journal.read(folder) as journal:
        facts = status_facts(run, journal)
    if json:
        print_json(facts)
        return
    if run.state == "running":
        step = f"At work. See its rates so far: {program()} rates {quoted_path(folder)}"
    elif run.state == "complete":
        name, run_name = program(), quoted_path(folder)
        step = f"See its rates: {name} rates {run_name}; its report: {name} report {run_name}"
    else:
        step = f"Go on with it: {resume_command(folder, sampling=True)}"
    print_status(Output().view().out, facts, run.manifest, step)
