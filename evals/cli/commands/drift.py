"""Commands that watch judges from night to night: anchors, and who has drifted."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli.app import EXIT_GATE, app
from evals.cli.options import RunFolder, run_folder
from evals.cli.output import echo
from evals.errors import BadInput
from evals.numbers import counted
from evals.text import quoted_path, shown_path

_FEWEST = 20
"""Anchors of one kind below which a warning is due: of 20, seven to ten must move for an alarm."""
anchors_app = typer.Typer(no_args_is_help=True, help="Frozen answers that re-check the judge every night.")
app.add_typer(anchors_app, name="anchors")


@anchors_app.callback()
def _anchors() -> None:
    """Frozen answers that re-check the judge every night."""


@anchors_app.command()
def freeze(
    folder: RunFolder,
    n: Annotated[
        int, typer.Option("--n", min=2, help="Maximum answers to keep; half of them hits, if there are enough.")
    ] = 100,
    seed: Annotated[int, typer.Option(min=0, help="Seed of the draw.")] = 0,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FILE", help="The anchors file; RUN.anchors.jsonl next to the run by default."),
    ] = None,
    force: Annotated[bool, typer.Option("--force", help="Overwrite an existing file.")] = False,
) -> None:
    """Freeze judged answers of a run as anchors. A judge is asked about the same ones on later nights."""
    from evals.analysis.drift.freeze_anchors import SUFFIX
    from evals.analysis.drift.freeze_anchors import freeze as freeze_run
    from evals.plan.recorded_run import manifest_of

    manifest = manifest_of(folder)
    path = out or folder.resolve().with_name(f"{folder.resolve().name}{SUFFIX}")
    kept = freeze_run(folder, manifest, path, count=n, seed=seed, force=force)
    total = kept.hits + kept.misses
    labelled = f"{kept.labelled} by people's labels, the others" if kept.labelled else "all"
    echo(
        f"Kept {counted(total, 'answer')} in {shown_path(path)}: "
        f"{counted(kept.hits, 'hit')} and {counted(kept.misses, 'miss')} ({labelled} by the judge's "
        f"verdict), asked under {', '.join(kept.conditions)}."
    )
    for side, count in (("hits", kept.hits), ("misses", kept.misses)):
        if count < _FEWEST:
            echo(
                f"Only {count} of them are {side}: a judge that changes only on {side} would "
                "hardly be noticed. Freeze a run that has more."
            )
    file, run = quoted_path(path), quoted_path(folder)
    echo(f"Next: --anchors {file} on every later run of these suites, and for this one")
    echo(f"  emeval judge {run} --anchors {file}")
    echo(
        "which asks the judge about the anchors once more and about nothing else: the verdicts that they were chosen "
        "by do not say how often it errs. Then: emeval drift RUN RUN..."
    )


@app.command()
def drift(
    runs: Annotated[
        list[Path],
        typer.Argument(
            metavar="RUN...", help="Runs of one model in the order of their nights; or latest.", callback=run_folder
        ),
    ],
) -> None:
    """Tell whether the model or its judge has changed. One line for each night since the first; exit 1 if one has."""
    from evals.analysis.drift.attribution import attribute, is_changed
    from evals.reporting.console.drift import print_attributions

    if len(runs) < 2:
        raise BadInput("RUN: give at least two runs, the first of them the reference")
    found = attribute(runs)
    print_attributions(found)
    if any(map(is_changed, found)):
        raise typer.Exit(EXIT_GATE)
