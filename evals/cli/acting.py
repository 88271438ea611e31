"""What commands do alike: options to config fields, a run to its printed tables and exit code, signals, `.env`."""

from __future__ import annotations

import shlex
import signal
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import typer

from evals.cli.app import EXIT_INCOMPLETE
from evals.errors import Interrupted, RunStopped

if TYPE_CHECKING:
    from evals.run import RunResult
    from evals.view import RunView

_FIELD_OF = {
    "model": "models",
    "timeout": "timeout_s",
    "max_retry_time": "max_total_s",
    "vllm_start_timeout": "vllm_start_s",
}


def fields_of(arguments: Mapping[str, object]) -> dict[str, Any]:
    """Those of a command's arguments that are fields of a RunConfig, by the names that they have there."""
    from evals.config import RunConfig

    named = {_FIELD_OF.get(name, name): value for name, value in arguments.items()}
    return {
        name: tuple(cast("list[str]", value)) if isinstance(value, list) else value
        for name, value in named.items()
        if name in RunConfig.model_fields
    }


def show(folder: Path, act: Callable[[RunView], RunResult], *, resumable: bool = True) -> None:
    """Do it, print the tables, and exit with what the run's completeness says."""
    from evals.console import ConsoleView, print_tables
    from evals.console_until import print_stopping

    view = ConsoleView()
    interrupt_on_sigterm()
    go_on = f"emeval resume {shlex.quote(str(folder))}"
    try:
        result = act(view)
    except RunStopped as error:
        raise type(error)(f"{error} (go on with: {go_on})") from None
    except KeyboardInterrupt:
        if not resumable or not (folder / "manifest.json").exists():
            raise
        raise Interrupted(f"interrupted; go on with: {go_on}") from None
    print_tables(view.out, result.manifest, result.tables)
    print_stopping(view.out, result.stopping)
    files = "manifest.json, journal.sqlite, responses.csv, rates.csv, effects.csv"
    files += ", stopping.csv" if result.stopping else ""
    view.out.print(f"Written: {folder}/ ({files})", style="dim", markup=False, soft_wrap=True)
    if result.manifest.trials_recorded < result.manifest.trials_planned:
        raise typer.Exit(EXIT_INCOMPLETE)


def interrupt_on_sigterm() -> None:
    """A scheduler's SIGTERM stops a run as cleanly as Ctrl-C does, also where the shell had SIGINT ignored."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: signal.raise_signal(signal.SIGINT))


def read_dotenv() -> None:
    from dotenv import load_dotenv

    load_dotenv(Path.cwd() / ".env")


def dated_folder(name: str) -> Path:
    from datetime import datetime

    return Path("results") / f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
