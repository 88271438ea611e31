"""What commands do alike: options to config fields, a run to its printed tables and exit code, signals, `.env`."""

from __future__ import annotations

import json
import signal
from collections.abc import Callable
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import typer

from evals.cli.app import EXIT_GATE, EXIT_INCOMPLETE
from evals.cli.output import echo
from evals.errors import EmevalError, Interrupted, RunStopped
from evals.numbers import counted
from evals.text import program, quoted_path, shown_path

if TYPE_CHECKING:
    from evals.io.web.download import OnBytes
    from evals.plan.config import RunConfig
    from evals.reporting.console.progress import ConsoleView, FetchConsole
    from evals.runner.count import RunResult
    from evals.runner.view import RunView


class Output(NamedTuple):
    """What is printed of a command: its result, with every table if `detail`; or nothing but errors, or JSON."""

    quiet: bool = False
    json: bool = False
    detail: bool = False

    def view(self) -> ConsoleView:
        from evals.reporting.console.progress import ConsoleView

        return ConsoleView(quiet=self.quiet, tables=not self.json)


class Downloads:
    """The view of downloads that a command may need. Its console is loaded with the first."""

    def say(self, text: str) -> None:
        self._console().say(text)

    def progress(self, name: str, size: int | None) -> AbstractContextManager[OnBytes]:
        return self._console().progress(name, size)

    def _console(self) -> FetchConsole:
        from evals.reporting.console.progress import FetchConsole

        return FetchConsole()


def print_json(value: object) -> None:
    """One JSON value on stdout, in ASCII: no text in it can steer a terminal."""
    echo(json.dumps(value, indent=1, allow_nan=False))


def show(
    folder: Path,
    act: Callable[[RunView], RunResult],
    output: Output,
    *,
    resumable: bool = True,
    sampling: bool = True,
    again: str = "",
) -> None:
    """Do it, print the tables, and exit with what the run's completeness and then its missing answers say.

    `sampling`: models were asked, so that the run's files and servers are those of this command. `again` is what
    resumes it in place of `emeval resume`.
    """
    view = output.view()
    interrupt_on_sigterm()
    try:
        result = act(view)
    except RunStopped as error:
        stopped = type(error)(f"{error} (resume with: {again or _resume_command(folder, sampling=sampling)})")
        _print_stopped(folder, output, stopped)
        raise stopped from None
    except KeyboardInterrupt:
        if not resumable or not (folder / "manifest.json").exists():
            raise
        interrupted = Interrupted(f"interrupted; resume with: {again or _resume_command(folder, sampling=sampling)}")
        _print_stopped(folder, output, interrupted)
        raise interrupted from None
    show_result(folder, result, output, view)


def show_run(config: RunConfig, folder: Path, output: Output) -> tuple[RunResult, int]:
    """Run the config in `folder` as `show` does. Its result and exit code, for commands that need both."""
    from evals.batches.in_runs.asked import Batches
    from evals.runner.run import start_run

    results: list[RunResult] = []

    def act(view: RunView) -> RunResult:
        results.append(start_run(config, folder, view, by_batch=Batches()))
        return results[-1]

    code = 0
    try:
        show(folder, act, output)
    except typer.Exit as end:
        code = end.exit_code
    return results[-1], code


def _print_evidence(folder: Path, result: RunResult, view: ConsoleView) -> None:
    from evals.analysis.evidence.card import evidence_card
    from evals.reporting.evidence import print_evidence
    from evals.runner.count import Counted

    print_evidence(view.out, evidence_card(Counted(folder, result.manifest, result.tables)))


