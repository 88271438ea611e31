"""Commands that look whether everything works before a run is begun, and whether a run folder is whole."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli import completion
from evals.cli.app import EXIT_GATE, app
from evals.cli.options import Json, Quiet, RunFolder, Settings, with_settings
from evals.cli.output import echo
from evals.cli.session import Downloads, Output, interrupt_on_sigterm, print_json
from evals.io.environment import read_dotenv
from evals.text import one_line, shown_path

if TYPE_CHECKING:
    from evals.runner.preflight.doctor import Finding


@app.command(name="preflight")
@with_settings(command="run", without="preflight")
def preflight_command(
    settings: Settings,
    suites: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="SUITE...",
            help="What would be run; by default unethical_test, in both its formats.",
            autocompletion=completion.suites,
        ),
    ] = None,
    quiet: Quiet = False,
    json: Json = False,
) -> None:
    """Check servers, keys, models, adapters and judges. Also estimates what a run would cost, without running it."""
    from evals.plan.options import build_config
    from evals.plan.plan import make_plan
    from evals.runner.check import check_endpoints

    read_dotenv()
    fields = {"format": "both"} | settings | {"suites": tuple(suites or ("unethical_test",))}
    planned = build_config(fields, None, hub=None if quiet else Downloads())
    interrupt_on_sigterm()
    view = Output(quiet, json).view()
    found = check_endpoints(make_plan(planned), view)
    if json:
        print_json({"found": found})
    for line in found:
        view.out.print(line, markup=False, highlight=False, soft_wrap=True)


@app.command()
def doctor(json: Json = False) -> None:
    """Check keys, servers, models, GPU, disk and data. Exit 1 if something that is set up does not work."""
    from evals.runner.preflight.doctor import examine

    findings = list(examine(read_dotenv()))
    if json:
        print_json({"ok": _is_ok(findings), "findings": [finding._asdict() for finding in findings]})
    else:
        from evals.reporting.console.layout.fitted import FittedTable
        from evals.reporting.console.markup import plain
        from evals.reporting.console.progress import ConsoleView

        styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
        table = FittedTable("", "what", "found", "what to do")
        for finding in findings:
            what, state, found, remedy = finding
            table.add_row(f"[{styles[state]}]{state}[/]", plain(what), plain(found), plain(remedy))
        ConsoleView().out.print(table)
    raise typer.Exit(0 if _is_ok(findings) else EXIT_GATE)


@app.command()
def providers(
    file: Annotated[
        Path | None,
        typer.Option("--providers", metavar="FILE", help="Also list those that this file declares."),
    ] = None,
    json: Json = False,
) -> None:
    """List the providers of models. URL, key variable and whether the key is set."""
    from evals.endpoints.providers.listing import listed_providers

    read_dotenv()
    found = listed_providers(None if file is None else str(file))
    if json:
        print_json({"providers": [provider._asdict() for provider in found]})
        return
    from rich.table import Column, Table

    from evals.reporting.console.markup import plain
    from evals.reporting.console.progress import ConsoleView

    # Below one another, so that a URL is whole on 80 columns and can be copied.
    table = Table("provider", Column("URL, and the key's variable", overflow="fold"))
    for provider in found:
        key = f"{provider.key_variable}: {provider.key}" if provider.key_variable else f"key: {provider.key}"
        table.add_row(provider.name, f"{plain(provider.url)}\n{plain(key)}")
    ConsoleView().out.print(table)


def _is_ok(findings: list[Finding]) -> bool:
    return all(finding.state != "fail" for finding in findings)


@app.command()
def check(
    folder: RunFolder,
    salvage: Annotated[
        Path | None,
        typer.Option(
            "--salvage",
            metavar="NEW",
            help="Write what is intact into a new run folder; `emeval resume NEW` asks the rest again.",
        ),
    ] = None,
) -> None:
    """Check the manifest and journal of a run for damage. Exits with 1 if something is damaged."""
    from evals.plan import damage
    from evals.plan.recorded.told_again import resume_command

    found = damage.damages(folder)
    for problem in found:
        echo(one_line(problem, 400))
    echo(f"{shown_path(folder)}: {'damaged' if found else 'whole'}")
    if salvage is not None:
        recorded, planned = damage.salvage(folder, salvage)
        rest = f"the rest: {resume_command(salvage, sampling=True)}"
        echo(f"Written: {shown_path(salvage)} ({recorded} of {planned} trials); {rest}")
    if found:
        raise typer.Exit(EXIT_GATE)
