"""Drift attribution: did the model change, or the judge? Runs of one checkpoint, night by night.

Compares the rates of the runs and their judges' verdicts on the same anchors; the statistics are in
`evals.statistics.e_process`. A change recorded in a manifest (another judge model, another rubric) needs no statistics.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import reduce
from operator import add
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evals.analysis.drift.series import Session, has_moved, named_change, read_nights
from evals.numbers import percent, points
from evals.runner.anchor_check import AnchorRow
from evals.statistics.e_process import (
    ALARM,
    Bets,
    Evidence,
    Rate,
    Shift,
    Stream,
    Verdict,
    alarms,
    bets_on,
    beyond_the_judge,
    evidence,
    judge_evidence,
    judged_shift,
    mean_evidence,
    shift,
    usual_wobble,
    verdict,
)

_NOTHING_KNOWN = Shift(0.0, -1.0, 1.0)


class Attribution(NamedTuple):
    """The verdict on a night, from the data up to it. `e_system` and `e_judge` are e-values, 1 on the first night.

    `none`: no change found. `unknown`: the judge has no anchors, or a rate has moved and the anchors are too few to
    tell why.
    """

    run: str
    verdict: Verdict
    e_system: float
    e_judge: float
    words: str


@dataclass(frozen=True)
class _RateHistory:
    """The counts of one rate over all nights, and its e-process."""

    name: str
    is_judged: bool
    hits: tuple[int, ...]
    counted: tuple[int, ...]
    evidence: Evidence

    def rate(self, nights: slice) -> Rate:
        return Rate(sum(self.hits[nights]), sum(self.counted[nights]))


def is_changed(found: Attribution) -> bool:
    """Whether a change was found, attributed or not."""
    return found.verdict in ("system", "judge") or found.e_system >= ALARM


def attribute(runs: Sequence[Path]) -> list[Attribution]:
    """One Attribution per run of a checkpoint, in the order of nights; the first run is the reference.

    Each uses only the data up to its night. Raises BadInput if the runs cannot be compared.
    """
    return list(_attributed(read_nights(runs))) if runs else []


# --- the two processes -----------------------------------------------------------------------------------------------


def _attributed(nights: Sequence[Session]) -> Iterator[Attribution]:
    named = [named_change(nights[0].manifest, night.manifest) for night in nights]
    # The verdicts of another judge on the anchors cannot be compared.
    nights = [replace(night, anchors=()) if change else night for night, change in zip(nights, named, strict=True)]
    anchor_evidence, wobble = _anchor_evidence(nights)
    rates, rate_evidence = _rate_histories(nights, named, wobble)
    judge_alarms, system_alarms = alarms(anchor_evidence), alarms(rate_evidence)
    yield Attribution(nights[0].name, "none", 1.0, 1.0, f"the reference: {_reference_words(nights[0], rates)}")
    for index, night in enumerate(nights[1:], start=1):
        e_system, e_judge = (_value(process.log_e[index]) for process in (rate_evidence, anchor_evidence))
        if sum(bool(earlier.anchors) for earlier in nights[: index + 1]) < 2:
            e_judge = 1.0  # nothing to compare
        leading = rates[0] if rates else None
        if judge_alarms[index] or system_alarms[index]:  # the rate with the most evidence of a change
            leading = max(rates, key=lambda rate: float(rate.evidence.log_e[index]), default=None)
        by_rule = any(not rate.is_judged and alarms(rate.evidence)[index] for rate in rates) and bool(
            system_alarms[index]
        )
        found = _SessionFindings(nights, index, leading, by_rule, anchor_evidence, rate_evidence)
        decided: Verdict
        if named[index]:
            decided, words = "judge", f"{named[index]}: its rates cannot be compared with those of {nights[0].name}"
        elif leading is None:
            decided, words = "none", "nothing was measured"
        elif not night.anchors and any(rate.is_judged for rate in rates):
            moved = f"{found.rates()}; that rate has {'' if system_alarms[index] else 'not '}moved"
            decided, words = "unknown", f"the judge was not watched (no anchors: see --anchors). {moved}"
        else:
            decided = verdict(
                judge=bool(judge_alarms[index]), system=bool(system_alarms[index]), beyond=found.is_beyond_the_judge()
            )
            words = _WORDS[decided](found)
        yield Attribution(night.name, decided, e_system, e_judge, words)


def _rate_histories(
    nights: Sequence[Session], named: Sequence[str], wobble: Sequence[float]
) -> tuple[list[_RateHistory], Evidence]:
    """The rate of each cell and, where a metric has several cells, of all of them; and the e-process of the run.

    The judge's usual wobble, as known by each night, moves the rates that it reads. Pooled rates get half of the stake.
    Verdicts of another judge are left out: their rate is a different one.
    """
    cells = sorted({cell for night in nights for cell in night.counts})
    singles: list[tuple[_RateHistory, Bets]] = []
    for cell in cells:
        items = sorted({item for night in nights for item in night.counts.get(cell, {})})
        pairs = [
            [(0, 0) if cell.is_judged and change else night.counts.get(cell, {}).get(item, (0, 0)) for item in items]
            for night, change in zip(nights, named, strict=True)
        ]
        table = np.array(pairs, np.int64)  # nights, items, (hits, counted)
        bets = bets_on(Stream(table[:, :, 0].T, table[:, :, 1].T), wobble if cell.is_judged else ())
        name = f"{cell.metric} ({cell.suite}, {cell.format}, {cell.condition}, {cell.model})"
        singles.append((_rate_history(name if len(cells) > 1 else cell.metric, cell.is_judged, table, bets), bets))
    pooled: list[_RateHistory] = []
    for key in sorted({(cell.metric, cell.is_judged) for cell in cells}):
        same = [single for cell, single in zip(cells, singles, strict=True) if (cell.metric, cell.is_judged) == key]
        if len(same) > 1:
            table = np.array(
                [
                    [sum(rate.hits[t] for rate, _ in same), sum(rate.counted[t] for rate, _ in same)]
                    for t in range(len(nights))
                ]
            )
            how = "" if key[1] else ", read by rule"
            pooled.append(
                _rate_history(
                    f"{key[0]} (all {len(same)} cells{how})",
                    key[1],
                    table[:, None, :],
                    reduce(add, [bets for _, bets in same]),
                )
            )
    alone = [rate for rate, _ in singles]
    parts = [mean_evidence([rate.evidence for rate in group]) for group in (alone, pooled) if group]
    nothing = Evidence(np.zeros(len(nights)), np.zeros(len(nights), np.int64))
    return [*pooled, *alone], mean_evidence(parts) if parts else nothing


def _rate_history(name: str, is_judged: bool, table: npt.NDArray[np.int64], bets: Bets) -> _RateHistory:
    hits, counted = (tuple(int(value) for value in table[:, :, column].sum(axis=1)) for column in (0, 1))
    return _RateHistory(name, is_judged, hits, counted, evidence(bets))


def _anchor_evidence(nights: Sequence[Session]) -> tuple[Evidence, list[float]]:
    """The e-process of the judge, and its usual wobble as known by each night (0 without repeats).

    An anchor without a verdict counts as changed, unless the judge request failed.
    """
    streams: list[Stream] = []
    passes: list[list[tuple[npt.NDArray[np.int64], npt.NDArray[np.int64]]]] = [[] for _ in nights]
    times = max((row.repeat for night in nights for row in night.anchors), default=1)
    for kind in (True, False):
        ids = sorted({row.anchor_id for night in nights for row in night.anchors if row.is_hit == kind})
        hits, drawn = (np.zeros((len(ids), len(nights), times), np.int64) for _ in range(2))
        place = {name: index for index, name in enumerate(ids)}
        for column, night in enumerate(nights):
            for row in night.anchors:
                if row.is_hit == kind and row.outcome != "judge_failed":
                    at = place[row.anchor_id], column, row.repeat - 1
                    drawn[at] = 1
                    hits[at] = has_moved(row)
            asked = drawn[:, column].any(axis=0)
            passes[column].append((hits[:, column, asked], drawn[:, column, asked]))
        streams.append(Stream(hits.sum(axis=-1), drawn.sum(axis=-1)))
    known = [[kind for night in passes[: last + 1] for kind in night] for last in range(len(nights))]
    wobble = [usual_wobble(so_far) or 0.0 for so_far in known]
    return judge_evidence(streams[0], streams[1], wobble), wobble


def _value(log_e: float) -> float:
    return math.exp(min(float(log_e), 700.0))  # beyond that a float is infinite


# --- in words --------------------------------------------------------------------------------------------------------


class _SessionFindings(NamedTuple):
    """What is known of one night. `by_rule`: a rate that needs no judge has moved."""

    nights: Sequence[Session]
    at: int
    leading: _RateHistory | None
    by_rule: bool
    anchor_evidence: Evidence
    rate_evidence: Evidence

    @property
    def night(self) -> Session:
        return self.nights[self.at]

    def first_changed(self, process: Evidence) -> int:
        """The index of the night when the change began, as estimated at the alarm, or now if there is no alarm."""
        raised = np.flatnonzero(alarms(process)[: self.at + 1])
        return int(process.since[raised[0] if len(raised) else self.at])

    def rates(self) -> str:
        """The leading rate tonight and before."""
        assert self.leading is not None  # noqa: S101  only called for nights with rates
        return f"{self.leading.name} {_rate_words(self.leading.rate(slice(self.at, self.at + 1)))}, before " + (
            _rate_words(self.leading.rate(slice(0, self.at)))
        )

    def anchors(self) -> str:
        before = [_changed_count(night.anchors) for night in self.nights[: self.at] if night.anchors]
        if not self.night.anchors:
            return "no anchors"
        moved = _anchor_words(self.night.anchors)
        if not before:
            return f"{moved}; from here on the judge is watched"
        return f"{moved}, and {_number(sum(before) / len(before))} a night before"

    def judged(self) -> Shift:
        """The change of the leading rate that the judge can account for, according to the anchors."""
        assert self.leading is not None  # noqa: S101
        since = self.first_changed(self.rate_evidence)
        before = self.leading.rate(slice(0, since))
        found, missed = (_anchor_shift(self.nights, since, self.at, kind) for kind in (False, True))
        return judged_shift(before.share if before.counted else 0.0, found or _NOTHING_KNOWN, missed or _NOTHING_KNOWN)

    def is_beyond_the_judge(self) -> bool:
        if self.leading is None or self.by_rule:
            return True
        since = self.first_changed(self.rate_evidence)
        measured = shift(self.leading.rate(slice(0, since)), self.leading.rate(slice(since, self.at + 1)))
        return measured is not None and beyond_the_judge(measured, self.judged())


def _anchor_shift(nights: Sequence[Session], since: int, last: int, kind: bool) -> Shift | None:
    """The change since a night in the share of anchors of one kind whose verdict has changed."""

    def rate(part: Sequence[Session]) -> Rate:
        asked = [night for night in part if night.anchors]
        rows = [row for night in asked for row in night.anchors if row.is_hit == kind and row.hit is not None]
        return Rate(sum(map(has_moved, rows)) / max(len(asked), 1), len(rows) / max(len(asked), 1))

    return shift(rate(nights[:since]), rate(nights[since : last + 1]))


def _changed_count(rows: Sequence[AnchorRow]) -> int:
    return sum(row.hit is not None and has_moved(row) for row in rows)


def _anchor_words(rows: Sequence[AnchorRow]) -> str:
    lacking = sum(row.hit is None for row in rows)
    none = f" ({lacking} have none)" if lacking else ""
    return f"{_changed_count(rows)} of {len(rows)} anchors have a changed verdict{none}"


def _reference_words(night: Session, rates: Sequence[_RateHistory]) -> str:
    shown = f"{rates[0].name} {_rate_words(rates[0].rate(slice(0, 1)))}" if rates else "nothing was measured"
    if not night.anchors:
        return f"{shown}; its judge was not asked about anchors"
    return f"{shown}; {_anchor_words(night.anchors)}"


def _none_words(found: _SessionFindings) -> str:
    return f"no change found: {found.rates()}; {found.anchors()}"


def _judge_words(found: _SessionFindings) -> str:
    since = found.nights[found.first_changed(found.anchor_evidence)].name
    words = f"the judge has changed, since about {since}: {found.anchors()}. {found.rates()}. "
    words += "What it reads says nothing of the system until the judge is settled"
    if found.by_rule:
        words += "; a rate that no judge reads has moved as well, and that is the system"
    return words


def _system_words(found: _SessionFindings) -> str:
    since = found.nights[found.first_changed(found.rate_evidence)].name
    words = f"the system has changed, since about {since}: {found.rates()}"
    if found.by_rule:
        return f"{words}; it shows in what no judge reads"
    return f"{words}. The judge is still: {found.anchors()}, and accounts for {_points(found.judged())} of it"


def _unknown_words(found: _SessionFindings) -> str:
    since = found.nights[found.first_changed(found.rate_evidence)].name
    return (
        f"a rate has moved, since about {since}: {found.rates()}. By whom is not known: {found.anchors()}; as far as "
        f"they tell the judge accounts for {_points(found.judged())} of it. More anchors would tell"
    )


_WORDS: dict[Verdict, Callable[[_SessionFindings], str]] = {
    "none": _none_words,
    "judge": _judge_words,
    "system": _system_words,
    "unknown": _unknown_words,
}


def _rate_words(rate: Rate) -> str:
    if not rate.counted:
        return "not measured"
    return f"{int(rate.hits)} of {int(rate.counted)} ({percent(rate.share)})"


def _points(found: Shift) -> str:
    return f"{points(max(-1.0, found.low))} to {points(min(1.0, found.high))} points"


def _number(value: float) -> str:
    return f"{value:.1f}".removesuffix(".0")
