"""A confidence sequence for a rate by betting: an interval that stays valid when checked after every answer.

After Waudby-Smith and Ramdas 2024 ("Estimating means of bounded random variables by betting", arXiv 2010.09686).
Against each candidate rate m, gamblers bet on every next answer at the odds that are fair under m. If m is the true
rate, no betting strategy gains on average, so the probability that the capital ever reaches 1/alpha times the stake is
at most alpha (Ville's inequality); a rate whose gamblers reach it is excluded for good. The remaining rates form an
interval that contains the true rate at all times simultaneously with the given confidence, under any stopping rule.

The stake is split between three gamblers. Two are the paper's hedged capital (Sec. 4.2): one bets on more hits than m,
one on fewer, both with the paper's predictable plug-in bets. The third bets by the share of hits so far: for binary
answers this is the universal portfolio of Ryu and Bhatt 2022 (arXiv 2207.12382), which loses little against the best
bet in hindsight. The first two need fewer answers when hits or misses are rare, the third when there are many answers;
together they need at most a few more than the better one alone.

Assumption: conditional on the past, each answer is a hit with probability equal to the true rate.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
POINTS = 10_000
_LARGEST_LOSS = 0.75
"""The largest share of its capital that a hedging gambler can lose in one bet (c in the paper: 1/2 or 3/4)."""
_SHARES = (0.25, 0.25, 0.5)
"""The shares of the stake: on more hits, on fewer, and by the share of hits so far."""

Rates = npt.NDArray[np.float64]


class Span(NamedTuple):
    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low


class Capital:
    """The log capital of each gambler against each of `rates`, relative to its stake.

    `rates` are ascending, in (0, 1). `above`, `below` and `by_past` have shape (streams, rates). Every bet depends only
    on earlier answers.
    """

    def __init__(self, rates: Rates, streams: int = 1, confidence: float = CONFIDENCE) -> None:
        self.rates = rates
        self.needed = [math.log(1 / (share * (1 - confidence))) for share in _SHARES]
        self.above = np.zeros((streams, len(rates)))
        self.below = np.zeros((streams, len(rates)))
        self.by_past = np.zeros((streams, len(rates)))
        self.count = 0
        self._hits = np.zeros((streams, 1))
        self._squares = np.zeros((streams, 1))
        self._log_rates, self._log_rest = np.log(rates), np.log1p(-rates)

    def update(self, hit: npt.NDArray[np.bool_]) -> None:
        """Add one answer of each stream."""
        is_hit, rates = hit[:, np.newaxis], self.rates
        number = self.count + 1
        variance = (0.25 + self._squares) / number
        spread = variance * number * math.log(number + 1)
        # A loss is the bet times the distance of the answer from the rate; this form avoids division by small numbers.
        loss = np.minimum(np.sqrt(2 * self.needed[0] / spread) * rates, _LARGEST_LOSS)
        self.above += np.log1p(np.where(is_hit, loss * ((1 - rates) / rates), -loss))
        loss = np.minimum(np.sqrt(2 * self.needed[1] / spread) * (1 - rates), _LARGEST_LOSS)
        self.below += np.log1p(np.where(is_hit, -loss, loss * (rates / (1 - rates))))
        expected = (self._hits + 0.5) / number
        self.by_past += np.where(is_hit, np.log(expected) - self._log_rates, np.log1p(-expected) - self._log_rest)
        self.count = number
        self._hits += is_hit
        self._squares += (is_hit - (self._hits + 0.5) / (number + 1)) ** 2

    def too_low(self) -> npt.NDArray[np.bool_]:
        """A mask of the rates excluded as too low."""
        expected = self._hits / max(self.count, 1)
        return (self.above >= self.needed[0]) | ((self.by_past >= self.needed[2]) & (self.rates < expected))

    def too_high(self) -> npt.NDArray[np.bool_]:
        """A mask of the rates excluded as too high."""
        expected = self._hits / max(self.count, 1)
        return (self.below >= self.needed[1]) | ((self.by_past >= self.needed[2]) & (self.rates > expected))

    def keep(self, kept: slice) -> None:
        """Drop all other rates."""
        self.rates, self._log_rates, self._log_rest = self.rates[kept], self._log_rates[kept], self._log_rest[kept]
        self.above, self.below, self.by_past = self.above[:, kept], self.below[:, kept], self.by_past[:, kept]


class ConfidenceSequence:
    """The interval of one stream of answers.

    The grid of rates is even in the arcsine of the square root, so denser where intervals are narrower, and includes
    `marks`. An end other than 0 or 1 is an excluded rate, so an interval is at most one step too wide and never too
    narrow, and the rate is below a mark as soon as `high` is not above it. `contradicted`: no rate is left, so the
    answers did not share one rate (or this is the one time in twenty); the last interval then stays.
    """

    def __init__(self, marks: tuple[float, ...] = (), confidence: float = CONFIDENCE, points: int = POINTS) -> None:
        even = np.sin(np.linspace(0, math.pi / 2, points + 1)[1:-1]) ** 2
        self._capital = Capital(np.union1d(even, np.array(marks)), confidence=confidence)
        self.span = Span(0.0, 1.0)
        self.count = 0
        self.hits = 0
        self.contradicted = False

    def update(self, *, hit: bool) -> Span:
        """Add one answer and return the interval after it."""
        self.count += 1
        self.hits += hit
        if self.contradicted:
            return self.span
        capital = self._capital
        capital.update(np.array([hit]))
        # `above` falls and `below` rises with the rate (Theorem 3), and `by_past` falls up to the share of hits and
        # rises from there: the remaining rates have no gaps.
        first = int(np.count_nonzero(capital.too_low()))
        last = len(capital.rates) - int(np.count_nonzero(capital.too_high()))
        if first >= last:
            self.contradicted = True
            return self.span
        low = float(capital.rates[first - 1]) if first else self.span.low
        high = float(capital.rates[last]) if last < len(capital.rates) else self.span.high
        capital.keep(slice(first, last))
        self.span = Span(low, high)
        return self.span


def fewest_without_hit(rate: float, confidence: float = CONFIDENCE) -> int:
    """The number of answers without a hit that exclude `rate` (in (0, 1)); no answers can exclude it sooner.

    The gambler on fewer hits then always stakes the maximum.
    """
    gain = math.log1p(_LARGEST_LOSS * rate / (1 - rate))
    return math.ceil(math.log(1 / (_SHARES[1] * (1 - confidence))) / gain)
