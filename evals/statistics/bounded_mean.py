"""An upper bound for a mean of rates of questions, whatever the distribution of the rates.

Each question has a measured rate in [0, 1]. The bound is the quantile of the rates' weighted mean under random
(Dirichlet) weights, with an imagined question added at the worst rate, 1 (Gaffke 2005; Learned-Miller and Thomas 2019,
arXiv 1905.06208; without that question it would be the Bayesian bootstrap of Rubin 1981). Three properties make it fit
for rates of which a few questions carry most:

- It needs no estimate of how questions differ, and so has no cliff where they happen to agree.
- It rises with every rate, so that another hit never lowers it.
- Of rates that are all 0 or 1 it is the exact binomial bound (Clopper and Pearson 1934).

The weights are those of independent gamma variables, so the quantile is that of a sum of such variables. Its tail is
an integral along a line through the saddle point, where the trapezoidal rule is exact to many digits.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

Counts = npt.NDArray[np.float64]

_PLACES = np.concatenate([np.geomspace(1e-3, 0.5, 14), 1 - np.geomspace(0.4, 1e-3, 10)])
"""Places between 0 and the pole at which the line of integration may cross the axis, as fractions."""
_ENDS = np.linspace(2.4, 14.4, 25)
_DIGITS = math.log(1e11)
_NODES = 48
_TOLERANCE = 1e-9
_STEPS = 60


class Questions(NamedTuple):
    """Questions with equal counts together: their hits, their answers, and how many questions there are of each."""

    hits: Counts
    counted: Counts
    number: Counts

    @property
    def size(self) -> float:
        """The answers of a typical answer's question: the mean, if all questions have equally many."""
        return float((self.number * self.counted**2).sum() / (self.number * self.counted).sum())


def group_questions(hits: Counts, counted: Counts) -> Questions:
    """The questions, those with equal counts together; each has answers."""
    pairs, number = np.unique(np.stack([counted, hits]), axis=1, return_counts=True)
    return Questions(pairs[1], pairs[0], number.astype(np.float64))


def upper_bound(questions: Questions, tail: float, hit: float = 1.0, miss: float = 0.0, least: float = 0.0) -> float:
    """The quantile 1 - `tail` of the mean rate, or `least` if that is larger; in [0, 1].

    `hit` and `miss` are the weights of an imagined question that always hits and of one that never does; `hit` is above
    0. With 1 and 0 the bound is Gaffke's; with 1/2 and 1/2, and rates of 0 and 1, it is that of Jeffreys's prior.
    """
    if least >= 1 - _TOLERANCE:  # there is no number to look for between it and 1
        return 1.0
    size = questions.size
    order = np.lexsort((questions.hits, questions.counted))  # so that equal questions give equal digits
    hits = np.append(questions.hits[order], [size, 0.0])
    counted = np.append(questions.counted[order], [size, size])
    number = np.append(questions.number[order], [hit, miss])
    if least > 0 and _tail(hits, counted, number, least)[0] <= tail:
        return least
    rate = float((number * hits).sum() / (number * counted).sum())
    spread = math.sqrt(float((number * (hits - rate * counted) ** 2).sum())) / float((number * counted).sum())
    low, high = least, 1.0
    place = rate + 2 * spread if low < rate + 2 * spread < high else (low + high) / 2
    for _ in range(_STEPS):
        chance, slope = _tail(hits, counted, number, place)
        low, high = (place, high) if chance > tail else (low, place)
        # Newton's step in the logarithm of the chance, which is nearly straight.
        step = math.log(chance / tail) * chance / slope if chance > 0 > slope else math.inf
        following = place - step if low < place - step < high else (low + high) / 2
        if abs(following - place) <= _TOLERANCE * following:
            return following
        place = following
    return place


def bound_of_mean(values: Counts, reach: float, confidence: float) -> float:
    """The upper end of the two-sided interval of the mean of values in [-reach, reach], whatever their distribution.

    As in `evals.statistics.intervals.interval_of_questions`: the wider of Gaffke's bound, one-sided at `confidence`,
    and the two-sided one with Jeffreys's prior. The lower end is that of the values negated, negated.
    """
    rates, number = np.unique(np.clip((values / reach + 1) / 2, 0.0, 1.0), return_counts=True)
    questions = Questions(rates, np.ones(len(rates)), number.astype(np.float64))
    exact = upper_bound(questions, 1 - confidence)
    return reach * (2 * upper_bound(questions, (1 - confidence) / 2, hit=0.5, miss=0.5, least=exact) - 1)


def _tail(hits: Counts, counted: Counts, number: Counts, rate: float) -> tuple[float, float]:
    """The chance that the randomly weighted mean is above `rate`, and its derivative with respect to `rate`."""
    excess = hits - rate * counted
    pole = 1 / float(excess.max())
    places = _PLACES * pole
    height = -np.log1p(-np.multiply.outer(places, excess)) @ number - np.log(places)
    place = float(places[np.argmin(height)])
    factors = excess / (1 - place * excess)
    scale = 1 / math.sqrt(float((number * factors**2).sum()) + 1 / place**2)
    far = place + 1j * scale * np.sinh(_ENDS)
    fallen = np.log(np.abs(1 - np.multiply.outer(far, excess))) @ number + np.log(np.abs(far) / np.cosh(_ENDS))
    end = float(_ENDS[min(int(np.searchsorted(fallen + float(height.min()), _DIGITS)), len(_ENDS) - 1)])
    turns = np.linspace(0.0, end, _NODES)
    line = place + 1j * scale * np.sinh(turns)
    quotients = 1 - np.multiply.outer(line, excess)
    values = np.asarray(np.exp(-np.log(quotients) @ number - np.log(line)) * np.cosh(turns), dtype=np.complex128)
    values[0] /= 2
    slopes = np.asarray(-values * line * ((1 / quotients) @ (number * counted)), dtype=np.complex128)
    unit = scale * end / (_NODES - 1) / math.pi
    return min(1.0, max(0.0, unit * float(values.real.sum()))), unit * float(slopes.real.sum())
