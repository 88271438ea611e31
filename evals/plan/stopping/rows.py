"""stopping.csv: where each cell of a run whose sampling may stop early stands with the rule. Apart from
`evals.plan.stopping.state`, which follows the rule, so that rows can be shown without the numbers."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any, Literal, NamedTuple

from evals.io.columns import columns_of
from evals.scoring.rates.columns import CONDITION, FORMAT, MODEL, RUN_ID, SUITE, TRIGGER
from evals.scoring.rates.tables import read_table, write_table

FILE_NAME = "stopping.csv"

Decision = Literal["yes", "no", "contradicted", "undecided", "open"]
"""`yes`: the rule holds. `no`: a rule on the rate does not. `contradicted`: later answers speak against what earlier
ones have shown. `undecided`: all draws of the fixed plan were not enough. `open`: there is more to sample or judge."""


class StopRow(NamedTuple):
    """A row of stopping.csv. `saved` is None while the cell is open."""

    run_id: Annotated[str, RUN_ID.meaning]
    suite: Annotated[str, SUITE.meaning]
    format: Annotated[str, FORMAT.meaning]
    model: Annotated[str, MODEL.meaning]
    condition: Annotated[str, CONDITION.meaning]
    rule: Annotated[str, "`width<0.03`, `rate<0.01`, `rate>0.05`"]
    draws: Annotated[int, "recorded draws, all of which count in the other tables"]
    scored: Annotated[int, "the observations among the settled draws"]
    cs_low: Annotated[float, "lower end of the 95% confidence sequence of the rate; valid whenever it is looked at"]
    cs_high: Annotated[float, "its upper end"]
    decision: Annotated[Decision, "`yes`, `no`, `undecided`, `contradicted`, `open`"]
    planned: Annotated[int, "draws of the fixed plan, which are the most"]
    saved: Annotated[int | None, "how many of them were not needed; blank while `open`"]
    trigger: Annotated[str, TRIGGER.meaning]
    metric: Annotated[str, "the metric whose rate the rule is about"]
    hits: Annotated[int, "the hits among the observations"]
    settled: Annotated[
        int, "draws from the first up to the first that waits for an answer or a verdict: what the sequence has seen"
    ]
    decided_at: Annotated[
        int | None,
        "after how many settled draws; blank without a decision. Later draws were under way by then",
    ]


STOPPING = columns_of(StopRow)


def write_stop_rows(rows: Sequence[StopRow], folder: Path) -> None:
    """Write stopping.csv into `folder`, whole or not at all."""
    write_table(folder / FILE_NAME, STOPPING, [row._asdict() for row in rows])


def read_stop_rows(folder: Path) -> tuple[StopRow, ...]:
    """The rows of stopping.csv in `folder`. Raises BadInput where the file is not as `write_stop_rows` writes it."""
    rows: list[dict[str, Any]] = read_table(folder / FILE_NAME, STOPPING)
    return tuple(StopRow(**row) for row in rows)
