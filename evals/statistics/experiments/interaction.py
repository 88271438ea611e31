"""The difference of two effects: is a trigger's effect larger in a finetuned model than in its base?

Each question is compared with itself four times over: (on - off) in the model less (on - off) in the base. As for an
effect there are two estimands, new answers to these questions and questions like these.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.intervals import (
    CONFIDENCE,
    FEW_DIFFERENCES,
    Counts,
    Effect,
    Interval,
    p_value_of,
    paired_effect,
    with_unseen_questions,
)
from evals.statistics.these_questions import combined_interval, in_line_with_test, question_weights

# The library has no types.
_t_cdf: Any = special.stdtr
_t_quantile: Any = special.stdtrit

_NOTHING = 1e-12
_MOST = 2.0
"""A difference of two effects lies between minus this and this."""


class Arms(NamedTuple):
    """Hits and answers by wording: of one model under the condition, and under the baseline."""

    hits: Counts
    counted: Counts
    base_hits: Counts
    base_counted: Counts


class Interaction(NamedTuple):
    """The effect of a condition in a model (`effect`) and in its base (`base_effect`), and the difference of the two,
    in [-2, 2]: on these questions, and on questions like these (None with one question)."""

    effect: float
    base_effect: float
    same_questions: Effect
    new_questions: Effect | None


def interaction(
    model: Arms, base: Arms, questions: npt.NDArray[np.int64], confidence: float = CONFIDENCE
) -> Interaction | None:
    """The mean over questions of the model's effect less the base's; None without a wording that has answers in all
    four. `questions` numbers the question of each wording, and the wordings of a question weigh alike.

    On these questions the interval combines those of all four rates (MOVER; Zou and Donner 2008), and the p-value is
    that of the interval: the widest without 0 in it has confidence 1 - p. On questions like these both are the t ones
    over questions. With few questions that differ, they are the wider of these and those of the two effects.
    """
    used = (model.counted > 0) & (model.base_counted > 0) & (base.counted > 0) & (base.base_counted > 0)
    if not used.any():
        return None
    model, base = (Arms(*(values[used] for values in arms)) for arms in (model, base))
    questions = questions[used]
    number = len(np.unique(questions))

    def same_questions(confidence: float) -> Interval:
        return _mover(_combined(model, questions, confidence), _combined(base, questions, confidence))

    effect, base_effect = (_combined(arms, questions, confidence)[0] for arms in (model, base))
    change = effect - base_effect
    p_value = p_value_of(same_questions)
    here = Effect(change, _in_line(same_questions(confidence), change, p_value, confidence), p_value, number)
    elsewhere = _on_questions_like_these(model, base, questions, confidence) if number > 1 else None
    return Interaction(effect, base_effect, here, elsewhere)


def _on_questions_like_these(model: Arms, base: Arms, questions: npt.NDArray[np.int64], confidence: float) -> Effect:
    of_wordings = _effect_of(model) - _effect_of(base)
    weights = question_weights(questions)
    _, place = np.unique(questions, return_inverse=True)
    number = int(place.max()) + 1
    differences = np.bincount(place, weights=of_wordings * weights * number)
    change = float(differences.mean())
    spread = float(differences.std(ddof=1))
    differing = int(np.count_nonzero(np.abs(differences) > _NOTHING))

    def of_two_effects(confidence: float) -> Interval:
        own, other = (paired_effect(*arms, questions, confidence) for arms in (model, base))
        assert own is not None  # noqa: S101  every pair has answers
        assert other is not None  # noqa: S101
        return _mover((own.effect, own.interval), (other.effect, other.interval))

    if spread > _NOTHING:
        error = spread / math.sqrt(number)
        reach = float(_t_quantile(number - 1, (1 + confidence) / 2)) * error
        interval = Interval(max(-_MOST, change - reach), min(_MOST, change + reach), "paired_t")
        p_value = 2 * float(_t_cdf(number - 1, -abs(change) / error))
    else:
        interval, p_value = Interval(change, change, "paired_t"), 0.0
    if spread <= _NOTHING or differing < min(FEW_DIFFERENCES, number / 2):
        wider = of_two_effects(confidence)
        interval = Interval(min(interval.low, wider.low), max(interval.high, wider.high), wider.method)
        p_value = max(p_value, p_value_of(of_two_effects))
    low, high, method = with_unseen_questions(
        Interval(interval.low / 2, interval.high / 2, interval.method), differences / 2, confidence
    )
    drawn_out = Interval(2 * low, 2 * high, method)
    return Effect(change, _in_line(drawn_out, change, p_value, confidence), p_value, number)


def _effect_of(arms: Arms) -> Counts:
    return arms.hits / arms.counted - arms.base_hits / arms.base_counted


def _combined(arms: Arms, questions: npt.NDArray[np.int64], confidence: float) -> tuple[float, Interval]:
    return combined_interval(*arms, questions, confidence)


def _mover(model: tuple[float, Interval], base: tuple[float, Interval]) -> Interval:
    """The interval of a difference of two effects, from the distances of each to its own ends."""
    (effect, own), (base_effect, other) = model, base
    change = effect - base_effect
    down = math.hypot(effect - own.low, other.high - base_effect)
    up = math.hypot(own.high - effect, base_effect - other.low)
    return Interval(max(-_MOST, change - down), min(_MOST, change + up), f"{own.method}_of_two")


def _in_line(interval: Interval, change: float, p_value: float, confidence: float) -> Interval:
    """The interval with 0 in it or not as the p-value has it; the search for that is a little rough."""
    return in_line_with_test(interval, change, is_significant=p_value < 1 - confidence - _NOTHING)
