"""The command that says what this machine has and lacks."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import typer

from evals.cli.acting import print_json, read_dotenv
from evals.cli.app import EXIT_GATE, app
from evals.cli.options import Json

if TYPE_CHECKING:
    from evals.doctor import Finding


@app.command()
def doctor(json: Json = False) -> None:
    """Look at keys, servers, models, GPU, disk and data; exit 1 where something that is set up does not work."""
    from dotenv import dotenv_values

    from evals.doctor import examine

    of_dotenv = dotenv_values(Path.cwd() / ".env")
    read_dotenv()
    findings = list(examine(of_dotenv))
    if json:
        print_json({"ok": _is_ok(findings), "findings": [finding._asdict() for finding in findings]})
    else:
        from rich.table import Table

        from evals.console.markup import plain
        from evals.console.view import ConsoleView

        styles = {"ok": "green", "warn": "yellow", "fail": "bold red"}
        table = Table("", "what", "found", "what to do")
        for one in findings:
            table.add_row(f"[{styles[one.state]}]{one.state}[/]", plain(one.what), plain(one.found), plain(one.remedy))
        ConsoleView().out.print(table)
    raise typer.Exit(0 if _is_ok(findings) else EXIT_GATE)


def _is_ok(findings: list[Finding]) -> bool:
    return all(finding.state != "fail" for finding in findings)
