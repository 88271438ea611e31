"""Which of two things changed between nights, the system or the judge: two e-processes and a rule.

After Li 2026 (arXiv 2606.15474): answers that are kept, the anchors, are judged again every night, and only the judge
can move them. One e-process watches the anchors, another the rate of the run. An e-process is what a bet against
"nothing has changed" has come to, beginning with a stake of 1: whenever one looks, its mean is at most 1 where that is
true, so the chance that it ever passes 1/a is at most a (Waudby-Smith and Ramdas 2023, arXiv 2010.09686, for betting).

The bet. An item (an anchor, a prompt) is drawn on every night, with a rate of its own that nobody knows. What the
first night says of it is an estimate like any other, and a bet against each later night that took it for the truth
would lose its bound: its error comes back every night. But if nothing has changed, draws of one item could as well have
come in another order. So, given how often each item hit in all nights up to t, how many of its hits fall into the last
L nights is hypergeometric, whatever its rate is, and with A_i that number

    V_t = mean over L and s of   product over items of   exp(s A_i) / E[exp(s A_i)]

has a mean of exactly 1. That is the paired comparison: an item that hit always or never cancels. L is 1, 2, 4, ...
nights; s, the change of the log-odds that is betted on, goes both ways.

From bets to an e-process. V_1, V_2, ... use the same draws again and must not be multiplied. The stake is divided
instead, w_t = 1 / (t (t - 1)) of it for night t, and the process is the sum of w_s V_s up to t. The weights add up to
1, so its mean is at most 1 at any time that one may stop, however the V depend on each other.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import numpy.typing as npt
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.intervals import Interval, wilson_interval

Counts = npt.NDArray[np.int64]
Numbers = npt.NDArray[np.float64]
ALPHA = 0.05
"""The most that the chance of any false alarm may be, over all nights and both processes."""
ALARM = 2 / ALPHA
"""Where an e-process alarms: each of the two has half of that chance."""
_TILTS = np.array([-4.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 4.0])
"""Changes of the log-odds, in nats: 2 is from 2% to 13%, or from 5% to 28%."""

_log_gamma: Any = cast("Any", special).gammaln


class Stream(NamedTuple):
    """The same items on every night: of so many draws of an item so many hit. The last two axes are items and nights.

    An item need not be drawn as often on one night as on another, as long as that does not hang on what was drawn.
    """

    hits: Counts
    drawn: Counts


class Evidence(NamedTuple):
    """An e-process as logarithms, one value a night; on the first, which nothing can be compared with, 0.

    `since` is the index of the night that was the likeliest first changed one, as seen from each night.
    """

    log_e: Numbers
    since: Counts


class Bets(NamedTuple):
    """What bets on a change have come to, as logarithms: for each night from the second on an array whose last two axes
    are L (1, 2, 4, ... as far as there are nights before them) and s.

    Those of several streams on one and the same change are the sums of theirs.
    """

    nights: tuple[Numbers, ...]

    def __add__(self, other: object) -> Bets:
        if not isinstance(other, Bets):
            return NotImplemented
        return Bets(tuple(one + two for one, two in zip(self.nights, other.nights, strict=True)))


def bets_on(stream: Stream) -> Bets:
    """Bets that the items' rates have changed, all of them in one direction. Axes before the items are kept.

    Raises ValueError for negative or fractional counts.
    """
    hits, drawn = stream
    if not (np.all(hits >= 0) and np.all(hits <= drawn)):
        raise ValueError("must be 0 <= hits <= drawn")
    all_hits, all_drawn = np.cumsum(hits, axis=-1), np.cumsum(drawn, axis=-1)
    nights: list[Numbers] = []
    for last in range(1, drawn.shape[-1]):
        bets: list[Numbers] = []
        for length in _lengths(last):
            late_hits = all_hits[..., last] - all_hits[..., last - length]
            late = all_drawn[..., last] - all_drawn[..., last - length]
            log_means = _log_means(all_drawn[..., last], all_hits[..., last], late)
            bets.append(late_hits.sum(axis=-1)[..., None] * _TILTS - log_means.sum(axis=-2))
        nights.append(np.stack(bets, axis=-2))
    return Bets(tuple(nights))


def _lengths(last: int) -> list[int]:
    """How many nights up to the one of index `last` may be changed ones: all but the first at most."""
    return [2**power for power in range(last.bit_length()) if 2**power <= last]


def evidence(bets: Bets) -> Evidence:
    """The e-process of some bets."""
    log_e = [np.zeros(bets.nights[0].shape[:-2]) if bets.nights else np.zeros(())]
    since = [np.zeros(log_e[0].shape, np.int64)]
    so_far = np.full(log_e[0].shape, -np.inf)
    for last, bet in enumerate(bets.nights, start=1):
        by_length = np.logaddexp.reduce(bet, axis=-1)
        stake = -math.log(last * (last + 1)) - math.log(bet.shape[-1] * bet.shape[-2])
        so_far = np.logaddexp(so_far, np.logaddexp.reduce(by_length, axis=-1) + stake)
        log_e.append(so_far)
        since.append(last + 1 - np.array(_lengths(last))[np.argmax(by_length, axis=-1)])
    return Evidence(np.stack(log_e, axis=-1), np.stack(since, axis=-1))


def _log_means(total: Counts, hits: Counts, late: Counts) -> Numbers:
    """log E[exp(s A)] for each tilt s (the last axis): A of `late` draws hit where `hits` of `total` do."""
    base = int(total.max(initial=0)) + 1
    keys, index = np.unique((total * base + hits) * base + late, return_inverse=True)
    n, k, d = (values[:, None] for values in (keys // base**2, keys // base % base, keys % base))
    log_factorial: Numbers = _log_gamma(np.arange(base) + 1.0)

    def log_choose(of: Counts, these: Counts) -> Numbers:
        return log_factorial[of] - log_factorial[these] - log_factorial[of - these]

    least, most = np.maximum(0, d - (n - k)), np.minimum(k, d)
    among = least + np.arange(int((most - least).max(initial=0)) + 1)
    found = np.minimum(among, most)
    log_share = log_choose(k, found) + log_choose(n - k, d - found) - log_choose(n, d)
    log_share = np.where(among <= most, log_share, -np.inf)
    means = np.stack([np.logaddexp.reduce(log_share + tilt * found, axis=1) for tilt in _TILTS], axis=-1)
    of_each: Numbers = means[index.reshape(total.shape)]
    return of_each


def mean_evidence(parts: Sequence[Evidence]) -> Evidence:
    """The mean of e-processes is one. `since` is that of the largest. Raises ValueError for none."""
    if not parts:
        raise ValueError("no evidence")
    log_e = np.stack([part.log_e for part in parts])
    since = np.stack([part.since for part in parts])
    largest = np.argmax(log_e, axis=0)
    mean = np.logaddexp.reduce(log_e, axis=0) - math.log(len(parts))
    return Evidence(mean, np.take_along_axis(since, largest[None], axis=0)[0])


def judge_evidence(of_hits: Stream, of_misses: Stream) -> Evidence:
    """Evidence that the judge has changed, from the anchors that are hits and those that are misses.

    What counts as a hit in these streams is a verdict that is not the anchor's own: the hits that the judge misses, the
    misses that it finds. A third of the stake is on a change of the one, of the other, and of both in one direction. An
    anchor was chosen by its frozen verdict, so that one says of which kind it is, and never how often the judge errs.
    """
    hits, misses = bets_on(of_hits), bets_on(of_misses)
    return mean_evidence([evidence(hits), evidence(misses), evidence(hits + misses)])


def alarms(found: Evidence) -> npt.NDArray[np.bool_]:
    """Whether the process has passed the bound on a night or before it."""
    passed: npt.NDArray[np.bool_] = found.log_e >= math.log(ALARM)
    return passed


# --- what the judge cannot account for --------------------------------------------------------------------------------


class Rate(NamedTuple):
    """Hits of counted; of anchors asked on several nights the mean number a night, which may be no whole one."""

    hits: float
    counted: float

    @property
    def share(self) -> float:
        return self.hits / self.counted


class Shift(NamedTuple):
    """A difference of rates in [-1, 1] with its interval."""

    change: float
    low: float
    high: float


def shift(before: Rate, after: Rate) -> Shift | None:
    """The change of a rate, with Newcombe's interval from the two Wilson ones. None where one of them has no rate."""
    old, new = _wilson(before), _wilson(after)
    if old is None or new is None:
        return None
    change = after.share - before.share
    down = math.hypot(after.share - new.low, old.high - before.share)
    up = math.hypot(new.high - after.share, before.share - old.low)
    return Shift(change, max(-1.0, change - down), min(1.0, change + up))


