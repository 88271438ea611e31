"""Which changed between nights, the system or the judge: two e-processes and a decision rule.

After Li 2026 (arXiv 2606.15474): stored answers, the anchors, are judged again every night, and only the judge can
change their verdicts. One e-process tests the anchors, another the rate of the run. An e-process is the capital of a
bet against "nothing has changed", starting from a stake of 1: under that hypothesis its mean is at most 1 at any time,
so the probability that it ever exceeds 1/a is at most a (Waudby-Smith and Ramdas 2023, arXiv 2010.09686, for betting).

The bet. Each item (an anchor, a prompt) is drawn every night with its own unknown rate. Treating the first night's
estimate as the truth would break the bound, as its error enters every later night. But if nothing has changed, the
draws of an item are exchangeable. So, given the hits of each item in all nights up to t, the number A_i of its hits in
the last L nights is hypergeometric, whatever its rate, and

    V_t = mean over L and s of   product over items of   exp(s A_i) / E[exp(s A_i)]

has a mean of exactly 1. The comparison is paired: an item that always or never hits cancels. L is 1, 2, 4, ... nights;
s, the change of the log-odds that is bet on, has both signs.

A judge's usual wobble. Judges answer a little differently from one time to the next, all anchors together: another
batch, another machine. With `wobble`, the standard deviation of that common change of the log-odds, a bet is divided by
what the wobble alone would win, the mean of the same product over s drawn from a normal distribution: of the late
nights' mean change against the others'. It is estimated from anchors that are judged several times in a night, so the
bound on false alarms is then no longer exact, but simulated.

From bets to an e-process. V_1, V_2, ... reuse the same draws and must not be multiplied. Instead the stake is split,
w_t = 1 / (t (t - 1)) for night t, and the process is the sum of w_s V_s up to t. The weights add up to 1, so its mean
is at most 1 at any stopping time, however the V depend on each other.
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
"""The maximum probability of any false alarm, over all nights and both processes."""
ALARM = 2 / ALPHA
"""The alarm threshold of an e-process; each of the two gets half of ALPHA."""
_TILTS = np.array([-4.0, -2.0, -1.0, -0.5, 0.5, 1.0, 2.0, 4.0])
"""Changes of the log-odds, in nats: 2 is from 2% to 13%, or from 5% to 28%."""

_POINTS, _WEIGHTS = np.polynomial.hermite_e.hermegauss(15)
_NODES: Numbers = _POINTS
"""Points of the standard normal distribution over which a mean is taken, with the logarithms of their weights."""
_LOG_WEIGHTS: Numbers = np.log(_WEIGHTS / _WEIGHTS.sum())

_log_gamma: Any = cast("Any", special).gammaln


class Stream(NamedTuple):
    """Hits and draws of the same items on every night, each of shape (..., items, nights).

    The number of draws may vary between nights as long as it does not depend on their outcomes.
    """

    hits: Counts
    drawn: Counts


class Evidence(NamedTuple):
    """An e-process as logarithms, of shape (..., nights); 0 on the first night.

    `since` is the index of the night at which the change most likely began, as seen from each night.
    """

    log_e: Numbers
    since: Counts


class Bets(NamedTuple):
    """The log capital of bets on a change: for each night from the second on, an array of shape (..., L, s).

    L is 1, 2, 4, ... up to the number of earlier nights. Bets of several streams on the same change add up.
    `by_wobble` is the log capital of bets on changes that a usual wobble makes, of shape (..., L, nodes of a normal
    distribution); () without a wobble.
    """

    nights: tuple[Numbers, ...]
    by_wobble: tuple[Numbers, ...] = ()

    def __add__(self, other: object) -> Bets:
        if not isinstance(other, Bets):
            return NotImplemented
        pairs = ((self.nights, other.nights), (self.by_wobble, other.by_wobble))
        return Bets(*(tuple(ours + theirs for ours, theirs in zip(*pair, strict=True)) for pair in pairs))


def bets_on(stream: Stream, wobble: Sequence[float] = ()) -> Bets:
    """Bets that the items' rates have all changed in one direction. Leading axes are kept.

    By more than the usual `wobble`, where there is one: a standard deviation of the log-odds, as known by each night.
    Raises ValueError for negative or fractional counts.
    """
    hits, drawn = stream
    if not (np.all(hits >= 0) and np.all(hits <= drawn)):
        raise ValueError("must be 0 <= hits <= drawn")
    all_hits, all_drawn = np.cumsum(hits, axis=-1), np.cumsum(drawn, axis=-1)
    nights: list[Numbers] = []
    by_wobble: list[Numbers] = []
    for last in range(1, drawn.shape[-1]):
        bets: list[Numbers] = []
        for length in _lengths(last):
            late_hits = all_hits[..., last] - all_hits[..., last - length]
            late = all_drawn[..., last] - all_drawn[..., last - length]
            spread = math.sqrt(1 / length + 1 / (last + 1 - length))
            usual = _NODES * wobble[last] * spread if any(wobble) else _NODES[:0]
            tilts = np.concatenate([_TILTS, usual])
            log_means = _log_means(all_drawn[..., last], all_hits[..., last], late, tilts)
            bets.append(late_hits.sum(axis=-1)[..., None] * tilts - log_means.sum(axis=-2))
        both = np.stack(bets, axis=-2)
        nights.append(both[..., : len(_TILTS)])
        by_wobble.append(both[..., len(_TILTS) :])
    return Bets(tuple(nights), tuple(by_wobble) if any(wobble) else ())


def _lengths(last: int) -> list[int]:
    """The numbers of nights, up to the one of index `last`, that may have changed: at most all but the first."""
    return [2**power for power in range(last.bit_length()) if 2**power <= last]


def evidence(bets: Bets) -> Evidence:
    """The e-process of some bets."""
    log_e = [np.zeros(bets.nights[0].shape[:-2]) if bets.nights else np.zeros(())]
    since = [np.zeros(log_e[0].shape, np.int64)]
    so_far = np.full(log_e[0].shape, -np.inf)
    for last, bet in enumerate(bets.nights, start=1):
        by_length = np.logaddexp.reduce(bet, axis=-1)
        if bets.by_wobble:
            by_length = by_length - np.logaddexp.reduce(bets.by_wobble[last - 1] + _LOG_WEIGHTS, axis=-1)
        stake = -math.log(last * (last + 1)) - math.log(bet.shape[-1] * bet.shape[-2])
        so_far = np.logaddexp(so_far, np.logaddexp.reduce(by_length, axis=-1) + stake)
        log_e.append(so_far)
        since.append(last + 1 - np.array(_lengths(last))[np.argmax(by_length, axis=-1)])
    return Evidence(np.stack(log_e, axis=-1), np.stack(since, axis=-1))


def _log_means(total: Counts, hits: Counts, late: Counts, tilts: Numbers) -> Numbers:
    """log E[exp(s A)] for each tilt s (the last axis): A of `late` draws hit where `hits` of `total` do."""
    base = int(total.max(initial=0)) + 1
    keys, index = np.unique((total * base + hits) * base + late, return_inverse=True)
    n, k, d = (values[:, None] for values in (keys // base**2, keys // base % base, keys % base))
    log_factorial: Numbers = _log_gamma(np.arange(base) + 1.0)

    def log_choose(size: Counts, chosen: Counts) -> Numbers:
        return log_factorial[size] - log_factorial[chosen] - log_factorial[size - chosen]

    least, most = np.maximum(0, d - (n - k)), np.minimum(k, d)
    among = least + np.arange(int((most - least).max(initial=0)) + 1)
    found = np.minimum(among, most)
    log_share = log_choose(k, found) + log_choose(n - k, d - found) - log_choose(n, d)
    log_share = np.where(among <= most, log_share, -np.inf)
    means = np.stack([np.logaddexp.reduce(log_share + tilt * found, axis=1) for tilt in tilts], axis=-1)
    log_means: Numbers = means[index.reshape(total.shape)]
    return log_means


def mean_evidence(parts: Sequence[Evidence]) -> Evidence:
    """The mean of e-processes, itself an e-process; `since` is that of the largest. Raises ValueError without any."""
    if not parts:
        raise ValueError("no evidence")
    log_e = np.stack([part.log_e for part in parts])
    since = np.stack([part.since for part in parts])
    largest = np.argmax(log_e, axis=0)
    mean = np.logaddexp.reduce(log_e, axis=0) - math.log(len(parts))
    return Evidence(mean, np.take_along_axis(since, largest[None], axis=0)[0])


def usual_wobble(passes: Sequence[tuple[Counts, Counts]]) -> float | None:
    """The standard deviation of the log-odds by which verdicts on the same items change together from one pass to the
    next; None where nothing tells.

    Each element is a night and a kind of item: hits (0 or 1) and draws (0 or 1), both of shape (items, passes). Items
    that were not drawn in every pass are left out. The variance of the passes' totals over what independent draws would
    give (their hypergeometric variance) is by the common change, which moves a total by the sum of p (1 - p).
    """
    above = scale = 0.0
    for hits, drawn in passes:
        whole = hits[drawn.all(axis=1)]
        number = whole.shape[1]
        if number < 2 or not len(whole):
            continue
        found = whole.sum(axis=1)
        moves = float((found * (number - found)).sum()) / (number * (number - 1))
        if moves <= 0:
            continue
        above += (number - 1) * (float(whole.sum(axis=0).var(ddof=1)) - moves)
        scale += (number - 1) * moves**2
    return math.sqrt(max(0.0, above / scale)) if scale else None


def judge_evidence(hit_stream: Stream, miss_stream: Stream, wobble: Sequence[float] = ()) -> Evidence:
    """Evidence that the judge has changed, from the anchors that are hits and those that are misses.

    A hit in these streams is a verdict that differs from the frozen one. A third of the stake each is on a change in
    the first, in the second, and in both in one direction. Anchors are selected by their frozen verdict, so that
    verdict gives only their class and is no draw of the judge's error.
    """
    hits, misses = bets_on(hit_stream, wobble), bets_on(miss_stream, wobble)
    return mean_evidence([evidence(hits), evidence(misses), evidence(hits + misses)])


def alarms(found: Evidence) -> npt.NDArray[np.bool_]:
    """Whether the process is at or above the alarm threshold, by night."""
    passed: npt.NDArray[np.bool_] = found.log_e >= math.log(ALARM)
    return passed


# --- what the judge cannot account for --------------------------------------------------------------------------------


class Rate(NamedTuple):
    """Hits and counted answers; over several nights of anchors, the mean per night."""

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
    """The change of a rate, with Newcombe's interval from the two Wilson intervals; None without both rates."""
    old, new = _wilson(before), _wilson(after)
    if old is None or new is None:
        return None
    change = after.share - before.share
    down = math.hypot(after.share - new.low, old.high - before.share)
    up = math.hypot(new.high - after.share, before.share - old.low)
    return Shift(change, max(-1.0, change - down), min(1.0, change + up))


