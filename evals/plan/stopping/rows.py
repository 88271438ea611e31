"""stopping.csv: where each cell of a run whose sampling may stop early stands with the rule. Apart from
`evals.plan.stopping.state`, which follows the rule, so that rows can be shown without the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, Literal, NamedTuple

from evals.scoring.rates.tables import read_table, write_table

FILE_NAME = "stopping.csv"

Decision = Literal["yes", "no", "contradicted", "undecided", "open"]
"""`yes`: the rule holds. `no`: a rule on the rate does not. `contradicted`: later answers speak against what earlier
ones have shown. `undecided`: all draws of the fixed plan were not enough. `open`: there is more to sample or judge."""


class StopRow(NamedTuple):
    """A row of stopping.csv. `saved` is None while the cell is open."""

    run_id: str
    suite: str
    format: str
    model: str
    condition: str
    rule: str
    draws: int
    scored: int
    cs_low: float
    cs_high: float
    decision: Decision
    planned: int
    saved: int | None
    trigger: str
    metric: str
    hits: int
    settled: int
    decided_at: int | None


def write_stop_rows(rows: Sequence[StopRow], folder: Path) -> None:
    """Write stopping.csv into `folder`, whole or not at all."""
    write_table(folder / FILE_NAME, StopRow._fields, [row._asdict() for row in rows])


def read_stop_rows(folder: Path) -> tuple[StopRow, ...]:
    """The rows of stopping.csv in `folder`. Raises BadInput where the file is not as `write_stop_rows` writes it."""
    rows: list[dict[str, Any]] = read_table(folder / FILE_NAME, StopRow._fields)
    return tuple(StopRow(**row) for row in rows)
