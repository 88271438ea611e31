"""The trials of a run that stops early: the next draw of the cell whose interval is widest, until all are decided.

Each model is asked in an order of its own. A cell gets no draw beyond a number of them that are not settled, so that it
is not asked much longer than it needs to be; while it waits for an answer or a verdict other cells are asked, and only
where none is left does the model wait, too.
"""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Iterable
from dataclasses import dataclass, field

from evals.plan.plan import Plan
from evals.plan.stopping.draws import Family
from evals.plan.stopping.state import CellProgress, Stopping
from evals.trials.journal import Journal
from evals.trials.trial import Trial

AHEAD = 2
"""Unsettled draws allowed per cell, as a multiple of the concurrency (one batch at the model, one at the judge)."""


@dataclass
class _Lane:
    """A cell as it is drawn from: `sent` draws were asked for, and `again` are those that got lost when a run died."""

    watched: CellProgress
    family: Family
    condition: str
    sent: int
    again: list[int]

    @property
    def is_done(self) -> bool:
        return not self.again and (self.watched.decided or self.sent >= self.watched.at_most)

    def width_to_come(self) -> float:
        """About what the interval's width will be when all that is under way is settled."""
        return self.watched.sequence.span.width * math.sqrt((self.watched.settled + 1) / (self.sent + 1))


@dataclass
class _ModelLanes:
    """The cells of a model; `changed` is set when the journal knows more of one of them."""

    lanes: list[_Lane]
    changed: asyncio.Event = field(default_factory=asyncio.Event)


class Adaptive:
    """The trials of every model, as an iterator that waits for what the last ones show.

    `ahead` says for each model how many draws of a cell may be sent now that are not settled.
    """

    def __init__(
        self, plan: Plan, stopping: Stopping, journal: Journal, models: Iterable[str], ahead: Callable[[str], int]
    ) -> None:
        self._plan = plan
        self._stopping = stopping
        self._journal = journal
        families = {(family.suite, family.format, family.measure): family for family in plan.families()}
        self._ahead = ahead
        self._models = {name: _ModelLanes([]) for name in models}
        for cell, watched in stopping.cells.items():
            if cell.model in self._models:
                again = watched.missing()
                family = families[cell.suite, cell.format, cell.measure]  # pyright: ignore[reportArgumentType]
                lane = _Lane(watched, family, cell.condition, watched.recorded + len(again), again)
                self._models[cell.model].lanes.append(lane)

    def noticed(self, trial_id: str) -> None:
        """Take what the journal says of this trial now; to be called whenever it says more."""
        trial = self._journal.trial(trial_id)
        self._stopping.notice(trial)
        if trial.model in self._models:
            self._models[trial.model].changed.set()

    async def trials(self, name: str) -> AsyncIterator[Trial]:
        """The trials of one model, one at a time."""
        model = self._models[name]
        while not all(lane.is_done for lane in model.lanes):
            model.changed.clear()
            lane = _next(model, self._ahead(name))
            if lane is None:
                await model.changed.wait()
                continue
            number = lane.again.pop(0) if lane.again else lane.sent
            lane.sent = max(lane.sent, number + 1)
            yield self._plan.drawn_trial(lane.family, number, lane.condition, name)


def _next(model: _ModelLanes, ahead: int) -> _Lane | None:
    """The cell to draw from now: one that lacks a draw, else the widest of those that are open and not far ahead."""
    lacking = next((lane for lane in model.lanes if lane.again), None)
    ready = [
        lane
        for lane in model.lanes
        if not lane.is_done and lane.sent < lane.watched.at_most and lane.sent - lane.watched.settled < ahead
    ]
    return lacking or max(ready, key=lambda lane: (lane.width_to_come(), -lane.sent), default=None)
