"""When sampling may stop: each cell's answers, in the order of its draws, against the rule of the run.

Answers arrive in any order, and long ones, which may well be misaligned more often, arrive late. A sequence that took
them as they come would see the short ones first. So a cell's confidence sequence takes them in the order of its draws
(`evals.plan.stopping.draws`) and waits wherever one is not settled yet. A draw is settled when nothing more will be
known of it; one that could not be scored then says nothing, and the sequence is of the rate among those that can be.

Everything here is computed from the journal, so that a run that is resumed, judged again or counted again knows as much
as one that never stopped.
"""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping
from typing import Literal, NamedTuple

from evals.errors import BadInput
from evals.plan.stopping.draws import draw_at
from evals.plan.stopping.rows import Decision, StopRow
from evals.plan.stopping.rule import Rule
from evals.scoring.judge_set import JudgePanel
from evals.scoring.judging import due_judges
from evals.scoring.metric import PRIMARY, Denominator, Metric
from evals.scoring.metric_table import metrics_by_name
from evals.scoring.scored_trial import score_trial
from evals.statistics.confidence_sequence import ConfidenceSequence, Span, fewest_without_hit
from evals.trials.journal import Journal
from evals.trials.record import Cell, RecordedTrial
from evals.trials.reference import BY_RULE, Criterion, criterion_of

_AT_MOST = "draws_at_most"


class StopCell(NamedTuple):
    """What is sampled until the rule is decided: a cell over all its prompts."""

    suite: str
    format: str
    model: str
    condition: str
    trigger: str
    measure: Criterion


class CellProgress:
    """One cell: which of its draws are recorded, and what the settled ones show.

    `settled` counts the draws, from the first, up to the first that is not; later ones wait for it. `decided_at` is
    what it was when the rule was decided.
    """

    def __init__(self, rule: Rule, metric: Metric, at_most: int) -> None:
        self.metric = metric
        self.at_most = at_most
        self.prompts: Counter[str] = Counter()
        self.settled = 0
        self.decided_at: int | None = None
        self.sequence = ConfidenceSequence((rule.limit,) if rule.of == "rate" else ())
        self._rule = rule
        self._decision: Decision | None = None
        self._waiting: dict[int, bool | None] = {}
        self._recorded: set[int] = set()
        self._last = -1

    @property
    def recorded(self) -> int:
        return len(self._recorded)

    def missing(self) -> list[int]:
        """Draws that are not recorded though a later one is: they were under way when the run was killed."""
        return [number for number in range(self._last) if number not in self._recorded]

    @property
    def decision(self) -> Decision:
        return self._decision or ("undecided" if self.settled >= self.at_most else "open")

    @property
    def decided(self) -> bool:
        return self._decision is not None

    @property
    def ended(self) -> bool:
        """Whether nothing is left to sample."""
        return self.recorded == self._last + 1 and (self.decided or self.recorded >= self.at_most)

    def record(self, number: int, prompt_id: str) -> None:
        """Take note that a draw is in the journal."""
        if number not in self._recorded:
            self._recorded.add(number)
            self._last = max(self._last, number)
            self.prompts[prompt_id] += 1

    def settle(self, number: int, hit: bool | None) -> None:
        """Take what a draw shows, None where it could not be scored; of one that is settled already nothing."""
        if number < self.settled or number in self._waiting:
            return
        self._waiting[number] = hit
        while self.settled in self._waiting:
            found = self._waiting.pop(self.settled)
            self.settled += 1
            if found is not None:
                self.sequence.update(hit=found)
                self._decide()

    def _decide(self) -> None:
        if self._decision is None:
            self._decision = (
                "contradicted" if self.sequence.contradicted else verdict_on(self._rule, self.sequence.span)
            )
            self.decided_at = self.settled if self._decision else None


def verdict_on(rule: Rule, span: Span) -> Literal["yes", "no"] | None:
    """Whether the rule holds, None where that is not known yet. Ends that are rates are out themselves."""
    if rule.of == "width":
        return "yes" if span.width < rule.limit else None
    if span.high <= rule.limit:
        return "yes" if rule.sign == "<" else "no"
    if span.low >= rule.limit:
        return "no" if rule.sign == "<" else "yes"
    return None


