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


@app.command()
@with_settings(
    *("models", "base", "base_url", "providers", "preflight", "vllm_bin", "vllm_args", "vllm_start_timeout"),
    *("dataset", "option_order", "limit", "trigger", "decoy", "distractor", "placement", "conditions", "system"),
    *("thinking", "seed", "baseline", "concurrency", "timeout", "max_attempts", "max_retry_time"),
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
    out: Annotated[Path | None, typer.Option(help="A new folder for the files.")] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Read choices from token probabilities. One request for each question and option order; for rare behaviour."""
    from evals.analysis.choices.asking import ask_choices
    from evals.analysis.choices.cells import choice_cells, choice_effects
    from evals.analysis.choices.files import cell_rows, refuse_folder, write_choices
    from evals.plan.options import build_config
    from evals.plan.plan import make_plan
    from evals.reporting.console.choices.tables import print_choices

    read_dotenv()
    names = tuple(suites or ("unethical_test",))
    planned = build_config(settings | {"suites": names, "format": "mcq", "samples": "1"}, None)
    folder = out or dated_folder("choices")
    refuse_folder(folder)
    interrupt_on_sigterm()
    view = Output(quiet, json).view()
    plan = make_plan(planned)
    asked = ask_choices(plan, view)
    cells = choice_cells(asked.choices)
    effects = choice_effects(asked.choices, planned.baseline)
    rows = cell_rows(cells, effects)
    write_choices(folder, plan, asked, rows)
    if json:
        print_json({"folder": str(folder), "cells": rows})
    print_choices(view.out, asked.choices, cells, effects)
    files = "choices.csv, probabilities.csv, choices.json"
    view.out.print(f"Written: {shown_path(folder)}/ ({files})", style="dim", markup=False, soft_wrap=True)
    empty = next((cell for cell in cells if not cell.questions), None)
    if empty is not None:
        reason = next(
            choice.read for choice in asked.choices if choice.cell == empty.key and isinstance(choice.read, str)
        )
        view.err.print(
            f"emeval: no question of {empty.key.model} ({empty.key.condition}) could be read: {one_line(reason)}; "
            "where a thought comes first, add --thinking off",
            markup=False,
            soft_wrap=True,
        )
        raise typer.Exit(EXIT_GATE)
