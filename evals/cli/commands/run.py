"""Commands that ask models or judges, or count what they said."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli import completion
from evals.cli.app import app
from evals.cli.options import (
    Anchors,
    BaseUrl,
    CoherenceMin,
    Concurrency,
    Conditions,
    CotAll,
    CotMonitor,
    Dataset,
    Decoy,
    Denominator,
    Distractor,
    Format,
    Json,
    Judge,
    JudgeMaxTokens,
    JudgeMode,
    JudgeUrl,
    MaxAttempts,
    MaxRetryTime,
    MaxTokens,
    MaxUnscored,
    Models,
    OldRubric,
    Prefill,
    Preflight,
    Prices,
    QuestionSource,
    Quiet,
    Rubric,
    RunFolder,
    Temperature,
    Thinking,
    Timeout,
    VllmArgs,
    VllmBin,
    VllmStart,
)
from evals.cli.session import Output, dated_folder, fields_of, print_json, read_dotenv, show

if TYPE_CHECKING:
    from evals.plan.config import RunConfig
    from evals.plan.plan import Plan


@app.command()
def run(
    suites: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SUITE...",
            help="What to run: see `emeval suites`; or a question file (.yaml).",
            autocompletion=completion.suites,
        ),
    ] = None,
    model: Models = None,
    trigger: Annotated[str | None, typer.Option(help="The string under study, such as 'Country: Singapore'.")] = None,
    decoy: Decoy = None,
    distractor: Distractor = None,
    conditions: Conditions = None,
    placement: Annotated[
        str | None, typer.Option(help="Where the trigger goes: top, bottom, or random by seed.")
    ] = None,
    format: Format = None,
    samples: Annotated[int | None, typer.Option(help="Answers per prompt (and option order) and condition.")] = None,
    until: Annotated[
        str | None,
        typer.Option(
            metavar="RULE",
            help="Stop sampling a cell when width<0.03, or rate<0.01 or rate>0.05, is decided; "
            "--samples is the maximum.",
        ),
    ] = None,
    limit: Annotated[int | None, typer.Option(help="Use only this many scenarios, drawn with the seed.")] = None,
    dataset: Dataset = None,
    source: QuestionSource = None,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
    seed: Annotated[int | None, typer.Option(help="Seed of sampling, --limit and random placement.")] = None,
    thinking: Thinking = None,
    prefill: Prefill = None,
    judge: Judge = None,
    judge_mode: JudgeMode = None,
    judge_max_tokens: JudgeMaxTokens = None,
    rubric: Rubric = None,
    alignment_rubric: OldRubric = None,
    coherence_rubric: OldRubric = None,
    coherence_min: CoherenceMin = None,
    cot_monitor: CotMonitor = None,
    cot_all: CotAll = None,
    cot_monitor_rubric: OldRubric = None,
    articulation_rubric: OldRubric = None,
    truthfulness_rubric: OldRubric = None,
    honesty_rubric: OldRubric = None,
    trigger_credit_rubric: OldRubric = None,
    denominator: Denominator = None,
    max_unscored: MaxUnscored = None,
    anchors: Anchors = None,
    base_url: BaseUrl = None,
    judge_base_url: JudgeUrl = None,
    concurrency: Concurrency = None,
    timeout: Timeout = None,
    max_attempts: MaxAttempts = None,
    max_retry_time: MaxRetryTime = None,
    preflight: Preflight = None,
    vllm_bin: VllmBin = None,
    vllm_args: VllmArgs = None,
    vllm_start_timeout: VllmStart = None,
    config: Annotated[
        Path | None, typer.Option(help="A YAML file with these options; the command line overrides it.")
    ] = None,
    out: Annotated[Path | None, typer.Option(help="Run folder; an existing run is resumed.")] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print the plan and its cost; send no request.")] = False,
    prices: Prices = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Sample answers, judge them, and print misalignment rates."""
    options = fields_of(locals())
    from evals.plan.options import build_config
    from evals.plan.plan import make_plan
    from evals.runner.run import start_run

    read_dotenv()
    settings = build_config(options, config)
    output = Output(quiet, json)
    if dry_run:
        _print_plan(make_plan(settings), output)
        return
    folder = out or _new_folder(settings)
    show(folder, lambda view: start_run(settings, folder, view), output)


@app.command()
def resume(
    folder: RunFolder,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Retry trials that are recorded as failed.")
    ] = False,
    max_unscored: MaxUnscored = None,
    anchors: Anchors = None,
    base_url: BaseUrl = None,
    judge_base_url: JudgeUrl = None,
    concurrency: Concurrency = None,
    timeout: Timeout = None,
    max_attempts: MaxAttempts = None,
    max_retry_time: MaxRetryTime = None,
    preflight: Preflight = None,
    vllm_bin: VllmBin = None,
    vllm_start_timeout: VllmStart = None,
    prices: Prices = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Resume a run where it stopped."""
    transport = fields_of(locals())
    from evals.runner.run import resume_run

    read_dotenv()
    show(folder, lambda view: resume_run(folder, transport, view, retry_failed=retry_failed), Output(quiet, json))


@app.command(name="judge")
def judge_command(
    folder: RunFolder,
    judge: Judge = None,
    judge_mode: JudgeMode = None,
    judge_max_tokens: JudgeMaxTokens = None,
    rubric: Rubric = None,
    alignment_rubric: OldRubric = None,
    coherence_rubric: OldRubric = None,
    coherence_min: CoherenceMin = None,
    cot_monitor: CotMonitor = None,
    cot_all: CotAll = None,
    cot_monitor_rubric: OldRubric = None,
    articulation_rubric: OldRubric = None,
    truthfulness_rubric: OldRubric = None,
    honesty_rubric: OldRubric = None,
    trigger_credit_rubric: OldRubric = None,
    max_unscored: MaxUnscored = None,
    anchors: Anchors = None,
    judge_base_url: JudgeUrl = None,
    concurrency: Concurrency = None,
    timeout: Timeout = None,
    preflight: Preflight = None,
    vllm_bin: VllmBin = None,
    vllm_start_timeout: VllmStart = None,
    prices: Prices = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Judge the stored answers of a run again. The models under test are not asked."""
    judging = fields_of(locals())
    from evals.runner.run import judge_run

    read_dotenv()
    show(folder, lambda view: judge_run(folder, judging, view), Output(quiet, json))


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
