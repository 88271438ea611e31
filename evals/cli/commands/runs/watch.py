"""`emeval watch`: the report of a run while it goes on."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Annotated

import typer

from evals.cli.app import app
from evals.cli.options import RunFolder
from evals.cli.output import echo
from evals.cli.session import interrupt_on_sigterm


@app.command()
def watch(
    folder: RunFolder,
    every: Annotated[float, typer.Option(min=1, help="Seconds between updates.")] = 10,
    port: Annotated[int, typer.Option(min=0, max=65535, help="Port to listen on; 0: a free one.")] = 0,
) -> None:
    """Serve the report of a run in progress to a browser on this machine. Its address has a random token; Ctrl-C
    ends it, and not the run."""
    from evals.plan.recorded_run import manifest_of
    from evals.reporting.page.live import LivePage, LiveServer

    manifest_of(folder)
    interrupt_on_sigterm()
    with TemporaryDirectory(prefix="emeval-watch-") as scratch:
        page = LivePage(folder, Path(scratch), every)
        with LiveServer(page, port) as server:
            echo(f"Open {server.url} (Ctrl-C ends it; rates before the end are interim).")
            try:
                server.serve_forever()
            except KeyboardInterrupt:
                echo("Stopped watching.")