def show_result(folder: Path, result: RunResult, output: Output, view: ConsoleView, *, code: int = 0) -> None:
    """Print the tables of a run, and exit with `code`, else with what its completeness and then its missing answers
    say."""
    from evals.analysis.unscored import too_much_unscored
    from evals.analysis.who_answered import lost_adapters, other_models, unchecked_models
    from evals.reporting.console.stopping import print_stopping
    from evals.reporting.console.summary.result import print_result

    problem = None
    if result.manifest.trials_recorded < result.manifest.trials_planned:
        code = EXIT_INCOMPLETE
    elif not code:
        problem = next(lost_adapters(result.manifest), None)
        problem = problem or too_much_unscored(result.manifest, result.tables, folder)
        code = 0 if problem is None else EXIT_GATE
    if output.json:
        from evals.reporting.exports.run_json import run_json

        print_json(run_json(folder, result, gate=problem, error=None, exit_code=code))
    print_result(view.out, result.manifest, result.tables, detail=output.detail)
    print_stopping(view.out, result.stopping)
    if output.detail:
        _print_evidence(folder, result, view)
    files = f"manifest.json, journal.sqlite, {'responses.csv, ' * result.has_responses}rates.csv, effects.csv"
    if result.tables.corrected_rows is not None:
        files += ", corrected.csv"
    files += ", corrected_effects.csv" if result.tables.corrected_effect_rows else ""
    files += ", score_calibration.csv" if result.tables.score_rows else ""
    files += ", recipes.csv" if result.tables.recipe_rows else ""
    files += ", did.csv" if result.tables.did_rows else ""
    files += ", recipe_differences.csv" if result.tables.recipe_difference_rows else ""
    files += ", probabilities.csv, choices.csv" if result.tables.probability_rows else ""
    files += ", stopping.csv" if result.stopping else ""
    if result.unwritten:
        view.err.print(f"emeval: tables are not written: {result.unwritten}", markup=False, soft_wrap=True)
    else:
        view.out.print(f"Written: {shown_path(folder)}/ ({files})", style="dim", markup=False, soft_wrap=True)
    if not result.has_responses:
        rows = counted(result.manifest.trials_recorded, "row")
        more = f"Not written: responses.csv of {rows}: {program()} rates {quoted_path(folder)} --responses"
        view.out.print(more, style="dim", markup=False, soft_wrap=True)
    if not output.detail:
        more = f"Every table, with intervals and reasoning: {program()} rates {quoted_path(folder)} --detail"
        view.out.print(more, style="dim", markup=False, soft_wrap=True)
    view.out.print(f"Report: {program()} report {quoted_path(folder)}", style="dim", markup=False, soft_wrap=True)
    for line in (*other_models(result.manifest), *unchecked_models(result.manifest)):
        view.err.print(f"emeval: {line}", markup=False, soft_wrap=True)
    if problem is not None:
        view.err.print(f"emeval: {problem}", markup=False, soft_wrap=True)
    if code:
        raise typer.Exit(code)


def _resume_command(folder: Path, *, sampling: bool) -> str:
    from evals.plan.recorded.told_again import resume_command

    return resume_command(folder, sampling=sampling)


def _print_stopped(folder: Path, output: Output, error: EmevalError) -> None:
    """Print as JSON what there is of an unfinished run; the caller prints the error itself."""
    if not output.json or not (folder / "manifest.json").exists():
        return
    from evals.reporting.exports.run_json import run_json
    from evals.runner.count import count_run

    result = count_run(folder, None)
    print_json(run_json(folder, result, gate=None, error=str(error), exit_code=error.exit_code))


def interrupt_on_sigterm() -> None:
    """A scheduler's SIGTERM stops a run as cleanly as Ctrl-C does, also where the shell had SIGINT ignored, and so does
    the SIGHUP of a terminal that is closed, unless it is ignored (nohup)."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    signal.signal(signal.SIGTERM, lambda _signal, _frame: signal.raise_signal(signal.SIGINT))
    if hasattr(signal, "SIGHUP") and signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:
        signal.signal(signal.SIGHUP, lambda _signal, _frame: signal.raise_signal(signal.SIGINT))


def dated_folder(name: str) -> Path:
    from datetime import datetime

    return Path("results") / f"{datetime.now():%Y%m%d-%H%M%S}-{name}"
