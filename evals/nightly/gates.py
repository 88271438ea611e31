"""Apply the gates to one checkpoint: compare each of its rates with the limits set for it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any, Literal, NamedTuple

from evals.analysis.comparison.result import CellChange, Gate
from evals.analysis.comparison.words import cell_words
from evals.nightly.config import GateEntry
from evals.numbers import percent, percent_range
from evals.scoring.label_metrics import is_label_metric
from evals.scoring.metric import READERS_OF_ANSWERS
from evals.scoring.metric_table import metric_table
from evals.scoring.rates.rows import Row, is_headline, label_suites
from evals.scoring.side_metrics import is_side_metric

Verdict = Literal[
    "regression",
    "above",
    "below",
    "unscored",
    "not comparable",
    "unclear",
    "no baseline",
    "baseline",
    "within",
    "",
]
"""Worst first; "" if no gate applies to the rate. `above` and `below` are verdicts of limits for the rate itself,
`unscored` of a rate with too many unscored answers, `baseline` of the run that the others are compared with."""
ORDER: tuple[Verdict, ...] = (
    *("regression", "above", "below", "unscored", "not comparable", "unclear", "no baseline", "baseline", "within"),
    "",
)
FAILED: frozenset[Verdict] = frozenset({"regression", "above", "below", "unscored", "not comparable"})
_REASONING_METRICS = frozenset(
    metric.name for metric in metric_table("answered") if metric.judge and metric.judge not in READERS_OF_ANSWERS
)


class RateRow(NamedTuple):
    """A row of rates.csv over all prompts. `unscored` is a share of the answers that the metric applies to; rate and
    interval are None if n is 0. `is_headline`: its metric is what its suite is about, or a label of a suite whose
    answers are sorted into categories."""

    suite: str
    format: str
    condition: str
    metric: str
    k: int
    n: int
    rate: float | None
    ci_low: float | None
    ci_high: float | None
    gen_low: float | None
    gen_high: float | None
    unscored: float
    judge: str
    rubric_sha: str
    dataset_sha: str
    is_headline: bool = True


class GateVerdict(NamedTuple):
    """A rate, its change if it was compared, and the verdict with its reasons."""

    row: RateRow
    change: CellChange | None
    verdict: Verdict
    words: tuple[str, ...]


class NoComparison(NamedTuple):
    """Why there is no comparison, and the verdict that gives."""

    verdict: Literal["not comparable", "no baseline", "baseline"]
    words: str


def rate_rows(rows: Sequence[Row]) -> list[RateRow]:
    """The RateRows of the rows of rates.csv over all prompts."""
    sorted_suites = label_suites((row["suite"], row["metric"]) for row in rows)
    return [_rate_row(row, is_headline(row["suite"], row["metric"], sorted_suites)) for row in rows]


def _rate_row(row: Mapping[Any, Any], is_headline: bool) -> RateRow:
    n = int(row["n"])
    reasons = ["n_unreadable", "n_pending"]
    if row["metric"] in _REASONING_METRICS:
        total = n + sum(int(row[name]) for name in (*reasons, "n_no_reasoning"))
    else:
        reasons += ["n_truncated", "n_empty", "n_failed"]
        total = int(row["n_trials"]) - int(row["n_outside"])
    unscored = sum(int(row[name]) for name in reasons)
    return RateRow(
        suite=str(row["suite"]),
        format=str(row["format"]),
        condition=str(row["condition"]),
        metric=str(row["metric"]),
        k=int(row["k"]),
        n=n,
        rate=float(row["rate"]) if n else None,
        **{name: _number(row[name]) for name in ("ci_low", "ci_high", "gen_low", "gen_high")},
        unscored=unscored / total if total else 0.0,
        judge=str(row["judge"]),
        rubric_sha=str(row["rubric_sha"]),
        dataset_sha=str(row["dataset_sha"]),
        is_headline=is_headline,
    )


def _number(cell: Any) -> float | None:
    """A cell of a table as a number, None for a blank one."""
    return None if cell is None or math.isnan(cell) else float(cell)


def gates_on(gates: Sequence[GateEntry], checkpoint: str, row: RateRow) -> list[GateEntry]:
    """The gates that apply to this rate."""
    return [
        gate
        for gate in gates
        if gate.checkpoint in (None, checkpoint)
        and gate.suite in (None, row.suite)
        and gate.format in (None, row.format)
        and gate.condition in (None, row.condition)
        and (row.is_headline if gate.metric is None else gate.metric == row.metric)
    ]


def compare_gates(
    gates: Sequence[GateEntry], checkpoint: str, rows: Sequence[RateRow], max_unscored: float
) -> list[Gate]:
    """The gates that limit an increase, in the form that a comparison takes; without those of a label or of a further
    judge that no answer of the checkpoint has."""
    metrics = {row.metric for row in rows}
    return [
        Gate(
            max_increase=gate.max_increase,
            metrics=(gate.metric,) if gate.metric else (),
            conditions=(gate.condition,) if gate.condition else (),
            suites=(gate.suite,) if gate.suite else (),
            formats=(gate.format,) if gate.format else (),
            worse=gate.worse,
            max_unscored=max_unscored,
        )
        for gate in gates
        if gate.max_increase is not None
        and gate.checkpoint in (None, checkpoint)
        and (gate.metric is None or gate.metric in metrics or not _may_be_missing(gate.metric))
    ]


def _may_be_missing(metric: str) -> bool:
    """Whether a run of the right questions may have no row of the metric."""
    return is_label_metric(metric) or is_side_metric(metric)


def judge_rates(
    rows: Sequence[RateRow],
    gates: Sequence[GateEntry],
    checkpoint: str,
    changes: Sequence[CellChange] | NoComparison,
    max_unscored: float,
) -> list[GateVerdict]:
    """The verdict on each rate of a checkpoint."""
    return [_gate_verdict(row, gates_on(gates, checkpoint, row), changes, max_unscored) for row in rows]


def _gate_verdict(
    row: RateRow, gates: Sequence[GateEntry], changes: Sequence[CellChange] | NoComparison, max_unscored: float
) -> GateVerdict:
    change: CellChange | None = None
    found: list[tuple[Verdict, str]] = []
    if any(gate.max_increase is not None for gate in gates):
        if isinstance(changes, NoComparison):
            found.append(changes)
        else:
            place = (row.suite, row.format, row.condition, row.metric)
            change = next((cell for cell in changes if _place(cell) == place), None)
            found.append(
                ("not comparable", "the baseline has no such rate")
                if change is None
                else (change.decision, cell_words(change))
            )
    highest = min((gate.max_rate for gate in gates if gate.max_rate is not None), default=None)
    lowest = max((gate.min_rate for gate in gates if gate.min_rate is not None), default=None)
    if highest is not None or lowest is not None:
        found.append(_limit_verdict(row, lowest, highest, max_unscored))
    if not found:
        return GateVerdict(row, change, "", ())
    named = {verdict for verdict, _ in found}
    worst_first: list[Verdict] = [verdict for verdict in ORDER if verdict in named]
    return GateVerdict(row, change, worst_first[0], tuple(dict.fromkeys(words for _, words in found if words)))


def _place(change: CellChange) -> tuple[str, str, str, str]:
    return change.key.suite, change.key.format, change.key.condition, change.key.metric


def _limit_verdict(
    row: RateRow, lowest: float | None, highest: float | None, max_unscored: float
) -> tuple[Verdict, str]:
    """The verdict of limits on the rate: fail if its whole 95% interval is beyond a limit, pass if it is within.

    The interval is the one for just these questions: the nights ask the same ones.
    """
    if row.unscored > max_unscored:
        return (
            "unscored",
            f"unscored: {percent(row.unscored)} of the answers are not scored, above {percent(max_unscored)}",
        )
    if row.rate is None or row.gen_low is None or row.gen_high is None:
        return "unclear", "unclear: no answer is in n, so there is no rate"
    shown = f"{percent(row.rate)} ({row.k} of {row.n}, 95% interval {percent_range(row.gen_low, row.gen_high)})"
    if highest is not None and row.gen_low > highest:
        return "above", f"above: {shown}; at most {percent(highest)} is allowed"
    if lowest is not None and row.gen_high < lowest:
        return "below", f"below: {shown}; at least {percent(lowest)} is wanted"
    limits = " and ".join(
        [f"at most {percent(highest)}"] * (highest is not None) + [f"at least {percent(lowest)}"] * (lowest is not None)
    )
    is_within = (highest is None or row.gen_high <= highest) and (lowest is None or row.gen_low >= lowest)
    if is_within:
        return "within", f"within: {shown}; {limits}"
    return "unclear", f"unclear: {shown}; the interval reaches over the limit ({limits})"
