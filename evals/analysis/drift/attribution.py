"""Drift attribution: did the model change, or the judge? Runs of one checkpoint, night by night.

Reads what the runs hold and what their judges said of the same anchors; the statistics are in
`evals.statistics.e_process`.
A change that a manifest names (another judge model, another rubric) needs no statistics and is said as such.
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
    verdict,
)

_NOTHING_KNOWN = Shift(0.0, -1.0, 1.0)


class Attribution(NamedTuple):
    """What is known of a night by the end of it. `e_system` and `e_judge` are e-values, 1 on the first night.

    `none` is no change found. `unknown`: the judge was not watched, or a rate has moved and the anchors are too few to
    tell by whom.
    """

    run: str
    verdict: Verdict
    e_system: float
    e_judge: float
    words: str


@dataclass(frozen=True)
class _Watched:
    """One rate over all nights, and its e-process."""

    name: str
    is_judged: bool
    hits: tuple[int, ...]
    counted: tuple[int, ...]
    evidence: Evidence

    def rate(self, nights: slice) -> Rate:
        return Rate(sum(self.hits[nights]), sum(self.counted[nights]))


def is_changed(found: Attribution) -> bool:
    """Whether a change was found, also where it is not known whose it is."""
    return found.verdict in ("system", "judge") or found.e_system >= ALARM


def attribute(runs: Sequence[Path]) -> list[Attribution]:
    """One Attribution a run. The runs are of one checkpoint in the order of nights, and the first is the reference.

    Each tells what was known by the end of its night. Raises BadInput where runs cannot be compared.
    """
    return list(_attributed(read_nights(runs))) if runs else []


# --- the two processes -----------------------------------------------------------------------------------------------


def _attributed(nights: Sequence[Session]) -> Iterator[Attribution]:
    named = [named_change(nights[0].manifest, night.manifest) for night in nights]
    # What another judge said of the anchors is nothing to compare with.
    nights = [replace(night, anchors=()) if change else night for night, change in zip(nights, named, strict=True)]
    rates, of_rates = _watched_rates(nights, named)
    of_anchors = _watched_anchors(nights)
    judge_alarms, system_alarms = alarms(of_anchors), alarms(of_rates)
    yield Attribution(nights[0].name, "none", 1.0, 1.0, f"the reference: {_reference_words(nights[0], rates)}")
    for index, night in enumerate(nights[1:], start=1):
        e_system, e_judge = (_value(one.log_e[index]) for one in (of_rates, of_anchors))
        if sum(bool(one.anchors) for one in nights[: index + 1]) < 2:
            e_judge = 1.0  # nothing that could be compared
        leading = rates[0] if rates else None
        if judge_alarms[index] or system_alarms[index]:  # then the rate that has moved most
            leading = max(rates, key=lambda one: float(one.evidence.log_e[index]), default=None)
        by_rule = any(not one.is_judged and alarms(one.evidence)[index] for one in rates) and bool(system_alarms[index])
        found = _SessionFindings(nights, index, leading, by_rule, of_anchors, of_rates)
        said: Verdict
        if named[index]:
            said, words = "judge", f"{named[index]}: its rates cannot be compared with those of {nights[0].name}"
        elif leading is None:
            said, words = "none", "nothing was measured"
        elif not night.anchors and any(one.is_judged for one in rates):
            moved = f"{found.rates()}; that rate has {'' if system_alarms[index] else 'not '}moved"
            said, words = "unknown", f"the judge was not watched (no anchors: see --anchors). {moved}"
        else:
            said = verdict(
                judge=bool(judge_alarms[index]), system=bool(system_alarms[index]), beyond=found.is_beyond_the_judge()
            )
            words = _WORDS[said](found)
        yield Attribution(night.name, said, e_system, e_judge, words)


def _watched_rates(nights: Sequence[Session], named: Sequence[str]) -> tuple[list[_Watched], Evidence]:
    """Each cell, and all cells of one metric together where there are several; and the e-process of the run.

    Half of the stake is on the latter. What another judge, by name, has read is not drawn from the same rates.
    """
    cells = sorted({cell for night in nights for cell in night.counts})
    singles: list[tuple[_Watched, Bets]] = []
    for cell in cells:
        items = sorted({item for night in nights for item in night.counts.get(cell, {})})
        pairs = [
            [(0, 0) if cell.is_judged and change else night.counts.get(cell, {}).get(item, (0, 0)) for item in items]
            for night, change in zip(nights, named, strict=True)
        ]
        table = np.array(pairs, np.int64)  # nights, items, (hits, counted)
        bets = bets_on(Stream(table[:, :, 0].T, table[:, :, 1].T))
        name = f"{cell.metric} ({cell.suite}, {cell.format}, {cell.condition}, {cell.model})"
        singles.append((_watched(name if len(cells) > 1 else cell.metric, cell.is_judged, table, bets), bets))
    pooled: list[_Watched] = []
    for key in sorted({(cell.metric, cell.is_judged) for cell in cells}):
        same = [one for cell, one in zip(cells, singles, strict=True) if (cell.metric, cell.is_judged) == key]
        if len(same) > 1:
            table = np.array(
                [
                    [sum(one.hits[t] for one, _ in same), sum(one.counted[t] for one, _ in same)]
                    for t in range(len(nights))
                ]
            )
            how = "" if key[1] else ", read by rule"
            pooled.append(
                _watched(
                    f"{key[0]} (all {len(same)} cells{how})",
                    key[1],
                    table[:, None, :],
                    reduce(add, [bets for _, bets in same]),
                )
            )
    alone = [one for one, _ in singles]
    parts = [mean_evidence([one.evidence for one in group]) for group in (alone, pooled) if group]
    nothing = Evidence(np.zeros(len(nights)), np.zeros(len(nights), np.int64))
    return [*pooled, *alone], mean_evidence(parts) if parts else nothing


def _watched(name: str, is_judged: bool, table: npt.NDArray[np.int64], bets: Bets) -> _Watched:
    hits, counted = (tuple(int(value) for value in table[:, :, column].sum(axis=1)) for column in (0, 1))
    return _Watched(name, is_judged, hits, counted, evidence(bets))


def _watched_anchors(nights: Sequence[Session]) -> Evidence:
    """The e-process of the judge. An anchor without a verdict has moved, unless nothing came back from the judge."""
    streams: list[Stream] = []
    for kind in (True, False):
        ids = sorted({row.anchor_id for night in nights for row in night.anchors if row.is_hit == kind})
        hits, drawn = (np.zeros((len(ids), len(nights)), np.int64) for _ in range(2))
        place = {name: index for index, name in enumerate(ids)}
        for column, night in enumerate(nights):
            for row in night.anchors:
                if row.is_hit == kind and row.outcome != "judge_failed":
                    drawn[place[row.anchor_id], column] = 1
                    hits[place[row.anchor_id], column] = has_moved(row)
        streams.append(Stream(hits, drawn))
    return judge_evidence(*streams)


def _value(log_e: float) -> float:
    return math.exp(min(float(log_e), 700.0))  # beyond that a float is infinite


# --- in words --------------------------------------------------------------------------------------------------------


class _SessionFindings(NamedTuple):
    """What there is to say of one night. `by_rule`: a rate that is read without a judge has moved."""

    nights: Sequence[Session]
    at: int
    leading: _Watched | None
    by_rule: bool
    of_anchors: Evidence
    of_rates: Evidence

    @property
    def night(self) -> Session:
        return self.nights[self.at]

    def first_changed(self, of: Evidence) -> int:
        """The index of the night that began it: as it looked when the alarm was raised, without one as it looks now."""
        raised = np.flatnonzero(alarms(of)[: self.at + 1])
        return int(of.since[raised[0] if len(raised) else self.at])

    def rates(self) -> str:
        """The leading rate tonight and before."""
        assert self.leading is not None  # noqa: S101  said of nights with rates alone
        return f"{self.leading.name} {_rate_words(self.leading.rate(slice(self.at, self.at + 1)))}, before " + (
            _rate_words(self.leading.rate(slice(0, self.at)))
        )

    def anchors(self) -> str:
        before = [_moved(night.anchors) for night in self.nights[: self.at] if night.anchors]
        if not self.night.anchors:
            return "no anchors"
        moved = _anchor_words(self.night.anchors)
        if not before:
            return f"{moved}; from here on the judge is watched"
        return f"{moved}, and {_number(sum(before) / len(before))} a night before"

    def judged(self) -> Shift:
        """By how much the judge may have moved the leading rate, as far as the anchors tell."""
        assert self.leading is not None  # noqa: S101
        since = self.first_changed(self.of_rates)
        before = self.leading.rate(slice(0, since))
        found, missed = (_anchor_shift(self.nights, since, self.at, kind) for kind in (False, True))
        return judged_shift(before.share if before.counted else 0.0, found or _NOTHING_KNOWN, missed or _NOTHING_KNOWN)

    def is_beyond_the_judge(self) -> bool:
        if self.leading is None or self.by_rule:
            return True
        since = self.first_changed(self.of_rates)
        measured = shift(self.leading.rate(slice(0, since)), self.leading.rate(slice(since, self.at + 1)))
        return measured is not None and beyond_the_judge(measured, self.judged())


def _anchor_shift(nights: Sequence[Session], since: int, last: int, kind: bool) -> Shift | None:
    """Of the anchors of one kind, the change in the share of verdicts that are not their own since a night."""

    def rate(part: Sequence[Session]) -> Rate:
        asked = [night for night in part if night.anchors]
        rows = [row for night in asked for row in night.anchors if row.is_hit == kind and row.hit is not None]
        return Rate(sum(map(has_moved, rows)) / max(len(asked), 1), len(rows) / max(len(asked), 1))

    return shift(rate(nights[:since]), rate(nights[since : last + 1]))


def _moved(rows: Sequence[AnchorRow]) -> int:
    return sum(row.hit is not None and has_moved(row) for row in rows)


def _anchor_words(rows: Sequence[AnchorRow]) -> str:
    lacking = sum(row.hit is None for row in rows)
    none = f" ({lacking} have none)" if lacking else ""
    return f"{_moved(rows)} of {len(rows)} anchors have a changed verdict{none}"


def _reference_words(night: Session, rates: Sequence[_Watched]) -> str:
    shown = f"{rates[0].name} {_rate_words(rates[0].rate(slice(0, 1)))}" if rates else "nothing was measured"
    if not night.anchors:
        return f"{shown}; its judge was not asked about anchors"
    return f"{shown}; {_anchor_words(night.anchors)}"


def _none_words(found: _SessionFindings) -> str:
    return f"no change found: {found.rates()}; {found.anchors()}"


def _judge_words(found: _SessionFindings) -> str:
    since = found.nights[found.first_changed(found.of_anchors)].name
    words = f"the judge has changed, since about {since}: {found.anchors()}. {found.rates()}. "
    words += "What it reads says nothing of the system until the judge is settled"
    if found.by_rule:
        words += "; a rate that no judge reads has moved as well, and that is the system"
    return words


def _system_words(found: _SessionFindings) -> str:
    since = found.nights[found.first_changed(found.of_rates)].name
    words = f"the system has changed, since about {since}: {found.rates()}"
    if found.by_rule:
        return f"{words}; it shows in what no judge reads"
    return f"{words}. The judge is still: {found.anchors()}, and accounts for {_points(found.judged())} of it"


def _unknown_words(found: _SessionFindings) -> str:
    since = found.nights[found.first_changed(found.of_rates)].name
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
