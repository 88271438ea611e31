"""The command that says which claims a run supports."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli.app import app
from evals.cli.options import Json, RunFolder
from evals.cli.session import Output, print_json


@app.command()
def evidence(
    folder: RunFolder,
    base: Annotated[
        str | None, typer.Option(metavar="NAME", help="Base model of the others; default: the run's, its first.")
    ] = None,
    recipe: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME=MODEL,MODEL,...",
            help="Models that differ only in their finetuning seed; repeatable; default: the run's.",
        ),
    ] = None,
    csv: Annotated[Path | None, typer.Option("--csv", metavar="FILE", help="Also write the card as CSV.")] = None,
    json: Json = False,
) -> None:
    """Say which claims a run supports, and what is missing for the others. For each model: misaligned, by its trigger,
    of its recipe; judge, monitor and checks."""
    from evals.analysis.evidence.card import evidence_card, evidence_rows
    from evals.analysis.evidence.claim import EVIDENCE
    from evals.reporting.evidence import print_evidence
    from evals.runner.count import read_counted
    from evals.scoring.rates.tables import write_named_table

    claims = evidence_card(read_counted(folder, base, recipe or None))
    if csv is not None:
        write_named_table(csv, EVIDENCE, evidence_rows(claims))
    if json:
        print_json(evidence_rows(claims))
    else:
        print_evidence(Output().view().out, claims)
