"""Commands that ask models or judges, or count what they said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli import completion
from evals.cli.app import app
from evals.cli.asking_variants import VariantsFile, fields_of_variants, show_variants
from evals.cli.options import Detail, Json, Quiet, RetryFailed, RunFolder, Settings, run_folder, with_settings
from evals.cli.output import print_error
from evals.cli.session import Downloads, Output, dated_folder, print_json, show
from evals.errors import BadInput
from evals.io.environment import read_dotenv
from evals.numbers import counted
from evals.text import shown_path

if TYPE_CHECKING:
    from evals.plan.config import RunConfig
    from evals.plan.cost.lengths import Lengths
    from evals.plan.plan import Plan
    from evals.runner.count import RunResult
    from evals.runner.view import RunView


@app.command()
@with_settings(command="run")
def run(
    settings: Settings,
    suites: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SUITE...",
            help="What to run: see `emeval suites`; or your own question file (.yaml, .json), or table of questions "
            "(.csv, .jsonl, .json, .parquet).",
            autocompletion=completion.suites,
        ),
    ] = None,
    config: Annotated[
        Path | None, typer.Option(help="A YAML file with these options; the command line overrides it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; an existing run is resumed, or added to.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost; send no request.")] = False,
    pilot: Annotated[
        Path | None,
        typer.Option(
            metavar="RUN",
            help="With --dry-run: a small run of these questions, whose replies tell how long the others will be.",
            callback=run_folder,
            autocompletion=completion.runs,
        ),
    ] = None,
    plan_only: Annotated[
        bool, typer.Option("--plan-only", help="Make the run folder and send no request: for `emeval batch export`.")
    ] = False,
    variants: VariantsFile = None,
    detail: Detail = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Sample answers, judge them, and print misalignment rates."""
    from evals.batches.in_runs.asked import Batches
    from evals.plan.cost.lengths import likely_lengths
    from evals.plan.options import build_config
    from evals.plan.plan import make_plan
    from evals.runner.run import start_run

    read_dotenv()
    hub = None if quiet else Downloads()
    found = None
    if variants is not None:
        from evals.analysis.variants.variants import read_variants

        found = read_variants(variants)
        settings = fields_of_variants(settings, found)
    planned = build_config(settings | {"suites": tuple(suites or ())}, config, print_error, hub)
    output = Output(quiet, json, detail)
    if dry_run:
        _print_plan(make_plan(planned), output, likely_lengths(planned, pilot, out))
        return
    if pilot is not None:
        raise BadInput("--pilot: tells what a run is likely to cost; it goes with --dry-run")
    folder = out or _new_folder(planned)
    if plan_only:
        _print_planned(folder, planned, output)
        return
    if found is not None:
        show_variants(planned, folder, found, output)
        return
    show(folder, lambda view: start_run(planned, folder, view, by_batch=Batches()), output)


@app.command()
@with_settings(command="resume", over_run=True)
def resume(
    settings: Settings,
    folder: RunFolder,
    retry_failed: RetryFailed = False,
    detail: Detail = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Resume a run where it stopped."""
    from evals.batches.in_runs.asked import Batches
    from evals.runner.run import resume_run

    read_dotenv()

    def act(view: RunView) -> RunResult:
        return resume_run(folder, settings, view, retry_failed=retry_failed, by_batch=Batches())

    show(folder, act, Output(quiet, json, detail))


@app.command(name="judge")
@with_settings(command="judge", over_run=True)
def judge_command(
    settings: Settings,
    folder: RunFolder,
    beside: Annotated[
        bool, typer.Option("--beside", help="Only add the judge's verdicts: the judge that counts stays.")
    ] = False,
    detail: Detail = False,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Judge the stored answers of a run again. The models under test are not asked. The new judge counts from then on,
    and the rates by both are printed."""
    from evals.batches.in_runs.asked import Batches
    from evals.runner.rejudging.judge import judge_run

    read_dotenv()

    def act(view: RunView) -> RunResult:
        return judge_run(folder, settings, view, by_batch=Batches(), beside=beside)

    show(folder, act, Output(quiet, json, detail), sampling=False, again="the same command" if beside else "")


def _new_folder(config: RunConfig) -> Path:
    shown = [*config.suites[:3], *([f"and-{len(config.suites) - 3}-more"] if len(config.suites) > 3 else [])]
    return dated_folder("-".join(shown))


def _print_planned(folder: Path, config: RunConfig, output: Output) -> None:
    from evals.plan.recorded.told_again import command_again
    from evals.runner.run import plan_run

    view = output.view()
    manifest = plan_run(config, folder, view)
    if output.json:
        print_json({"folder": str(folder), "planned": manifest.trials_planned, "recorded": manifest.trials_recorded})
    missing = manifest.trials_planned - manifest.trials_recorded
    said = f"Planned: {shown_path(folder)}/ ({counted(missing, 'answer')} to ask for; nothing was asked or checked)"
    view.out.print(said, markup=False, soft_wrap=True)
    command = command_again("batch export", folder, sampling=True)
    view.out.print(f"As files: {command} --for vllm", style="dim", markup=False, soft_wrap=True)


def _print_plan(plan: Plan, output: Output, lengths: Lengths) -> None:
    from evals.plan.cost.planned import plan_cost, plan_usd

    costs = list(plan_cost(plan, lengths))
    if output.json:
        models = [
            cost._asdict() | {"usd": plan_usd(plan, [cost]), "usd_likely": plan_usd(plan, [cost], likely=True)}
            for cost in costs
        ]
        totals = {"usd_likely": plan_usd(plan, costs, likely=True), "usd_at_most": plan_usd(plan, costs)}
        print_json({"until": plan.config.until, **totals, "requests": models})
        return
    from evals.reporting.console.plan import print_plan

    view = output.view()
    for note in plan.notes:
        view.out.print(note, style="dim", markup=False, soft_wrap=True)
    print_plan(view.out, plan, costs, lengths)
