"""The evidence cards of a report, one for each model."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import groupby
from typing import NamedTuple

from evals.analysis.evidence.card import evidence_card
from evals.analysis.evidence.claim import Claim
from evals.runner.count import Counted


class Card(NamedTuple):
    """The claims of one model of a run, and how many of them are supported."""

    run: str
    model: str
    claims: list[Claim]
    supported: int


def evidence_cards(runs: Sequence[Counted]) -> list[Card]:
    """The cards of all models, in the order of runs and models."""
    cards: list[Card] = []
    for run in runs:
        for model, claims in groupby(evidence_card(run), key=lambda claim: claim.model):
            found = list(claims)
            supported = sum(claim.status == "supported" for claim in found)
            cards.append(Card(run.manifest.run_id, model, found, supported))
    return cards
