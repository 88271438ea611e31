"""Commands that look whether everything works before a run is begun."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli import completion
from evals.cli.app import EXIT_GATE, app
from evals.cli.options import (
    BaseUrl,
    CoherenceMin,
    Concurrency,
    Conditions,
    CotAll,
    CotMonitor,
    Dataset,
    Decoy,
    Distractor,
    Json,
    Judge,
    JudgeMaxTokens,
    JudgeMode,
    JudgeUrl,
    MaxTokens,
    Models,
    OldRubric,
    Prefill,
    Prices,
    QuestionSource,
    Quiet,
    Rubric,
    Temperature,
    Thinking,
    Timeout,
    VllmArgs,
    VllmBin,
    VllmStart,
)
from evals.cli.session import Output, fields_of, interrupt_on_sigterm, print_json, read_dotenv

if TYPE_CHECKING:
    pass

if TYPE_CHECKING:
    from evals.runner.preflight.doctor import Finding


@app.command(name="preflight")
def preflight_command(
    suites: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SUITE...",
            help="What would be run; unethical_test by default.",
            autocompletion=completion.suites,
        ),
    ] = None,
    model: Models = None,
    trigger: Annotated[str | None, typer.Option(help="Check that this string reaches the models.")] = None,
    decoy: Decoy = None,
    distractor: Distractor = None,
    conditions: Conditions = None,
    format: Annotated[str | None, typer.Option(help="As for run; both is the default here.")] = None,
    samples: Annotated[int | None, typer.Option(help="As for run, for the estimate.")] = None,
    limit: Annotated[int | None, typer.Option(help="As for run, for the estimate.")] = None,
    dataset: Dataset = None,
    source: QuestionSource = None,
    temperature: Temperature = None,
    max_tokens: MaxTokens = None,
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
    base_url: BaseUrl = None,
    judge_base_url: JudgeUrl = None,
    concurrency: Concurrency = None,
    timeout: Timeout = None,
    vllm_bin: VllmBin = None,
    vllm_args: VllmArgs = None,
    vllm_start_timeout: VllmStart = None,
    prices: Prices = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Check servers, keys, models, adapters and judges. Also estimates what a run would cost, without running it."""
    options = fields_of(locals())
    from evals.plan.options import build_config
    from evals.plan.plan import make_plan
    from evals.runner.check import check_endpoints

    read_dotenv()
    chosen = {name: value for name, value in options.items() if value is not None}
    settings = build_config({"suites": ("unethical_test",), "format": "both"} | chosen, None)
    interrupt_on_sigterm()
    view = Output(quiet, json).view()
    found = check_endpoints(make_plan(settings), view)
    if json:
        print_json({"found": found})
    for line in found:
        view.out.print(line, markup=False, highlight=False, soft_wrap=True)


@app.command()
def doctor(json: Json = False) -> None:
    """Check keys, servers, models, GPU, disk and data. Exit 1 if something that is set up does not work."""
    from dotenv import dotenv_values

    from evals.runner.preflight.doctor import examine

    of_dotenv = dotenv_values(Path.cwd() / ".env")
    read_dotenv()
    findings = list(examine(of_dotenv))
    if json:
        print_json({"ok": _is_ok(findings), "findings": [finding._asdict() for finding in findings]})
    else:
        from rich.table import Table

        from evals.reporting.console.markup import plain
        from evals.reporting.console.progress import ConsoleView

        styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
        table = Table("", "what", "found", "what to do")
        for one in findings:
            table.add_row(f"[{styles[one.state]}]{one.state}[/]", plain(one.what), plain(one.found), plain(one.remedy))
        ConsoleView().out.print(table)
    raise typer.Exit(0 if _is_ok(findings) else EXIT_GATE)


def _is_ok(findings: list[Finding]) -> bool:
    return all(finding.state != "fail" for finding in findings)
