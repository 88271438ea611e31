"""The command that a timer starts every night."""

from __future__ import annotations

import os
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli.app import app
from evals.cli.output import print_error
from evals.cli.session import interrupt_on_sigterm
from evals.errors import EmevalError, Interrupted
from evals.io.environment import read_dotenv
from evals.numbers import counted
from evals.text import one_line, shown_path

if TYPE_CHECKING:
    from rich.console import Console

    from evals.nightly.config import NightlyConfig
    from evals.reporting.console.progress import ConsoleView


@app.command()
def nightly(
    config: Annotated[Path, typer.Argument(metavar="CONFIG.yaml", help="Checkpoints, run options, baseline, gates.")],
    date: Annotated[
        str | None, typer.Option(metavar="YYYY-MM-DD", help="The night's name; today's date by default.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Print what would be measured; send nothing.")] = False,
    notify: Annotated[
        str | None,
        typer.Option(
            metavar="URL",
            help="Tell this webhook how the night ended (a POST of {text}, as Slack takes); also EMEVAL_WEBHOOK, which "
            "keeps the URL out of the list of processes.",
        ),
    ] = None,
) -> None:
    """Measure every checkpoint and compare it with the baseline. Keeps a history; exit 0 passed, 1 failed, 3
    incomplete."""
    from datetime import UTC, datetime

    from evals.nightly.config import read_nightly
    from evals.nightly.night import PAGE, night_of, run_night
    from evals.reporting.console.markup import plain
    from evals.reporting.console.progress import ConsoleView

    read_dotenv()
    settings = read_nightly(config)
    for note in settings.renamed_keys():
        print_error(f"{shown_path(config)}:{note}")
    night = night_of(settings.out, date, datetime.now().astimezone().date(), datetime.now(UTC))
    view = ConsoleView()
    if dry_run:
        _print_plan(view.out, settings, night)
        return
    from evals.nightly.summary import message_of, resume_command, verdict_of

    tell = _teller(notify, view)
    interrupt_on_sigterm()
    try:
        found = run_night(settings, night, view)
    except Exception as error:
        said = one_line(str(error), 500) if isinstance(error, EmevalError) else f"unexpected {type(error).__name__}"
        tell(f"FAILED, night of {night}: {said}")
        raise
    tell(message_of(found))
    for result in found.measured:
        verdicts = [f"{cell.row.condition} {cell.row.metric} {cell.verdict}" for cell in result.judged if cell.verdict]
        reason = result.reason or ", ".join(verdicts) or "no gates"
        view.out.print(f"{plain(result.checkpoint.name)}: {result.status}: {plain(reason)}", soft_wrap=True)
    view.out.print(plain(verdict_of(found)), style="bold", soft_wrap=True)
    names = ["summary.md", "junit.xml", *([PAGE] if (found.folder / PAGE).exists() else [])]
    files = ", ".join(map(str, [*(found.folder / name for name in names), settings.out / "history.csv"]))
    view.out.print(f"Written: {plain(files)}", style="dim", soft_wrap=True)
    if found.interrupted:
        raise Interrupted(f"interrupted; resume with:  {resume_command(found)}")
    raise typer.Exit(found.exit_code)


def _teller(given: str | None, view: ConsoleView) -> Callable[[str], None]:
    """What tells the webhook, or nobody where there is none. Raises BadInput for one that is not to be used."""
    from evals.nightly import notify

    url = given or os.environ.get(notify.VARIABLE, "")
    if not url:
        return lambda _text: None
    webhook = notify.webhook_of(url)

    def tell(text: str) -> None:
        if problem := notify.notify(webhook, text):
            view.err.print(f"emeval: warning: --notify: {problem}", markup=False, soft_wrap=True)

    return tell


def _print_plan(console: Console, config: NightlyConfig, night: str) -> None:
    from evals.nightly.checkpoints import baseline_name, find_checkpoints
    from evals.nightly.config import check_labels
    from evals.plan.cost.lengths import likely_lengths
    from evals.plan.cost.planned import plan_cost, plan_usd
    from evals.plan.manifest import read_manifest
    from evals.plan.plan import make_plan
    from evals.plan.spend import usd_words
    from evals.reporting.console.markup import plain

    checkpoints, left_out = find_checkpoints(config)
    baseline_name(config, checkpoints)
    console.print(f"Night of {night}, in {plain(str(config.out / night))}")
    for checkpoint in checkpoints:
        manifest = read_manifest(config.out / night / checkpoint.name)
        state = "new" if manifest is None else manifest.status
        console.print(f"{plain(checkpoint.name)}: {plain(checkpoint.model)} ({state})", soft_wrap=True)
        plan = make_plan(config.run_config(checkpoint.model, checkpoint.via))
        check_labels(config, plan)
        costs = list(plan_cost(plan, likely_lengths(plan.config, out=config.out / night / checkpoint.name)))
        for cost in costs:
            most = "at most " if cost.at_most else ""
            console.print(f"  {plain(cost.who)}: {most}{counted(cost.requests, 'request')}")
        likely, usd = plan_usd(plan, costs, likely=True), plan_usd(plan, costs)
        if likely is not None and usd is not None:
            console.print(f"  cost: likely {usd_words(likely)}, at most {usd_words(usd)}")
    for left in left_out:
        console.print(f"left out: {plain(left.what)}: {plain(left.reason)}", soft_wrap=True)
    console.print(f"baseline: {plain(config.baseline or 'none')}; {counted(len(config.gates), 'gate')}")
