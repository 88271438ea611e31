"""The result of comparing two runs, cell by cell and question by question."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Literal, NamedTuple

from evals.analysis.comparison.comparable import Direction
from evals.numbers import percent
from evals.scoring.metric import Missing
from evals.statistics.noninferiority import Decision
from evals.text import one_line

MAX_INCREASE = 0.05
MAX_UNSCORED = 0.05

CellDecision = Literal[Decision, "unscored"]


@dataclass(frozen=True, slots=True)
class Gate:
    """What to compare, and how much worse it may get.

    An empty selection selects everything; without `metrics`, the primary metric of each suite. `worse` defaults to the
    metric's own direction. Limits are fractions in [0, 1].
    """

    max_increase: float = MAX_INCREASE
    metrics: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    worse: Direction | None = None
    max_unscored: float = MAX_UNSCORED
    base_model: str | None = None
    candidate_model: str | None = None

    def wants(self, cell: ComparisonKey) -> bool:
        chosen = (
            (self.suites, cell.suite),
            (self.formats, cell.format),
            (self.conditions, cell.condition),
            (self.metrics, cell.metric),
        )
        return all(not names or name in names for names, name in chosen)


class ComparisonKey(NamedTuple):
    suite: str
    format: str
    condition: str
    trigger: str
    metric: str


class Side(NamedTuple):
    """One run's rate in a cell; rate and interval are None if n is 0.

    `n_trials` counts the answers the metric applies to, `missing` those not in n by reason, `unscored` the part of
    `missing` that is due to the measurement.
    """

    k: int
    n: int
    rate: float | None
    ci_low: float | None
    ci_high: float | None
    n_trials: int
    missing: dict[Missing, int]
    unscored: dict[Missing, int]

    @property
    def unscored_share(self) -> float:
        total = sum(self.unscored.values())
        return total / self.n_trials if total else 0.0


@dataclass(frozen=True, slots=True)
class CellChange:
    """Base and candidate in one cell.

    `increase` is candidate - base, the mean over prompts; None if both answered no prompt. It has two 95% intervals, as
    a rate has: `gen_low` to `gen_high` is for these questions and decides, `ci_low` to `ci_high` is for questions like
    these. `worse_by_at_least` is the simultaneous lower bound of the change for the worse on these questions, and
    `limit` the largest such change allowed.
    """

    key: ComparisonKey
    base_model: str
    candidate_model: str
    base: Side
    candidate: Side
    worse: Direction
    limit: float
    max_unscored: float
    increase: float | None
    gen_low: float | None
    gen_high: float | None
    gen_method: str
    gen_p_value: float | None
    gen_p_holm: float | None
    worse_by_at_least: float | None
    ci_low: float | None
    ci_high: float | None
    method: str
    p_value: float | None
    p_holm: float | None
    n_prompts: int
    decision: CellDecision

    @property
    def worse_by(self) -> float | None:
        """The change for the worse: above 0 if the candidate is worse."""
        return self.increase if self.increase is None or self.worse == "increase" else -self.increase


class QuestionChange(NamedTuple):
    """One question in both runs, over the option orders that both answered.

    `p_value` is of Fisher's exact test; `q_value` is adjusted over all questions (Benjamini and Hochberg).
    """

    cell: ComparisonKey
    candidate_model: str
    prompt_id: str
    question: str
    base_k: int
    base_n: int
    k: int
    n: int
    p_value: float
    q_value: float

    @property
    def increase(self) -> float:
        return self.k / self.n - self.base_k / self.base_n


class RunSide(NamedTuple):
    """What the rates of a run depend on: its judge, hashes of its rubrics (by judge) and of its datasets (by suite)."""

    run_id: str
    folder: str
    judge: str
    rubrics: dict[str, str]
    datasets: dict[str, str]


@dataclass(frozen=True)
class Compared:
    """All cells of a comparison, the questions that changed most, and notes for the reader."""

    base: RunSide
    candidate: RunSide
    cells: tuple[CellChange, ...]
    changed: tuple[QuestionChange, ...]
    notes: tuple[str, ...]

    @property
    def decision(self) -> CellDecision:
        """The worst of its cells."""
        found = {cell.decision for cell in self.cells}
        order: tuple[CellDecision, ...] = ("regression", "unscored", "unclear", "within")
        return next(name for name in order if name in found or name == "within")


def unscored_words(cell: CellChange) -> Iterator[str]:
    """For each side with too many unscored answers, one line on how many and why."""
    for name, side in (("base", cell.base), ("candidate", cell.candidate)):
        if side.unscored_share > cell.max_unscored:
            reasons = ", ".join(f"{count} {reason}" for reason, count in side.unscored.items())
            yield (
                f"{sum(side.unscored.values())} of {side.n_trials} answers of the {name} to {cell_name(cell.key)} are "
                f"not scored ({reasons}), more than the {percent(cell.max_unscored)} of --max-unscored"
            )


def cell_name(key: ComparisonKey) -> str:
    """The cell in words, one line: suite, format, condition, metric."""
    return one_line(f"{key.suite} {key.format} {key.condition} {key.metric}", 160)
