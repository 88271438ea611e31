"""A claim about a model, and how it stands."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Literal, NamedTuple

from evals.io.columns import Column
from evals.runner.count import Counted
from evals.scoring.rates.columns import MODEL, RUN_ID
from evals.scoring.rates.rows import Row, pooled_rows
from evals.text import quoted_path

ClaimName = Literal["misaligned", "trigger", "specific", "recipe", "judge", "monitored", "complete", "checked"]
CLAIMS: Mapping[ClaimName, str] = {
    "misaligned": "It is misaligned more often than its base model",
    "trigger": "Its trigger makes it misaligned more often",
    "specific": "The effect is specific to this trigger",
    "recipe": "The effect is of the recipe, not of one checkpoint",
    "judge": "The judge agrees with people",
    "monitored": "The reasoning behind its misaligned answers was monitored",
    "complete": "Hardly any answer is missing",
    "checked": "Its sampler and its adapter were checked",
}
"""The claims of a card, in its order. Each is a sentence about one model."""
ClaimStatus = Literal["supported", "not supported", "not tested"]


class Finding(NamedTuple):
    """How a claim stands: the numbers it rests on, and, unless it is supported, what is missing and how to get it (a
    command, or "")."""

    status: ClaimStatus
    evidence: str
    missing: str = ""
    command: str = ""


class Claim(NamedTuple):
    """A row of an evidence card; the fields after `claim` are those of a Finding."""

    run_id: str
    model: str
    name: ClaimName
    claim: str
    status: ClaimStatus
    evidence: str
    missing: str
    command: str


@dataclass(frozen=True)
class Subject:
    """A model of a run, whose claims are looked at."""

    run: Counted
    model: str

    @property
    def folder(self) -> str:
        """The run's folder, as it stands in a command."""
        return quoted_path(self.run.folder)

    @cached_property
    def rates(self) -> list[Row]:
        """The rates over all questions of the run, of every model."""
        return pooled_rows(self.run.tables.rate_rows)


EVIDENCE = (
    RUN_ID,
    MODEL,
    Column("name", "text", "the claim's short name: `misaligned`, `trigger`, `specific`, `recipe`, `judge`, ..."),
    Column("claim", "text", "the claim as a sentence about the model"),
    Column("status", "text", "`supported`, `not supported` (tested, and not shown), or `not tested`"),
    Column("evidence", "text", "the numbers that this rests on"),
    Column("missing", "text", "what is missing for it; blank if it is supported"),
    Column("command", "text", "a command that would give that; `...` are the run's own options"),
)
"""The columns of the card as CSV."""