def judged_shift(rate: float, found: Shift, missed: Shift) -> Shift:
    """The effect of a change of the judge on a measured rate in [0, 1] if the system is unchanged.

    `found` is the change in the share of misses that it calls hits, `missed` in the share of hits that it misses. The
    interval combines the squared distances of the two intervals (MOVER: Zou and Donner 2008).
    """
    change = (1 - rate) * found.change - rate * missed.change
    down = math.hypot((1 - rate) * (found.change - found.low), rate * (missed.high - missed.change))
    up = math.hypot((1 - rate) * (found.high - found.change), rate * (missed.change - missed.low))
    return Shift(change, change - down, change + up)


def beyond_the_judge(measured: Shift, judged: Shift) -> bool:
    """Whether a rate has moved by more than its judge can account for according to the anchors (95%)."""
    rest = measured.change - judged.change
    low = rest - math.hypot(measured.change - measured.low, judged.high - judged.change)
    high = rest + math.hypot(measured.high - measured.change, judged.change - judged.low)
    return low > 0 or high < 0


Verdict = Literal["none", "system", "judge", "unknown"]


def verdict(*, judge: bool, system: bool, beyond: bool) -> Verdict:
    """The decision rule. The anchors decide first: after a change of the judge, rates say nothing about the system.

    A moved rate is attributed to the system only if the judge cannot account for it, else it is unknown. This replaces
    the guard window of Li 2026, which waits a fixed number of items for the anchors.
    """
    if judge:
        return "judge"
    if not system:
        return "none"
    return "system" if beyond else "unknown"


def _wilson(rate: Rate) -> Interval | None:
    return wilson_interval(rate.hits, rate.counted) if rate.counted else None
