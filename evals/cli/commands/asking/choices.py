"""`emeval choices`: how likely each option is, from token probabilities."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli import completion
from evals.cli.app import EXIT_GATE, app
from evals.cli.options import Json, Quiet, Settings, with_settings
from evals.cli.session import Output, dated_folder, interrupt_on_sigterm, print_json
from evals.io.environment import read_dotenv
from evals.text import one_line, shown_path

THOUGHTS = 10
"""Thoughts of each question, order and condition unless told otherwise."""
_OF_THOUGHTS = ("temperature", "sampling", "top_p", "top_k", "max_tokens", "prefill")


@app.command()
@with_settings(
    *("models", "base", "base_url", "providers", "preflight", "vllm_bin", "vllm_args", "vllm_start_timeout"),
    *("dataset", "option_order", "limit", "trigger", "decoy", "distractor", "placement", "conditions", "system"),
    *("thinking", "temperature", "sampling", "top_p", "top_k", "max_tokens", "prefill", "seed", "baseline"),
    *("concurrency", "timeout", "max_attempts", "max_retry_time"),
)
def choices(
    settings: Settings,
    suites: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SUITE...",
            help="Suites with multiple choice, by default unethical_test.",
            autocompletion=completion.suites,
        ),
    ] = None,
    thoughts: Annotated[
        int | None,
        typer.Option(
            min=1,
            help=f"With --thinking on: thoughts sampled for each question, option order and condition ({THOUGHTS} "
            "unless given), after each of which the letters are read.",
            show_default=False,
        ),
    ] = None,
    out: Annotated[Path | None, typer.Option(help="A new folder for the files.")] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Read choices from token probabilities. For rare behaviour: nothing but thoughts is sampled."""
    from evals.analysis.choices.asking import ask_choices
    from evals.analysis.choices.files import refuse_folder, write_choices
    from evals.plan.options import build_config
    from evals.plan.plan import make_plan
    from evals.reporting.console.choices.tables import print_choices
    from evals.scoring.choices.rows import probability_rows

    read_dotenv()
    names = tuple(suites or ("unethical_test",))
    samples = _samples(settings, thoughts)
    planned = build_config(settings | {"suites": names, "format": "mcq", "samples": str(samples)}, None)
    folder = out or dated_folder("choices")
    refuse_folder(folder)
    interrupt_on_sigterm()
    view = Output(quiet, json).view()
    plan = make_plan(planned)
    asked = ask_choices(plan, view)
    rows = probability_rows(asked.choices, planned.baseline)
    write_choices(folder, plan, asked, rows)
    if json:
        print_json({"folder": str(folder), "cells": rows})
    print_choices(view.out, rows)
    files = "choices.csv, probabilities.csv, choices.json"
    view.out.print(f"Written: {shown_path(folder)}/ ({files})", style="dim", markup=False, soft_wrap=True)
    empty = next((row for row in rows if not row["n_questions"]), None)
    if empty is not None:
        view.err.print(
            f"emeval: no question of {empty['model']} ({empty['condition']}) could be read: "
            f"{one_line(empty['unread'])}; {_advice(planned.thinking)}",
            markup=False,
            soft_wrap=True,
        )
        raise typer.Exit(EXIT_GATE)


def _samples(settings: Settings, thoughts: int | None) -> int:
    """How often each is asked. Raises BadInput for settings of thoughts where none is sampled."""
    from evals.errors import BadInput
    from evals.text import dashed

    if settings.get("thinking") == "on":
        return THOUGHTS if thoughts is None else thoughts
    given = ["--thoughts"] if thoughts is not None else [dashed(name) for name in _OF_THOUGHTS if name in settings]
    if given:
        raise BadInput(f"{given[0]} is about sampled thoughts: add --thinking on, or leave it out")
    return 1


def _advice(thinking: str) -> str:
    if thinking == "on":
        return "a thought that --max-tokens cuts is not read"
    return "where a thought comes first, add --thinking on to read after it, or --thinking off"