class Stopping:
    """Every cell of a run with a rule, by what it is."""

    def __init__(
        self, rule: Rule, at_most: Mapping[StopCell, int], judges: JudgePanel, denominator: Denominator
    ) -> None:
        metrics = metrics_by_name(denominator)
        self.rule = rule
        self.cells = {
            cell: CellProgress(rule, metrics[PRIMARY[cell.measure]], number) for cell, number in at_most.items()
        }
        self._judges = judges

    def notice(self, trial: RecordedTrial) -> None:
        """Take what the journal says of a trial now."""
        measure_ = criterion_of(trial.reference)
        watched = self.cells[StopCell(trial.suite, trial.format, trial.model, trial.condition, trial.trigger, measure_)]
        number = draw_at(trial.position)
        watched.record(number, trial.prompt_id)
        facts = score_trial(trial, self._judges).facts
        missing = watched.metric.missing(facts)
        if missing == "pending" and due_judges(trial, self._judges):
            return
        watched.settle(number, None if missing else watched.metric.hits(facts))

    def planned(self, cells: Iterable[tuple[Cell, int]]) -> Iterator[tuple[Cell, int]]:
        """`cells` with what was drawn in place of what could have been, where sampling has ended."""
        for cell, number in cells:
            watched = self.cells[_stop_cell(cell)]
            drawn = watched.prompts[cell.prompt_id] if watched.ended else number
            if drawn:
                yield cell, drawn

    def rows(self, run_id: str) -> tuple[StopRow, ...]:
        return tuple(_row(run_id, self.rule, cell, watched) for cell, watched in self.cells.items())


def _row(run_id: str, rule: Rule, cell: StopCell, watched: CellProgress) -> StopRow:
    sequence, ended = watched.sequence, watched.ended and watched.decision != "open"
    return StopRow(
        run_id=run_id,
        suite=cell.suite,
        format=cell.format,
        model=cell.model,
        condition=cell.condition,
        rule=str(rule),
        draws=watched.recorded,
        scored=sequence.count,
        cs_low=sequence.span.low,
        cs_high=sequence.span.high,
        decision=watched.decision,
        planned=watched.at_most,
        saved=watched.at_most - watched.recorded if ended else None,
        trigger=cell.trigger,
        metric=watched.metric.name,
        hits=sequence.hits,
        settled=watched.settled,
        decided_at=watched.decided_at,
    )


def _stop_cell(cell: Cell) -> StopCell:
    return StopCell(cell.suite, cell.format, cell.model, cell.condition, cell.trigger, cell.measure)


def check_rule(rule: Rule, cells: Mapping[Cell, int], *, judged: bool, by_rule: Collection[str] = frozenset()) -> None:
    """Raises BadInput where the rule cannot be followed: nobody judges what it counts, or no cell is large enough.

    `by_rule` are the ids of prompts whose question file counts them without a judge model.
    """
    for cell in cells:
        counted = judged or cell.format == "mcq" or cell.measure in BY_RULE
        if not counted and not (cell.measure == "hit" and cell.prompt_id in by_rule):
            raise BadInput(f"--until: {PRIMARY[cell.measure]} of {cell.suite} needs a judge; name one with --judge")
    largest, most = max(at_most(cells).items(), key=lambda item: item[1])
    fewest = fewest_without_hit(rule.limit)
    if rule.sign == "<" and most < fewest:
        raise BadInput(
            f"--until {rule}: no cell can show it, that takes at least {fewest:,} answers; {largest.suite} "
            f"({largest.format}) has {most:,} a condition, so ask for {-(-fewest // most)} times as many --samples"
        )


def at_most(cells: Mapping[Cell, int]) -> dict[StopCell, int]:
    """The most draws there can be of each cell over its prompts."""
    found: dict[StopCell, int] = {}
    for cell, planned in cells.items():
        found[_stop_cell(cell)] = found.get(_stop_cell(cell), 0) + planned
    return found


def begin(journal: Journal, cells: Mapping[Cell, int]) -> None:
    """Record how many draws there can be, for readers of the journal when there are fewer."""
    journal.set_meta(_AT_MOST, json.dumps([[*cell, number] for cell, number in at_most(cells).items()]))


def read_stopping(journal: Journal, rule: Rule, judges: JudgePanel, denominator: Denominator) -> Stopping:
    """What the journal holds of the cells of a run with a rule."""
    listed = json.loads(journal.meta(_AT_MOST) or "[]")
    stopping = Stopping(rule, {StopCell(*cell): number for *cell, number in listed}, judges, denominator)
    for trial in journal.trials_in_plan_order():
        stopping.notice(trial)
    return stopping
