"""The evidence card as text: each claim with its status, its numbers, and what is missing."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby

from rich.console import Console
from rich.padding import Padding

from evals.analysis.evidence.claim import Claim
from evals.reporting.console.markup import LONG, plain

_STYLES = {"supported": "green", "not supported": "yellow", "not tested": "dim"}


def print_evidence(console: Console, claims: Sequence[Claim]) -> None:
    """Print a block for each model, with a line for each claim and what it rests on under it."""
    for model, found in groupby(claims, key=lambda claim: claim.model):
        console.print(f"[bold]Evidence: {plain(model)}[/bold]")
        for claim in found:
            console.print(f"  [{_STYLES[claim.status]}]{claim.status}[/]: {claim.claim}")
            for text in (claim.evidence, f"missing: {claim.missing}" if claim.missing else "", claim.command):
                if text:
                    console.print(Padding(plain(text, LONG), (0, 0, 0, 6), expand=False), style="dim")
    if claims:
        console.print("... in a command: the options of this run. The rules are in docs/report.md.", style="dim")