def judged_shift(rate: float, found: Shift, missed: Shift) -> Shift:
    """What a change of the judge does to a measured rate in [0, 1], the system being still.

    `found` is the change of the share of misses that it calls hits, `missed` of the share of hits that it does not.
    Intervals of a sum from those of its parts, squared and added (MOVER: Zou and Donner 2008).
    """
    change = (1 - rate) * found.change - rate * missed.change
    down = math.hypot((1 - rate) * (found.change - found.low), rate * (missed.high - missed.change))
    up = math.hypot((1 - rate) * (found.high - found.change), rate * (missed.change - missed.low))
    return Shift(change, change - down, change + up)


def beyond_the_judge(measured: Shift, judged: Shift) -> bool:
    """Whether a rate has moved by more than its judge can account for, as far as the anchors tell (95%)."""
    rest = measured.change - judged.change
    low = rest - math.hypot(measured.change - measured.low, judged.high - judged.change)
    high = rest + math.hypot(measured.high - measured.change, judged.change - judged.low)
    return low > 0 or high < 0


Verdict = Literal["none", "system", "judge", "unknown"]


def verdict(*, judge: bool, system: bool, beyond: bool) -> Verdict:
    """The rule. The anchors go first: while the judge has changed, nothing can be said of a system seen through it.

    A rate that moved is the system's only where the judge cannot account for it; until the anchors tell, it is unknown.
    This stands in place of the guard window of Li 2026, which waits for the anchors for a fixed number of items.
    """
    if judge:
        return "judge"
    if not system:
        return "none"
    return "system" if beyond else "unknown"


def _wilson(rate: Rate) -> Interval | None:
    return wilson_interval(rate.hits, rate.counted) if rate.counted else None
