"""The command that asks how much of a result hangs on its judge and cut-offs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli.app import app
from evals.cli.options import RunFolder


@app.command()
def robustness(
    folder: RunFolder,
    json: Annotated[Path | None, typer.Option("--json", metavar="FILE", help="Write all of it there as JSON.")] = None,
) -> None:
    """How much of a run's result hangs on its judge and its cut-offs; with --attack, how easily a judge is turned."""
    from evals.console import ConsoleView
    from evals.console_robust import print_robustness
    from evals.robustness import assess, write_robustness_json

    view = ConsoleView()
    found = assess(folder)
    print_robustness(view.out, found)
    if json is not None:
        write_robustness_json(found, json)
