"""How a monitor's scores rank misaligned answers above the others: AUROC, and what one monitor gains over another.

AUROC is the chance that a misaligned answer has a higher score than another one, ties counted half: 1/2 for scores that
say nothing. It needs no cut-off. What each answer adds to a measure (its influence; for AUROC the placement values of
DeLong, DeLong and Clarke-Pearson 1988) gives the variance of the measure, summed by question (Obuchowski 1997) or
within questions, and how two monitors go together that read the same answers.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.intervals import CONFIDENCE, Interval, small_sample_factor
from evals.statistics.monitors.scorecard import Scorecard, scorecard

Floats = npt.NDArray[np.float64]
_Z = float(special.ndtri((1 + CONFIDENCE) / 2))
_LEAST_RATIO = 0.5
"""Of the variance to that of scores with smooth distributions: below it too few answers decide for it to be known."""


class Answers(NamedTuple):
    """Of each answer the number of its question, from 0, and whether it is one of those to be caught."""

    question: npt.NDArray[np.int64]
    misaligned: npt.NDArray[np.bool_]


class Measure(NamedTuple):
    """A measure of a monitor with its 95% intervals, for new answers to the same questions and for questions like
    these (None with one question), and the influence of each answer on it."""

    value: float
    same: Interval
    new: Interval | None
    influence: Floats


class Gain(NamedTuple):
    """A difference of two monitors on the same answers, and its 95% intervals likewise."""

    value: float
    same: Interval
    new: Interval | None


class Measures(NamedTuple):
    """Of a monitor: TPR, FPR, their g-mean squared, and AUROC. None where there is no answer of a kind."""

    tpr: Measure | None
    fpr: Measure | None
    g_mean2: Measure | None
    auroc: Measure | None


def measures(answers: Answers, scores: Floats, flagged_from: float) -> tuple[Scorecard, Measures]:
    """The scorecard and the measures of a monitor that gave these scores and flags those from `flagged_from` up."""
    question, misaligned = answers
    flagged = scores >= flagged_from
    size = int(question.max(initial=-1)) + 1

    def by_question(chosen: npt.NDArray[np.bool_]) -> Floats:
        return np.bincount(question[chosen], minlength=size).astype(np.float64)

    card = scorecard(
        by_question(misaligned & flagged), by_question(misaligned), by_question(~misaligned & flagged),
        by_question(~misaligned),
    )  # fmt: skip
    tpr = fpr = g_mean2 = None
    if card.caught is not None:
        influence = np.where(misaligned, flagged - card.caught.rate, 0.0) / card.caught.n
        tpr = Measure(card.caught.rate, card.caught.same, card.caught.new, influence)
    if card.alarms is not None:
        influence = np.where(misaligned, 0.0, flagged - card.alarms.rate) / card.alarms.n
        fpr = Measure(card.alarms.rate, card.alarms.same, card.alarms.new, influence)
    if tpr is not None and fpr is not None and card.product is not None and card.same is not None:
        influence = (1 - fpr.value) * tpr.influence - tpr.value * fpr.influence
        g_mean2 = Measure(card.product, card.same, card.new, influence)
    return card, Measures(tpr, fpr, g_mean2, auroc(answers, scores))


def auroc(answers: Answers, scores: Floats) -> Measure | None:
    """The AUROC of scores; None without answers of both kinds.

    The intervals are score intervals with the variance of Hanley and McNeil (1982), which depends on the AUROC and does
    not collapse at 0 and 1 (Newcombe 2006, method 5), times the ratio of the observed variance to it.
    """
    question, misaligned = answers
    caught, others = np.sort(scores[misaligned]), np.sort(scores[~misaligned])
    m, n = len(caught), len(others)
    if not m or not n:
        return None
    placement = np.where(misaligned, _share_below(others, scores), 1 - _share_below(caught, scores))
    value = float(placement[misaligned].mean())
    influence = (placement - value) / np.where(misaligned, m, n)
    expected = _hanley_mcneil(value, m, n)
    clusters = _by_question(answers, influence)
    inside = float(influence @ influence)
    ratio = max(inside / expected, _LEAST_RATIO) if expected > 0 else 1.0
    same = _score_interval(value, m, n, ratio)
    if len(clusters) < 2:
        return Measure(value, same, None, influence)
    between = float((clusters**2).sum()) * len(clusters) / (len(clusters) - 1)
    if expected > 0:
        seen = max(between / expected, ratio) / small_sample_factor(_freedom(clusters), CONFIDENCE)
        return Measure(value, same, _score_interval(value, m, n, seen), influence)
    # All are ranked alike, and how questions differ does not show: each counts as one answer of a kind.
    by_caught, by_others = (len(np.unique(question[kind])) for kind in (misaligned, ~misaligned))
    return Measure(value, same, _score_interval(value, by_caught, by_others, 1.0), influence)


def gain(answers: Answers, first: Measure, second: Measure) -> Gain:
    """first - second, for two monitors that have read all these answers.

    The intervals combine those of both (MOVER; Zou and Donner 2008), with the correlation of what the answers add to
    each: by question, and within questions.
    """
    by_first, by_second = (_by_question(answers, it.influence) for it in (first, second))
    products = [float((one * other).sum()) for one, other in _pairs(by_first, by_second)]
    correlation_new = _correlation(*products, number=len(by_first))
    within = [_covariance_within(answers, *pair) for pair in _pairs(first.influence, second.influence)]
    caught = int(answers.misaligned.sum())
    correlation_same = _correlation(*within, number=min(caught, len(answers.misaligned) - caught))
    new = None
    if first.new is not None and second.new is not None:
        new = _difference(first.value, first.new, second.value, second.new, correlation_new)
    same = _difference(first.value, first.same, second.value, second.same, correlation_same)
    return Gain(first.value - second.value, same, new)


def _difference(first: float, of_first: Interval, second: float, of_second: Interval, correlation: float) -> Interval:
    down = _reach(first - of_first.low, of_second.high - second, correlation)
    up = _reach(of_first.high - first, second - of_second.low, correlation)
    value = first - second
    return Interval(max(-1.0, value - down), min(1.0, value + up), "mover_paired")


def _reach(first: float, second: float, correlation: float) -> float:
    return math.sqrt(max(0.0, first**2 + second**2 - 2 * correlation * first * second))


def _pairs(first: Floats, second: Floats) -> tuple[tuple[Floats, Floats], ...]:
    return (first, second), (first, first), (second, second)


def _correlation(covariance: float, first: float, second: float, *, number: int) -> float:
    """0 where one of them does not vary, and so many observations that agree do not show that all would: two monitors
    that said the same of a few answers differ in others."""
    if first <= 0 or second <= 0:
        return 0.0
    return max(-1.0, min(covariance / math.sqrt(first * second), max(0.0, 1 - _Z**2 / max(number, 1))))


def _share_below(ordered: Floats, scores: Floats) -> Floats:
    """Of each score the share of `ordered` that is lower, ties counted half."""
    below, up_to = (np.searchsorted(ordered, scores, side=side) for side in ("left", "right"))
    return (below + up_to) / (2 * len(ordered))


def _by_question(answers: Answers, influence: Floats) -> Floats:
    """What each question adds to a measure. A question draws the measure to itself, the more so the larger its share
    of the answers of a kind, which its part of them makes up for (as leaving it out would)."""
    found = np.zeros(int(answers.question.max()) + 1)
    size = len(np.unique(answers.question))
    for kind in (answers.misaligned, ~answers.misaligned):
        number = np.bincount(answers.question[kind], minlength=len(found))
        sums = np.bincount(answers.question[kind], weights=influence[kind], minlength=len(found))
        found += sums / np.maximum(1 - number / max(number.sum(), 1), 1 / size)
    return found[np.bincount(answers.question) > 0]


def _covariance_within(answers: Answers, first: Floats, second: Floats) -> float:
    """Of two measures, over new answers to the same questions. The only answer to a question is held against those to
    all others, around which influences are centred."""
    stratum = answers.question
    number = np.bincount(stratum).astype(np.float64)
    sums = [np.bincount(stratum, weights=influence) for influence in (first, second)]
    products = np.bincount(stratum, weights=first * second)
    several = number > 1
    size = np.where(several, number, 2.0)
    centred = (products - sums[0] * sums[1] / size) * size / (size - 1)
    return float(np.where(several, centred, products).sum())


def _freedom(clusters: Floats) -> float:
    """The degrees of freedom of a sum of squares, from its fourth moment (Satterthwaite 1946)."""
    squares = clusters**2
    most = float(len(clusters) - 1)
    total = float(squares.sum())
    spread = float((squares**2).sum()) / total**2 - 1 / len(clusters) if total > 0 else 0.0
    return min(most, max(1.0, 2 / spread)) if spread > 0 else most


def _hanley_mcneil(value: float, m: float, n: float) -> float:
    """The variance of an AUROC over m and n answers, in the form of Newcombe (2006), symmetric in both."""
    half = (m + n) / 2
    shape = (1 - value) / (2 - value) + value / (1 + value)
    return value * (1 - value) * (1 + (half - 1) * shape) / (m * n)


def _score_interval(value: float, m: int, n: int, ratio: float) -> Interval:
    """The values from which the estimate is no further than is likely, if its variance is `ratio` times the usual."""

    def beyond(true: float) -> float:
        return (true - value) ** 2 - _Z**2 * ratio * _hanley_mcneil(true, m, n)

    return Interval(_edge(beyond, value, 0.0), _edge(beyond, value, 1.0), "auroc_score")


def _edge(beyond: Callable[[float], float], near: float, far: float) -> float:
    """The value up to which, from `near` towards `far`, `beyond` is not positive."""
    if near == far or beyond(far) <= 0:
        return far
    for _ in range(50):
        middle = (near + far) / 2
        near, far = (near, middle) if beyond(middle) > 0 else (middle, far)
    return near
