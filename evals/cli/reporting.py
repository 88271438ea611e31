"""`emeval report`: runs as a page to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli.app import app


@app.command()
def report(
    folders: Annotated[list[Path], typer.Argument(metavar="RUN...", help="One run folder, or several side by side.")],
    output: Annotated[
        Path | None,
        typer.Option("--output", "-o", metavar="FILE.html", help="The page; report.html in the (first) run folder."),
    ] = None,
) -> None:
    """Write a page with the verdict, the figures and every transcript: one file that opens without a network."""
    from evals.reporting.page.writer import write_report
    from evals.runner.count import read_several

    page = output or folders[0] / "report.html"
    written = write_report(read_several(folders), page)
    beside = f", with its transcripts in {written.beside}/, which must stay beside it" if written.beside else ""
    typer.echo(f"Written: {written.page}{beside}")
