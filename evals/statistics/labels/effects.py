"""The effect of a condition without the judge's errors: the difference of two corrected rates on the same questions.

A judge that errs more under the trigger than without it makes an effect, or hides one. So both sides are corrected by
labels of their own (PPI++, `evals.statistics.judge_error`), and the difference is that of the two corrected rates.
Answers to one question are correlated between the sides, too: how far the two errors go together is the correlation of
the questions' influences on the two rates. The interval is recovered from those of the two rates and that correlation
(MOVER, Zou and Donner 2008), so that a side without a labelled missed hit does not count as one without any.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.intervals import CONFIDENCE, Interval, p_value_of
from evals.statistics.judge_error import JudgedSample, Numbers, PowerTuned, power_tuned, prediction_powered

# The library has no types.
_t_quantile: Any = special.stdtrit


class CorrectedEffect(NamedTuple):
    """A difference of two corrected rates in [-1, 1], its interval and two-sided p-value.

    `error` is its standard error over questions, `questions` how many have answers on either side.
    """

    effect: float
    low: float
    high: float
    p_value: float
    error: float
    questions: int


class _Side(NamedTuple):
    """A corrected rate with its interval."""

    rate: float
    low: float
    high: float


def corrected_effect(
    treated: JudgedSample, base: JudgedSample, shares: tuple[float, float] = (1.0, 1.0), confidence: float = CONFIDENCE
) -> CorrectedEffect | None:
    """The corrected rate of `treated` less that of `base`, whose `prompts` number the same questions alike.

    `shares` are what the two rates are multiplied by, where part of a denominator is known to have no hit. The interval
    also covers the t interval over questions; the p-value is that of the interval. None if either rate cannot be
    corrected.
    """
    tuned = [power_tuned(judged) if len(judged.labelled) else None for judged in (treated, base)]
    sides = _sides(treated, base, shares, confidence)
    if tuned[0] is None or tuned[1] is None or sides is None:
        return None
    errors = _errors(treated, base, (tuned[0], tuned[1]))
    first, second = errors.first * shares[0], errors.second * shares[1]
    error = math.sqrt(max(0.0, first**2 + second**2 - 2 * errors.correlation * first * second))
    effect = sides[0].rate - sides[1].rate

    def interval_at(confidence: float) -> Interval:
        sides = _sides(treated, base, shares, confidence)
        assert sides is not None  # noqa: S101  whether there is a rate does not depend on the confidence
        low, high, method = _difference(*sides, errors.correlation)
        if errors.questions < 2:
            return Interval(low, high, method)
        reach = float(_t_quantile(errors.questions - 1, (1 + confidence) / 2)) * error
        return Interval(max(-1.0, min(low, effect - reach)), min(1.0, max(high, effect + reach)), method)

    low, high, _ = interval_at(confidence)
    return CorrectedEffect(effect, low, high, p_value_of(interval_at), error, errors.questions)


def _sides(
    treated: JudgedSample, base: JudgedSample, shares: tuple[float, float], confidence: float
) -> tuple[_Side, _Side] | None:
    found = [prediction_powered(judged, confidence) for judged in (treated, base)]
    if found[0] is None or found[1] is None:
        return None
    first, second = (
        _Side(*(min(1.0, end * share) for end in (rate.rate, rate.low, rate.high)))
        for rate, share in zip(found, shares, strict=True)
        if rate is not None
    )
    return first, second


class _Errors(NamedTuple):
    """The standard errors of two rates over questions and their correlation, and the number of questions."""

    first: float
    second: float
    correlation: float
    questions: int


def _errors(treated: JudgedSample, base: JudgedSample, tuned: tuple[PowerTuned, PowerTuned]) -> _Errors:
    sides = (treated, base)
    length = 1 + max(int(judged.prompts.max()) for judged in sides)
    asked = np.bincount(np.concatenate([judged.prompts for judged in sides]), minlength=length)
    questions = int(np.count_nonzero(asked))
    error, base_error = (math.sqrt(found.variance) for found in tuned)
    if min(error, base_error) <= 0 or questions < 2:
        return _Errors(error, base_error, 0.0, questions)
    first, second = (_by_question(found.influence, judged, length) for found, judged in zip(tuned, sides, strict=True))
    correlation = questions / (questions - 1) * float((first * second).sum()) / (error * base_error)
    return _Errors(error, base_error, min(1.0, max(-1.0, correlation)), questions)


def _by_question(influence: Numbers, judged: JudgedSample, length: int) -> Numbers:
    return np.bincount(judged.prompts, weights=influence, minlength=length).astype(np.float64)


def _difference(treated: _Side, base: _Side, correlation: float) -> Interval:
    """The interval of the difference of two correlated estimates (Zou and Donner 2008)."""

    def reach(first: float, second: float) -> float:
        return math.sqrt(max(0.0, first**2 + second**2 - 2 * correlation * first * second))

    effect = treated.rate - base.rate
    down = reach(treated.rate - treated.low, base.high - base.rate)
    up = reach(treated.high - treated.rate, base.rate - base.low)
    return Interval(max(-1.0, effect - down), min(1.0, effect + up), "ppi_mover")
