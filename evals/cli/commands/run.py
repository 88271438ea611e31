"""Commands that ask models or judges, or count what they said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli import completion
from evals.cli.app import app
from evals.cli.options import Json, Quiet, RunFolder, Settings, with_settings
from evals.cli.session import Output, dated_folder, print_json, show
from evals.io.environment import read_dotenv

if TYPE_CHECKING:
    from evals.plan.config import RunConfig
    from evals.plan.plan import Plan


@app.command()
@with_settings(command="run")
def run(
    settings: Settings,
    suites: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SUITE...",
            help="What to run: see `emeval suites`; or a question file (.yaml).",
            autocompletion=completion.suites,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A YAML file with these options; the command line overrides it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; an existing run is resumed.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost; send no request.")] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Sample answers, judge them, and print misalignment rates."""
    from evals.plan.options import build_config
    from evals.plan.plan import make_plan
    from evals.runner.run import start_run

    read_dotenv()
    planned = build_config(settings | {"suites": tuple(suites or ())}, config)
    output = Output(quiet, json)
    if dry_run:
        _print_plan(make_plan(planned), output)
        return
    folder = out or _new_folder(planned)
    show(folder, lambda view: start_run(planned, folder, view), output)


@app.command()
@with_settings(command="resume", over_run=True)
def resume(
    settings: Settings,
    folder: RunFolder,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Retry trials that are recorded as failed.")
    ] = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Resume a run where it stopped."""
    from evals.runner.run import resume_run

    read_dotenv()
    show(folder, lambda view: resume_run(folder, settings, view, retry_failed=retry_failed), Output(quiet, json))


@app.command(name="judge")
@with_settings(command="judge", over_run=True)
def judge_command(settings: Settings, folder: RunFolder, quiet: Quiet = False, json: Json = False) -> None:
    """Judge the stored answers of a run again. The models under test are not asked."""
    from evals.runner.run import judge_run

    read_dotenv()
    show(folder, lambda view: judge_run(folder, settings, view), Output(quiet, json), sampling=False)


def _new_folder(config: RunConfig) -> Path:
    shown = [*config.suites[:3], *([f"and-{len(config.suites) - 3}-more"] if len(config.suites) > 3 else [])]
    return dated_folder("-".join(shown))


def _print_plan(plan: Plan, output: Output) -> None:
    from evals.plan.cost import plan_cost, plan_usd

    costs = list(plan_cost(plan))
    if output.json:
        models = [cost._asdict() | {"usd": plan_usd(plan, [cost])} for cost in costs]
        print_json({"until": plan.config.until, "usd_at_most": plan_usd(plan, costs), "requests": models})
        return
    from evals.reporting.console.plan import print_plan

    print_plan(output.view().out, plan, costs)
