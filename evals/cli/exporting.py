"""The command that writes a run for other tools."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli.app import app
from evals.cli.options import RunFolder
from evals.errors import BadInput

FORMATS = ("inspect",)


@app.command()
def export(
    folder: RunFolder,
    format: Annotated[str, typer.Option("--format", "-f", help="inspect: logs that `inspect view` opens.")],
    out: Annotated[
        Path | None, typer.Option("--out", "-o", help="The folder or file to write; in RUN/exports unless said.")
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Replace an older export.")] = False,
) -> None:
    """Write a run in the format of another tool."""
    if format not in FORMATS:
        raise BadInput(f"--format: {format!r} is none of {', '.join(FORMATS)}")
    from evals.exports.inspect_logs import export_inspect

    target = out or folder / "exports" / "inspect"
    files = export_inspect(folder, target, force=force)
    typer.echo(f"Written: {target}/ ({len(files)} logs); look at them with: inspect view --log-dir {target}")
