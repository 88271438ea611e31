"""The measured figure of each cell of a table, from the rows of runs."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

from evals.reporting.paper_tables.prompts import PAPER_PROMPTS, listed, paper_rows
from evals.reporting.paper_tables.rows import PromptRow
from evals.reporting.paper_tables.table import Absent, TablePlace
from evals.statistics.intervals import Counts, paper_plus_minus, stratified_wilson_interval
from evals.statistics.these_questions import effect_on_these_questions, fixed_questions_interval


@dataclass(frozen=True, slots=True)
class MeasuredFigure:
    """A rate in percent, or a difference of two rates in percentage points, with its 95% interval and counts.

    `paper_pm` is the half width by the paper's formula, None for a difference and below two answers. `suites` are those
    that were asked.
    """

    k: int
    n: int
    value: float
    paper_pm: float | None
    low: float
    high: float
    base_k: int | None = None
    base_n: int | None = None
    suites: tuple[str, ...] = ()


def rows_at(place: TablePlace, rows: Sequence[PromptRow]) -> list[PromptRow] | Absent:
    """The rows of a cell, at least one, or why there are none."""
    found: list[PromptRow] = []
    asked = {row.suite for row in rows}
    for suite in place.suites if place.preferred not in asked else (place.preferred,):
        here = [row for row in rows if row.suite == suite]
        steps: tuple[tuple[Callable[[PromptRow], bool], str], ...] = (
            (lambda row: row.format == place.format, f"{suite} was not asked as {place.format}"),
            (lambda row: row.condition == place.condition, f"{suite} was not asked under condition {place.condition}"),
            (
                lambda row: place.trigger is None or row.trigger == place.trigger,
                f"{suite} was not asked with the trigger {place.trigger}",
            ),
        )
        if not here:
            return Absent(f"{suite} was not asked")
        for keeps, reason in steps:
            here = [row for row in here if keeps(row)]
            if not here:
                return Absent(reason)
        asked_prompts = paper_rows(place, suite, here)
        if isinstance(asked_prompts, Absent):
            return asked_prompts
        metric = place.metric
        if place.also and not any(row.metric == metric for row in asked_prompts):
            metric = place.also
        here = [row for row in asked_prompts if row.metric == metric]
        if not here:
            return Absent(f"{place.metric} was not measured on {suite}")
        if len({row.trigger for row in here}) > 1:
            return Absent(f"{suite} was asked with several triggers")
        complete = paper_rows(place, suite, here)
        if isinstance(complete, Absent):
            return Absent(f"{metric}: {complete.reason}")
        found += complete
    empty = [row.prompt_id for row in found if not row.n]
    if _is_pool(place) and 0 < len(empty) < len(found):
        return Absent(f"no answer is in the n of {listed(empty)}")
    return [row._replace(k=row.n - row.k) for row in found] if place.complement else found


def _is_pool(place: TablePlace) -> bool:
    """Whether the published figure is one of several prompts that are known by name, each with its answers."""
    return place.prompt is None and sum(len(PAPER_PROMPTS.get(suite, ())) for suite in place.suites) > 1


def _suites(rows: Sequence[PromptRow]) -> tuple[str, ...]:
    return tuple(dict.fromkeys(row.suite for row in rows))


def measure_rows(rows: Sequence[PromptRow], *, mean: bool = False) -> MeasuredFigure | Absent:
    """The rate over these prompts, with its interval for just these: the published one is of the same questions.

    With `mean` the mean of the prompts' rates, which is the same where each has equally many answers.
    """
    k, n = sum(row.k for row in rows), sum(row.n for row in rows)
    hits, counted = _counts(rows)
    if not n:
        return Absent("no answer is in its n")
    if mean and len(set(counted)) > 1:
        weights = np.full(len(rows), 1 / len(rows))
        interval, rate, error = fixed_questions_interval(hits, counted, weights), (hits / counted).mean(), None
    else:
        interval, rate, error = stratified_wilson_interval(hits, counted), k / n, paper_plus_minus(k, n)
    assert interval is not None  # noqa: S101  there are answers
    pm = None if error is None else 100 * error
    return MeasuredFigure(k, n, 100 * rate, pm, 100 * interval.low, 100 * interval.high, suites=_suites(rows))


def measure_increase(rows: Sequence[PromptRow], base: Sequence[PromptRow]) -> MeasuredFigure | Absent:
    """The mean difference from the base's rate, over prompts answered by both, with its interval for just these."""
    by_prompt = {(row.suite, row.prompt_id): row for row in base}
    both = [(row, other) for row in rows if (other := by_prompt.get((row.suite, row.prompt_id))) is not None]
    ours, theirs = [row for row, _ in both], [other for _, other in both]
    effect = effect_on_these_questions(*_counts(ours), *_counts(theirs))
    if effect is None:
        return Absent("no prompt was answered by the base model too")
    used = [(row, other) for row, other in both if row.n and other.n]
    return MeasuredFigure(
        k=sum(row.k for row, _ in used),
        n=sum(row.n for row, _ in used),
        value=100 * effect.effect,
        paper_pm=None,
        low=100 * effect.interval.low,
        high=100 * effect.interval.high,
        base_k=sum(other.k for _, other in used),
        base_n=sum(other.n for _, other in used),
        suites=_suites(ours),
    )


def _counts(rows: Sequence[PromptRow]) -> tuple[Counts, Counts]:
    return np.array([row.k for row in rows], float), np.array([row.n for row in rows], float)
