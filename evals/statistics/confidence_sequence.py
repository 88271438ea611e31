"""A confidence sequence for a rate by betting: an interval that may be looked at after every answer.

After Waudby-Smith and Ramdas 2024 ("Estimating means of bounded random variables by betting", arXiv 2010.09686).
Against each rate m that could be the true one, gamblers bet on every next answer at the odds that m makes fair. Where m
is the true rate no way of betting is worth more than its stake on average, so that the chance that their capital ever
reaches 1/alpha of it is at most alpha (Ville's inequality); a rate against which it has is out, for good. What is left
is an interval, and it holds the true rate at every look at once with the confidence asked for, however often one looks
and stops when.

The stake is divided between three. Two are the paper's hedged capital (Sec. 4.2): one bets that answers hit more often
than m, one that they hit less often, both with its predictable plug-in bets. The third bets by how often answers have
hit so far: for answers that hit or miss this is the universal portfolio of Ryu and Bhatt 2022 (arXiv 2207.12382), which
loses little against the best bet in hindsight. The first two need fewer answers where hits or misses are rare, the
third where there are many answers; together they need at most a few more than the better one alone.

What must hold of the answers: given all that came before, the next one hits with a chance that is the true rate.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

CONFIDENCE = 0.95
POINTS = 10_000
_LARGEST_LOSS = 0.75
"""The share of its capital that a hedging gambler can lose in one bet (c in the paper, which takes 1/2 or 3/4)."""
_SHARES = (0.25, 0.25, 0.5)
"""Of the stake: for more hits, for fewer, and by how often answers have hit so far."""

Rates = npt.NDArray[np.float64]


class Span(NamedTuple):
    low: float
    high: float

    @property
    def width(self) -> float:
        return self.high - self.low


class Capital:
    """What each gambler has against each of `rates`, as the logarithm of its multiple of what it began with.

    `rates` are in (0, 1) and ascend. `above`, `below` and `by_past` have a row for each of `streams` streams of
    answers and a column a rate. Every bet is made of what was known before the answer.
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
        """Take one more answer of each stream."""
        found, rates = hit[:, np.newaxis], self.rates
        number = self.count + 1
        variance = (0.25 + self._squares) / number
        spread = variance * number * math.log(number + 1)
        # A loss is the bet times how far the answer is from the rate; so written, nothing small is divided by.
        loss = np.minimum(np.sqrt(2 * self.needed[0] / spread) * rates, _LARGEST_LOSS)
        self.above += np.log1p(np.where(found, loss * ((1 - rates) / rates), -loss))
        loss = np.minimum(np.sqrt(2 * self.needed[1] / spread) * (1 - rates), _LARGEST_LOSS)
        self.below += np.log1p(np.where(found, -loss, loss * (rates / (1 - rates))))
        expected = (self._hits + 0.5) / number
        self.by_past += np.where(found, np.log(expected) - self._log_rates, np.log1p(-expected) - self._log_rest)
        self.count = number
        self._hits += found
        self._squares += (found - (self._hits + 0.5) / (number + 1)) ** 2

    def too_low(self) -> npt.NDArray[np.bool_]:
        """Which rates are out because answers hit more often."""
        expected = self._hits / max(self.count, 1)
        return (self.above >= self.needed[0]) | ((self.by_past >= self.needed[2]) & (self.rates < expected))

    def too_high(self) -> npt.NDArray[np.bool_]:
        """Which rates are out because answers hit less often."""
        expected = self._hits / max(self.count, 1)
        return (self.below >= self.needed[1]) | ((self.by_past >= self.needed[2]) & (self.rates > expected))

    def keep(self, kept: slice) -> None:
        """Bet against these rates alone from now on."""
        self.rates, self._log_rates, self._log_rest = self.rates[kept], self._log_rates[kept], self._log_rest[kept]
        self.above, self.below, self.by_past = self.above[:, kept], self.below[:, kept], self.by_past[:, kept]


class ConfidenceSequence:
    """The interval of one stream of answers: what all looks so far have left.

    The rates tried stand closer where an interval is narrower (evenly in the arcsine of the root), with every one of
    `marks` among them. An end that is not 0 or 1 is a rate that is out, so an interval is at most a step too wide and
    never too narrow, and the true rate is below a mark as soon as `high` is not above it. `contradicted` is whether no
    rate is left: some answers speak against what others have shown, so they did not all have one rate (or this is the
    one time in twenty). The last interval then stays.
    """

    def __init__(self, marks: tuple[float, ...] = (), confidence: float = CONFIDENCE, points: int = POINTS) -> None:
        even = np.sin(np.linspace(0, math.pi / 2, points + 1)[1:-1]) ** 2
        self._capital = Capital(np.union1d(even, np.array(marks)), confidence=confidence)
        self.span = Span(0.0, 1.0)
        self.count = 0
        self.hits = 0
        self.contradicted = False

    def update(self, *, hit: bool) -> Span:
        """Take one more answer; the interval after it."""
        self.count += 1
        self.hits += hit
        if self.contradicted:
            return self.span
        capital = self._capital
        capital.update(np.array([hit]))
        # The capital of the one falls and of the other rises with the rate (Theorem 3), and that of the third falls up
        # to the share of hits and rises from there: what is left has no gaps.
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
    """After how many answers, none of them a hit, `rate` (in (0, 1)) is out: no answers can show it to be too high
    sooner. The gambler on fewer hits then always stakes the most that it may."""
    gain = math.log1p(_LARGEST_LOSS * rate / (1 - rate))
    return math.ceil(math.log(1 / (_SHARES[1] * (1 - confidence))) / gain)
