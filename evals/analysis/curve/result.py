"""What a curve has: a point for each step, the trend, and the onset; and the columns of curve.csv."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Annotated, NamedTuple

from evals.analysis.comparison.comparable import Direction
from evals.analysis.comparison.result import ComparisonKey
from evals.io.columns import column_names, columns_of
from evals.io.csv_writer import csv_row
from evals.scoring.metric import Missing
from evals.statistics.trends.onset import Change, Onset
from evals.statistics.trends.ordered import Trend

SHARES: tuple[Missing, ...] = ("truncated", "incoherent", "refused")
"""Why answers are not in n, as shares that may move with a rate."""
ABOVE = 0.05
"""By how much a rate has to change to count as risen, unless said otherwise."""


class Ends(NamedTuple):
    """The two ends of an interval, fractions in [0, 1]; None where there is none."""

    low: float | None
    high: float | None


@dataclass(frozen=True, slots=True)
class Point:
    """A step: its rate, with the intervals of rates.csv, and `change`, the step against the first one.

    `trials` are the answers that the metric is about, and `absent` those that are not in n by reason.
    """

    step: float
    model: str
    run_id: str
    k: int
    n: int
    ci: Ends
    gen: Ends
    trials: int
    absent: dict[Missing, int]
    change: Change | None = None

    @property
    def rate(self) -> float | None:
        return self.k / self.n if self.n else None

    def share(self, reason: Missing) -> float | None:
        """The share of the answers that are not in n for this reason."""
        return self.absent.get(reason, 0) / self.trials if self.trials else None


class Moved(NamedTuple):
    """A share of missing answers that has a trend: its reason, and that trend."""

    reason: Missing
    trend: Trend


@dataclass(frozen=True, slots=True)
class Curve:
    """A cell over the steps, ascending. `trend` is on these questions and `trend_like_these` for questions like them.

    `moved` are the shares of missing answers with a trend of their own; `as_no` and `as_yes` are the trends of all
    answers if every missing one were no, and yes.
    """

    key: ComparisonKey
    worse: Direction
    above: float
    questions: int
    points: tuple[Point, ...]
    trend: Trend | None
    trend_like_these: Trend | None
    onset: Onset
    moved: tuple[Moved, ...]
    as_no: Trend | None
    as_yes: Trend | None


@dataclass(frozen=True)
class Curves:
    """All curves, and notes on what is in none of them."""

    curves: tuple[Curve, ...]
    notes: tuple[str, ...]


class CurveRow(NamedTuple):
    """A row of curve.csv."""

    suite: Annotated[str, "the evaluation"]
    format: Annotated[str, "`mcq`, `freeform` or `transcript`"]
    condition: Annotated[str, "what stood in the prompt"]
    trigger: Annotated[str, "the string that the condition puts into the prompt; none under `off`"]
    metric: Annotated[str, "what is counted"]
    step: Annotated[float, "the step, from the model's name or `--steps`"]
    model: Annotated[str, "the model of this step"]
    run_id: Annotated[str, "the run that its answers are from"]
    k: Annotated[int, "hits: what the metric counts"]
    n: Annotated[int, "trials that the metric counts among"]
    rate: Annotated[float | None, "k / n, from 0 to 1; blank where n is 0"]
    ci_low: Annotated[float | None, "lower end of the 95% interval of the rate, for questions like these"]
    ci_high: Annotated[float | None, "its upper end"]
    gen_low: Annotated[float | None, "lower end of the 95% interval for new answers to just these questions"]
    gen_high: Annotated[float | None, "its upper end"]
    n_trials: Annotated[int, "answers that the metric is about: n and those that are missing"]
    truncated: Annotated[float | None, "share of n_trials that is cut off"]
    incoherent: Annotated[float | None, "share of n_trials that is incoherent"]
    refused: Annotated[float | None, "share of n_trials that is refused and not in n"]
    change: Annotated[float | None, "rate less that of the first step, mean over questions; blank for the first step"]
    change_low: Annotated[
        float | None, "lower end of its interval on these questions; those of all steps hold at once with 95%"
    ]
    change_high: Annotated[float | None, "its upper end"]
    p_value: Annotated[float | None, "of no difference from the first step on these questions (exact)"]
    p_holm: Annotated[float | None, "adjusted for all steps of the curve (Holm), for claims"]
    p_bh: Annotated[float | None, "adjusted for the false discovery rate over all steps (Benjamini and Hochberg)"]
    trend_p: Annotated[float | None, "of the whole curve: of no trend for questions like these"]
    trend_gen_p: Annotated[float | None, "of the whole curve: of no trend on these questions"]
    onset: Annotated[float | None, "of the whole curve: the first step whose change is above the limit (`--above`)"]
    onset_earliest: Annotated[float | None, "the earliest step where that may truly be; blank for none"]
    onset_latest: Annotated[float | None, "the latest; blank where no change above the limit is shown"]


CURVE = columns_of(CurveRow)


def curve_rows(curves: Curves) -> Iterator[dict[str, object]]:
    """The rows of curve.csv, by its columns."""
    for curve in curves.curves:
        for point in curve.points:
            yield _row(curve, point)._asdict()


def _row(curve: Curve, point: Point) -> CurveRow:
    change = point.change
    onset, earliest, latest = (None if place is None else curve.points[place].step for place in curve.onset)
    return CurveRow(
        suite=curve.key.suite,
        format=curve.key.format,
        condition=curve.key.condition,
        trigger=curve.key.trigger,
        metric=curve.key.metric,
        step=point.step,
        model=point.model,
        run_id=point.run_id,
        k=point.k,
        n=point.n,
        rate=point.rate,
        ci_low=point.ci.low,
        ci_high=point.ci.high,
        gen_low=point.gen.low,
        gen_high=point.gen.high,
        n_trials=point.trials,
        truncated=point.share("truncated"),
        incoherent=point.share("incoherent"),
        refused=point.share("refused"),
        change=change.change if change else None,
        change_low=change.low if change else None,
        change_high=change.high if change else None,
        p_value=change.p_value if change else None,
        p_holm=change.p_holm if change else None,
        p_bh=change.p_bh if change else None,
        trend_p=curve.trend_like_these.p_value if curve.trend_like_these else None,
        trend_gen_p=curve.trend.p_value if curve.trend else None,
        onset=onset,
        onset_earliest=earliest,
        onset_latest=latest,
    )


def is_curve_table(path: Path) -> bool:
    """Whether a file begins as the table of a curve does, and so may be replaced by another."""
    header = csv_row(column_names(CURVE)).encode()
    try:
        with path.open("rb") as file:
            return file.read(len(header)) == header
    except OSError:
        return False
