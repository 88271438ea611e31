"""Sample sizes for decisions on just the questions asked: is a change `within` a limit, is a rate below one?

The questions are fixed, so only the draw of answers is random (`evals.statistics.these_questions`): more samples per
question serve as well as more questions.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.intervals import CONFIDENCE, drawn_out_interval
from evals.statistics.sample_size import SAFE, Components, Parts, fewest
from evals.statistics.these_questions import MANY_ANSWERS, widening, wilson_ends

_QUANTILES = 50
_MANY_DRAWS = 5_000
"""Draws per question above which Wilson's interval is as wide as the normal one."""
_MANY_ANSWERS = 10_000_000
"""Answers above which the binomial distribution is approximated by the normal."""

# The library has no types.
_scipy: Any = special


def fixed_questions_rate(hits: float, counted: float, found: Components, *, safe: bool) -> tuple[float, Parts]:
    """The rate of a pilot on just its questions, and the variance of an answer to them.

    Of a pilot without hits, or with hits only, half a hit or half a miss is added. `safe`: the upper end of the rate's
    90% interval (one-sided 95%), with no variance between questions, which needs most answers.
    """
    if safe:
        rate = drawn_out_interval(hits / counted, counted, 2 * SAFE - 1).high
    elif found.no_spread:
        rate = (hits + 0.5) / (counted + 1)
    else:
        return found.mean, found.parts
    return rate, Parts(0.0, rate * (1 - rate))


def within_limit(rate: float, parts: Parts, questions: int, draws: float, power: float) -> float:
    """The limit that an unchanged model is shown to be `within` with this power, by runs of `questions` questions with
    `draws` counted draws each: the upper end of the change is at most so much."""
    deviation = math.sqrt(2 * parts.within / (questions * draws))
    return _reach_upwards(rate, parts, questions, draws) + float(_scipy.ndtri(power)) * deviation


def questions_for_within(rate: float, parts: Parts, draws: float, limit: float, power: float) -> int:
    """The fewest questions with `draws` counted draws each that show an unchanged model to be `within` the limit."""
    return fewest(lambda number: within_limit(rate, parts, number, draws, power) <= limit)


def _reach_upwards(rate: float, parts: Parts, questions: int, draws: float) -> float:
    """The expected distance from a change of 0 to the upper end of its interval."""
    if draws < MANY_ANSWERS:
        answers = questions * draws
        # What `fixed_questions_interval` takes for the variance within a question, half a hit and half a miss added.
        within = ((draws - 1) * parts.within + 0.5 + 0.25 / draws) / (draws + 1)
        size = answers * max(1.0, rate * (1 - rate) / within)
        low, high, _ = drawn_out_interval(rate, size)
        factor = float(widening(np.array(rate), np.array(answers)))
        return math.sqrt(factor * ((high - rate) ** 2 + (rate - low) ** 2))
    if draws > _MANY_DRAWS:
        return float(_scipy.ndtri((1 + CONFIDENCE) / 2)) * math.sqrt(2 * parts.within / (questions * draws))
    number = round(draws)
    hits = np.arange(number + 1.0)
    found, low, high = wilson_ends(hits, np.full(number + 1, float(number)))
    squares = widening(found, np.full(number + 1, float(number))) * ((high - found) ** 2 + (found - low) ** 2)
    rates = _question_rates(rate, parts.share)[:, None]
    logs = _scipy.gammaln(number + 1) - _scipy.gammaln(hits + 1) - _scipy.gammaln(number - hits + 1)
    chances = np.exp(logs + _scipy.xlogy(hits, rates) + _scipy.xlog1py(number - hits, -rates))
    return math.sqrt(float((chances * squares).sum(axis=1).mean()) / questions)


def _question_rates(rate: float, share: float) -> Any:
    """Rates of questions of a beta distribution with `share` of the variance between them, at even quantiles."""
    if not 0 < rate < 1 or share <= 1e-3 or share >= 1:
        return np.array([rate])
    size = 1 / share - 1
    return _scipy.betaincinv(rate * size, (1 - rate) * size, (np.arange(_QUANTILES) + 0.5) / _QUANTILES)


def below_limit(rate: float, answers: int, power: float) -> float:
    """The limit that a rate is shown to be below with this power: the upper end is at most so much.

    Exact if all questions have the same rate. If they differ, hits vary less and the interval is no wider.
    """
    return drawn_out_interval(_likely_hits(rate, answers, power) / answers, answers).high


def answers_for_below(rate: float, limit: float, power: float) -> int:
    """The fewest answers, from which on all numbers show the rate to be below the limit. Requires rate < limit."""
    enough = fewest(lambda number: below_limit(rate, number, power) <= limit)
    # With one answer more the likely hits may be one more, and the limit missed again.
    while True:
        lacking = [number for number in _hit_steps(rate, enough, power) if below_limit(rate, number, power) > limit]
        if not lacking:
            return enough
        enough = lacking[-1] + fewest(lambda more, start=lacking[-1]: below_limit(rate, start + more, power) <= limit)


def _hit_steps(rate: float, answers: int, power: float) -> list[int]:
    """The next numbers of answers at which one more hit is likely, where the limit is hardest to keep."""
    steps: list[int] = []
    start = answers
    for _ in range(3):
        hits = _likely_hits(rate, start, power)
        if rate <= 0:
            break
        start += fewest(lambda more, begin=start, few=hits: _likely_hits(rate, begin + more, power) > few)
        steps.append(start)
    return steps


def _likely_hits(rate: float, answers: int, power: float) -> int:
    """The fewest hits that are not exceeded with this probability."""
    if rate <= 0:
        return 0
    if answers > _MANY_ANSWERS:
        expected = answers * rate
        return min(answers, math.ceil(expected + float(_scipy.ndtri(power)) * math.sqrt(expected * (1 - rate))))
    low, high = -1, answers
    while high - low > 1:
        middle = (low + high) // 2
        if float(_scipy.bdtr(middle, answers, rate)) >= power:
            high = middle
        else:
            low = middle
    return high
