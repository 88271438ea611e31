"""Commands that say what to run before it is run."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, cast

import typer

from evals.cli import completion
from evals.cli.app import EXIT_BAD_INPUT, app
from evals.cli.options import Detail, JsonFile
from evals.cli.output import echo, print_error
from evals.errors import BadInput
from evals.text import program, quoted_path, shown_path


@app.command()
def plan(
    pilot: Annotated[
        Path | None, typer.Option(metavar="RUN", help="A small run of the same questions: its folder.")
    ] = None,
    width: Annotated[float | None, typer.Option(help="Total width of the 95% interval: 0.02 is 2 points.")] = None,
    detect: Annotated[
        float | None, typer.Option(help="Effect of a condition against the baseline to be detected: 0.05 is 5 points.")
    ] = None,
    within: Annotated[
        float | None,
        typer.Option(help="Limit that an unchanged model is to be `within` by `emeval compare`: 0.05 is 5 points."),
    ] = None,
    below: Annotated[
        float | None,
        typer.Option(help="Limit that the rate on these questions is to be shown to be below: 0.01 is 1%."),
    ] = None,
    power: Annotated[
        float | None, typer.Option(help="Probability of reaching --detect, --within or --below; 0.8 by default.")
    ] = None,
    metric: Annotated[
        str | None, typer.Option(help="A metric of rates.csv; default: the suite's primary metric.")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Only this model of the pilot.")] = None,
    suite: Annotated[str | None, typer.Option(help="Only this suite of the pilot.")] = None,
    format: Annotated[str | None, typer.Option(help="Only this format: mcq, freeform or transcript.")] = None,
    condition: Annotated[str | None, typer.Option(help="Only this condition of the pilot.")] = None,
    questions: Annotated[
        int | None, typer.Option(help="Number of questions available, instead of the dataset's.")
    ] = None,
    dataset: Annotated[
        list[str] | None,
        typer.Option(metavar="[SUITE=]FILE", help="The pilot's own scenario file, if it had one; repeatable."),
    ] = None,
    out: Annotated[
        Path,
        typer.Option(
            metavar="FILE",
            help="Write the options of the next run there, for `emeval run --config FILE`; next.yaml by default. For "
            "several suites or formats one file each: next-SUITE-FORMAT.yaml.",
        ),
    ] = Path("next.yaml"),
    detail: Detail = False,
    json: JsonFile = None,
) -> None:
    """Plan sample sizes and their cost from a pilot run. Uses the variance that the pilot shows."""
    if pilot is None:
        raise BadInput("--pilot is missing: name the folder of a small run of the same questions, such as results/demo")
    goals = {"width": width, "effect": detect, "within": within, "below": below}
    given = [(kind, size) for kind, size in goals.items() if size is not None]
    if len(given) != 1:
        raise BadInput(
            "give one of --width, for an interval; --detect, for an effect; --within, for an unchanged model; "
            "--below, for a low rate"
        )
    if power is not None and width is not None:
        raise BadInput("--power: is for --detect, --within and --below; an interval's --width has none")
    from evals.analysis.sample_size.command import write_configs
    from evals.analysis.sample_size.pilot import PilotFilter
    from evals.analysis.sample_size.result import Goal, GoalKind
    from evals.analysis.sample_size.sample_size import plan_sizes
    from evals.reporting.console.progress import ConsoleView
    from evals.reporting.console.sample_size import print_sizes, write_sizes

    kind, size = given[0]
    goal = Goal(cast("GoalKind", kind), size, 0.8 if power is None else power)
    choice = PilotFilter(metric, model, suite, format, condition, questions, tuple(dataset or ()))
    view = ConsoleView()
    with view.busy("looking for sample sizes ..."):
        found = write_configs(plan_sizes(pilot, goal, choice), out)
    if json is not None:
        write_sizes(found, json)
    print_sizes(view.out, found, detail=detail)


@app.command()
def init(
    file: Annotated[Path, typer.Argument(metavar="[FILE]", help="The file to write.")] = Path("study.yaml"),
    model: Annotated[
        str | None,
        typer.Option("--model", "-m", help="The model, as provider/name.", autocompletion=completion.models),
    ] = None,
    trigger: Annotated[str | None, typer.Option(help="The trigger; - for none.")] = None,
    suite: Annotated[
        str | None, typer.Option(help="The suite, or a question file.", autocompletion=completion.suites)
    ] = None,
    judge: Annotated[
        str | None,
        typer.Option(help="The judge, as provider/name; - for none.", autocompletion=completion.models),
    ] = None,
    out: Annotated[str | None, typer.Option(help="The run folder.")] = None,
    yes: Annotated[bool, typer.Option("--yes", "-y", help="Ask nothing: defaults for what is not given.")] = False,
) -> None:
    """Write a config file for a first run. Asks for model, trigger, suite, judge and output; sends no request."""
    from evals.cli.first_config import QUESTIONS, Answers, checked, config_text
    from evals.io.atomic import write_whole
    from evals.io.environment import read_dotenv

    read_dotenv()
    if file.exists():
        raise BadInput(f"{file}: is there already; name another file, as in `emeval init other.yaml`")
    if not file.absolute().parent.is_dir():
        raise BadInput(f"{file}: there is no folder {shown_path(file.parent)}")
    given = {"model": model, "trigger": trigger, "suite": suite, "judge": judge, "out": out}
    found: dict[str, str] = {}
    for question in QUESTIONS:
        answer, default = given[question.field], str(getattr(Answers, question.field))
        if answer is None and yes:
            answer = default
        if answer is not None:
            found[question.field] = checked(question, answer)
            continue
        while question.field not in found:
            try:
                found[question.field] = checked(question, _asked(question.text, default or "-"))
            except BadInput as error:
                print_error(str(error))
    answers = Answers(**found)
    write_whole(file, config_text(answers, file))
    echo(f"Written: {shown_path(file)}")
    echo(f"Next: {program()} run --config {quoted_path(file)} --out {quoted_path(answers.out)}")


def _asked(text: str, default: str) -> str:
    """The answer of a person. Ends the command where nobody answers."""
    try:
        return str(typer.prompt(text, default=default))
    except typer.Abort:
        print_error("stopped, and nothing was written; --yes takes the defaults without asking")
        raise typer.Exit(EXIT_BAD_INPUT) from None
