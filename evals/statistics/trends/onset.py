"""Since which step is a rate higher than at the first one? Each step against the first, with all steps in view.

The changes have simultaneous intervals (Bonferroni), which hold all true changes at once with 95% confidence. So do the
two ends of the onset, the first step whose change is above a limit: it cannot be before the first step whose interval
reaches above the limit, nor after the first whose interval lies above it.

Which steps differ from the first is a question about many tests that share the first step's answers. Their e-values
need no independence for the procedure of Wang and Ramdas 2022 (e-BH) to keep the false discovery rate.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np

from evals.statistics.e_process import Stream, bets_on
from evals.statistics.intervals import CONFIDENCE
from evals.statistics.significance import holm
from evals.statistics.these_questions import effect_on_these_questions
from evals.statistics.trends.ordered import Ordered


class Change(NamedTuple):
    """A step against the first on these questions: the mean over questions of the difference in rate, in [-1, 1], with
    its simultaneous interval; p-values of no change, exact and Holm's; the e-value of it, and the false discovery rate
    at which e-BH still finds it."""

    change: float
    low: float
    high: float
    p_value: float
    p_holm: float
    log_e: float
    e_bh: float


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
    adjusted = dict(zip(found, holm([effect.p_value for effect in found.values()]), strict=True))
    log_e = {group: log_e_value(table, group) for group in found}
    rates = dict(zip(found, e_bh(list(log_e.values())), strict=True))
    return [
        Change(
            found[group].effect,
            found[group].interval.low,
            found[group].interval.high,
            found[group].p_value,
            adjusted[group],
            log_e[group],
            rates[group],
        )
        if group in found
        else None
        for group in others
    ]


def log_e_value(table: Ordered, group: int) -> float:
    """The logarithm of the e-value of a change between the first group and another: the capital of bets on a common
    change of the log-odds of every wording, of either sign, given each wording's hits in both. Its mean is exactly 1
    where nothing has changed."""
    both = [0, group]
    answered = (table.counted[:, both] > 0).all(axis=1)
    stream = Stream(table.hits[answered][:, both], table.counted[answered][:, both])
    bets = bets_on(stream).nights[0]
    return float(np.logaddexp.reduce(bets, axis=None)) - math.log(bets.size)


def e_bh(log_e: Sequence[float]) -> list[float]:
    """For each e-value the smallest false discovery rate at which e-BH (Wang and Ramdas 2022) finds it, in the given
    order; valid however the e-values depend on each other."""
    order = sorted(range(len(log_e)), key=lambda place: -log_e[place])
    number, least = len(log_e), 1.0
    found = [1.0] * number
    for rank in range(number, 0, -1):
        place = order[rank - 1]
        least = min(least, math.exp(min(0.0, math.log(number / rank) - log_e[place])))
        found[place] = least
    return found


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
