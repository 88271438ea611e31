"""Commands that say what to run before it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli.app import app
from evals.errors import BadInput


@app.command()
def plan(
    pilot: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A small run of the same questions: its folder.")
    ] = None,
    width: Annotated[float | None, typer.Option(help="Total width of the 95% interval: 0.02 is 2 points.")] = None,
    detect: Annotated[
        float | None, typer.Option(help="Effect of a condition against off that is to be found: 0.05 is 5 points.")
    ] = None,
    power: Annotated[float | None, typer.Option(help="How likely --detect finds it; 0.8 by default.")] = None,
    metric: Annotated[
        str | None, typer.Option(help="A metric of rates.csv; what the suite is about by default.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Only this model of the pilot.")] = None,
    suite: Annotated[str | None, typer.Option(help="Only this suite of the pilot.")] = None,
    format: Annotated[str | None, typer.Option(help="Only this format: mcq, freeform or transcript.")] = None,
    condition: Annotated[str | None, typer.Option(help="Only this condition of the pilot.")] = None,
    questions: Annotated[
        int | None, typer.Option(help="How many questions you have, in place of those of the dataset.")
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Write the options of the next run there, for `emeval run --config FILE`; next.yaml by default. For "
            "several suites or formats one file each: next-SUITE-FORMAT.yaml.",
        ),
    ] = Path("next.yaml"),
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write the plan there, too.")] = None,
) -> None:
    """How many questions and samples to buy, and what they cost, from the variance that a pilot run shows."""
    if pilot is None:
        raise BadInput("--pilot is missing: name the folder of a small run of the same questions, such as results/demo")
    if (width is None) == (detect is None):
        raise BadInput("give either --width, for an interval, or --detect, for an effect")
    if power is not None and detect is None:
        raise BadInput("--power: is for --detect; an interval's --width has none")
    from evals.analysis.sample_size.command import write_configs
    from evals.analysis.sample_size.pilot import Choice
    from evals.analysis.sample_size.result import Goal
    from evals.analysis.sample_size.sample_size import plan_sizes
    from evals.reporting.console.progress import ConsoleView
    from evals.reporting.console.sample_size import print_sizes, write_sizes

    size = width if width is not None else detect
    assert size is not None  # noqa: S101  one of the two is given
    goal = Goal("width" if width is not None else "effect", size, 0.8 if power is None else power)
    found = write_configs(plan_sizes(pilot, goal, Choice(metric, model, suite, format, condition, questions)), out)
    if json is not None:
        write_sizes(found, json)
    print_sizes(ConsoleView().out, found)
