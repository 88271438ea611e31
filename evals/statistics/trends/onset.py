"""Since which step is a rate higher than at the first one? Each step against the first, with all steps in view.

The changes have simultaneous intervals (Bonferroni), which hold all true changes at once with 95% confidence. So do the
two ends of the onset, the first step whose change is above a limit: it cannot be before the first step whose interval
reaches above the limit, nor after the first whose interval lies above it.

Which steps differ from the first is a question about many tests that share the first step's answers. That makes them
positively dependent, and Benjamini and Hochberg's adjustment keeps the false discovery rate.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from evals.statistics.intervals import CONFIDENCE
from evals.statistics.significance import benjamini_hochberg, holm
from evals.statistics.these_questions import effect_on_these_questions
from evals.statistics.trends.ordered import Ordered


class Change(NamedTuple):
    """A step against the first on these questions: the mean over questions of the difference in rate, in [-1, 1], with
    its simultaneous interval; p-values of no change: exact, Holm's, and Benjamini and Hochberg's."""

    change: float
    low: float
    high: float
    p_value: float
    p_holm: float
    p_bh: float


class Onset(NamedTuple):
    """Steps by index: where the estimated change is first above the limit, and the earliest and latest step where that
    may truly be. None is "at no step"."""

    estimate: int | None
    earliest: int | None
    latest: int | None


def changes_from_first(table: Ordered, confidence: float = CONFIDENCE) -> list[Change | None]:
    """The change of every group after the first; None for one without a wording answered in both."""
    others = range(1, table.counted.shape[1])
    tested = [group for group in others if ((table.counted[:, 0] > 0) & (table.counted[:, group] > 0)).any()]
    effects = {
        group: effect_on_these_questions(
            table.hits[:, group].astype(float),
            table.counted[:, group].astype(float),
            table.hits[:, 0].astype(float),
            table.counted[:, 0].astype(float),
            table.questions,
            1 - (1 - confidence) / len(tested),
        )
        for group in tested
    }
    found = {group: effect for group, effect in effects.items() if effect is not None}
    p_values = [effect.p_value for effect in found.values()]
    adjusted = dict(zip(found, zip(holm(p_values), benjamini_hochberg(p_values), strict=True), strict=True))
    return [
        Change(
            found[group].effect,
            found[group].interval.low,
            found[group].interval.high,
            found[group].p_value,
            *adjusted[group],
        )
        if group in found
        else None
        for group in others
    ]


def onset(changes: Sequence[Change | None], above: float) -> Onset:
    """The first group whose change is more than `above`; `changes` are those of `changes_from_first`."""

    def first(values: Sequence[float | None]) -> int | None:
        return next((group for group, value in enumerate(values, start=1) if value is not None and value > above), None)

    # A step that was not answered may be the onset as well as any.
    return Onset(
        first([None if change is None else change.change for change in changes]),
        first([1.0 if change is None else change.high for change in changes]),
        first([None if change is None else change.low for change in changes]),
    )
