"""The statistics of two judges on the same answers: numbers in and out.

The difference of two rates over the same answers is that of two shares: of the answers that only the second judge calls
hits, and of those that only the first does. Each has an interval that allows for answers to one question being alike,
and MOVER combines the two (Zou and Donner 2008, with the correlation of the cells of a multinomial, as Newcombe 1998
for paired proportions). Each end is at least as far out as that of the t interval over the questions' differences, as
the two shares may be correlated in some other way between questions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.intervals import CONFIDENCE, Interval, drawn_out_interval, stratified_wilson_interval
from evals.statistics.judge_error import Indices, Numbers, correlation_within_prompts, effective_size

Flags = npt.NDArray[np.bool_]

# The library has no types.
_t_quantile: Any = special.stdtrit


class Difference(NamedTuple):
    """The second judge's rate less the first's, as a fraction in [-1, 1].

    `clustered` is its 95% interval for questions of this kind, `these` that for new answers to these questions.
    """

    value: float
    clustered: Interval
    these: Interval
    questions: int


def paired_difference(
    first: Numbers, second: Numbers, questions: Indices, confidence: float = CONFIDENCE
) -> Difference | None:
    """The difference of two judges' rates on the same answers, None without answers.

    `first` and `second` are 1 for each answer that the judge calls a hit, else 0; `questions` numbers the questions,
    from 0. A single question does not show how questions differ, so its answers count as independent.
    """
    if not len(first):
        return None
    more = ((second > first) * 1.0).astype(np.float64)
    less = ((second < first) * 1.0).astype(np.float64)
    counted = np.bincount(questions).astype(np.float64)
    alike = max(correlation_within_prompts(values, questions) for values in (first, second))

    def clustered(values: Numbers) -> Interval:
        size = effective_size(values, np.ones_like(values), questions, correlation=alike, confidence=confidence)
        return drawn_out_interval(float(values.mean()), size, confidence)

    def of_these(values: Numbers) -> Interval:
        found = stratified_wilson_interval(
            np.bincount(questions, weights=values).astype(np.float64), counted, confidence
        )
        assert found is not None  # noqa: S101  there are answers
        return found

    shares = (float(more.mean()), float(less.mean()))
    value = shares[0] - shares[1]
    low, high = _mover(shares, clustered(more), clustered(less))
    reach = _reach_over_questions(second - first, questions, confidence)
    between = Interval(max(-1.0, min(low, value - reach)), min(1.0, max(high, value + reach)), "mover_clustered")
    these = Interval(*_mover(shares, of_these(more), of_these(less)), "mover_strata")
    return Difference(value, between, these, int(np.count_nonzero(counted)))


def _mover(shares: tuple[float, float], more: Interval, less: Interval) -> tuple[float, float]:
    """The ends of the difference of two cells of a multinomial, from those of each."""
    up, down = shares
    odds = up * down / ((1 - up) * (1 - down)) if up < 1 and down < 1 else 0.0
    correlation = -math.sqrt(odds)

    def distance(one: float, other: float) -> float:
        return math.sqrt(max(0.0, one**2 + other**2 - 2 * correlation * one * other))

    low = up - down - distance(up - more.low, less.high - down)
    high = up - down + distance(more.high - up, down - less.low)
    return max(-1.0, low), min(1.0, high)


def _reach_over_questions(differences: Numbers, questions: Indices, confidence: float) -> float:
    """Half the width of the t interval of a mean over answers, whose clusters are questions; 0 with one of them.

    Where few questions carry the differences, the degrees of freedom follow from the fourth moment, as in
    `evals.statistics.intervals.cluster_wilson_interval`.
    """
    squares = np.bincount(questions, weights=differences - differences.mean()).astype(np.float64) ** 2
    number, total = int(np.count_nonzero(np.bincount(questions))), float(squares.sum())
    if number < 2 or total <= 1e-12:
        return 0.0
    spread = float((squares**2).sum()) / total**2 - 1 / number
    freedom = min(number - 1, max(1.0, 2 / spread)) if spread > 0 else number - 1
    variance = number / (number - 1) * total / len(differences) ** 2
    return float(_t_quantile(freedom, (1 + confidence) / 2)) * math.sqrt(variance)


def reported_difference(
    first: tuple[Numbers, Numbers],
    second: tuple[Numbers, Numbers],
    questions: Indices,
    confidence: float = CONFIDENCE,
) -> Difference | None:
    """The difference of the rates that two judges report of the same answers, each with the denominator of its own.

    Each judge is (hits, counted), 1 or 0 for each answer; one may leave out as a refusal what the other counts. None if
    a judge counts nothing. Both intervals are t ones of the linearised difference of two ratios, over questions and
    within them (Cochran 1977, ch. 6); where the denominators are the same answers, `paired_difference` is the better.
    """
    totals = [float(counted.sum()) for _, counted in (first, second)]
    if not all(totals):
        return None
    rates = [float(hits.sum()) / total for (hits, _), total in zip((first, second), totals, strict=True)]
    influence = [
        (hits - rate * counted) / total
        for (hits, counted), rate, total in zip((first, second), rates, totals, strict=True)
    ]
    change = (influence[1] - influence[0]) * len(questions)
    value = rates[1] - rates[0]
    sizes = np.bincount(questions).astype(np.float64)
    means = np.bincount(questions, weights=change) / np.maximum(sizes, 1)
    centred = change - np.where(sizes > 1, means, 0.0)[questions]  # one answer does not show how they vary
    several = np.where(sizes > 1, sizes / np.maximum(sizes - 1, 1), 1.0)
    within = math.sqrt(float((several[questions] * centred**2).sum())) / len(questions)
    freedom = max(1, len(questions) - int(np.count_nonzero(sizes)))

    def around(reach: float) -> Interval:
        return Interval(max(-1.0, value - reach), min(1.0, value + reach), "linearised_t")

    return Difference(
        value,
        around(_reach_over_questions(change, questions, confidence)),
        around(float(_t_quantile(freedom, (1 + confidence) / 2)) * within),
        int(np.count_nonzero(sizes)),
    )


class RepeatSpread(NamedTuple):
    """What a judge adds by itself where it judges the same answers again.

    `share` is the variance of the scores of one answer as a share of the variance of all, in [0, 1]: 1 less the
    intra-class correlation. None where no answer has two scores, or all scores are the same.
    """

    answers: int
    scores: int
    within: float | None
    total: float | None
    share: float | None


def repeat_spread(scores: Sequence[Sequence[float]]) -> RepeatSpread:
    """The spread within and between answers, from the scores that each answer got.

    Components of variance of a one-way analysis with unequal numbers (Searle, Casella and McCulloch 1992, ch. 3; the
    intra-class correlation ICC(1) of Shrout and Fleiss 1979). Only answers with two scores or more are used. A negative
    estimate of the component between answers counts as 0.
    """
    used = [np.asarray(row, dtype=np.float64) for row in scores if len(row) > 1]
    number, total = len(used), sum(map(len, used))
    if number < 2:
        return RepeatSpread(number, total, None, None, None)
    sizes = np.array([len(row) for row in used], dtype=np.float64)
    means = np.array([float(row.mean()) for row in used])
    squares = sum(float(((row - row.mean()) ** 2).sum()) for row in used)
    within = squares / (total - number)
    grand = float((sizes * means).sum()) / total
    between_mean = float((sizes * (means - grand) ** 2).sum()) / (number - 1)
    per_answer = (total - float((sizes**2).sum()) / total) / (number - 1)
    whole = within + max(0.0, (between_mean - within) / per_answer)
    return RepeatSpread(number, total, within, whole, within / whole if whole > 0 else None)
