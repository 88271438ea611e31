"""The answers of an imported run as two judges count them: the one that the file has, and the one that was asked."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np

from evals.analysis.bridge.estimates import Flags
from evals.scoring.judge_set import JudgePanel
from evals.scoring.metric import PRIMARY, Denominator
from evals.scoring.metric_table import metrics_by_name
from evals.scoring.rates.tally import CellKey
from evals.scoring.scored_trial import ScoredTrial, score_trial
from evals.statistics.judge_error import Indices, JudgedSample, Numbers
from evals.trials.journal import Journal
from evals.trials.reference import criterion_of

SILENT = frozenset({"unjudged", "judge_unreadable", "judge_failed", "judge_refused"})
"""The outcomes of an answer of which a judge has said nothing. The others are its word: a score, a refusal, ..."""


@dataclass
class _Side:
    """What one judge makes of each answer: its outcome, whether that is in the denominator, and whether it is a hit."""

    outcomes: list[str] = field(default_factory=list[str])
    counted: list[bool] = field(default_factory=list[bool])
    hits: list[bool] = field(default_factory=list[bool])

    def add(self, scored: ScoredTrial, denominator: Denominator) -> None:
        metric = metrics_by_name(denominator)[PRIMARY[scored.measure]]
        is_counted = metric.missing(scored.facts) is None
        self.outcomes.append(scored.outcome)
        self.counted.append(is_counted)
        self.hits.append(is_counted and metric.hits(scored.facts))


@dataclass(frozen=True)
class Judged:
    """One judge's word on some answers, as arrays with one element for each."""

    outcomes: tuple[str, ...]
    counted: Flags
    hits: Flags


@dataclass(frozen=True)
class Pairs:
    """Complete answers, with what both judges make of them. `questions` numbers their questions from 0; the same
    question asked of two models is one."""

    first: Judged
    second: Judged
    questions: Indices

    @property
    def both(self) -> Flags:
        """The answers that both judges count."""
        return self.first.counted & self.second.counted

    def compared(self) -> tuple[Numbers, Numbers, Indices]:
        """The hits of both judges, and the questions, of the answers that both count."""
        chosen = self.both
        first, second = (side.hits[chosen].astype(np.float64) for side in (self.first, self.second))
        return first, second, _renumbered(self.questions[chosen])

    @property
    def silent(self) -> Flags:
        """The answers of which one of the judges, or both, said nothing."""
        outcomes = zip(self.first.outcomes, self.second.outcomes, strict=True)
        return np.array([bool(SILENT & {one, other}) for one, other in outcomes], dtype=bool)

    def reported(self) -> tuple[tuple[Numbers, Numbers], tuple[Numbers, Numbers], Indices]:
        """Of the answers on which both judges have said something: hits and denominator of each, and the questions."""
        chosen = ~self.silent
        first, second = (
            (side.hits[chosen].astype(np.float64), side.counted[chosen].astype(np.float64))
            for side in (self.first, self.second)
        )
        return first, second, _renumbered(self.questions[chosen])

    def left_out(self) -> tuple[Counter[str], Counter[str]]:
        """Of the answers that not both count, the outcomes by each judge; `scored` where that one does count it."""
        chosen = np.flatnonzero(~self.both)
        return (
            Counter(self.first.outcomes[place] for place in chosen),
            Counter(self.second.outcomes[place] for place in chosen),
        )

    def sample(self, chosen: Flags | None = None) -> JudgedSample:
        """The answers as a judge (the second) with labels of some (the first's word), each with the same weight."""
        here = np.ones(len(self.questions), dtype=bool) if chosen is None else chosen
        places = np.flatnonzero(here)
        labelled = [number for number, place in enumerate(places) if self.first.outcomes[place] not in SILENT]
        at = places[labelled]
        return JudgedSample(
            said=self.second.hits[places].astype(np.float64),
            counted=self.second.counted[places].astype(np.float64),
            prompts=_renumbered(self.questions[places]),
            labelled=np.array(labelled, dtype=np.int64),
            hits=self.first.hits[at].astype(np.float64),
            answered=self.first.counted[at].astype(np.float64),
            weights=np.ones(len(labelled)),
        )


class PairReader:
    """Reads the answers of a run once; `cells` are their cells in the order of the plan. `incomplete` answers are empty
    or cut, and `other` ones are measured by a reference, which no other judge has."""

    def __init__(self, journal: Journal, panels: tuple[JudgePanel, JudgePanel], denominator: Denominator) -> None:
        self.incomplete = self.other = 0
        self._sides = (_Side(), _Side())
        self._cells: list[CellKey] = []
        questions: dict[tuple[str, str], int] = {}
        numbers: list[int] = []
        for trial in journal.trials_in_plan_order():
            scored = [score_trial(trial, panel) for panel in panels]
            if trial.format == "mcq" or criterion_of(trial.reference) != "alignment":
                self.other += 1
                continue
            if not scored[0].is_judgeable:
                self.incomplete += 1
                continue
            self._cells.append(CellKey(trial.suite, trial.format, trial.model, trial.condition, trial.trigger))
            numbers.append(questions.setdefault((trial.suite, trial.prompt_id), len(questions)))
            for side, one in zip(self._sides, scored, strict=True):
                side.add(one, denominator)
        self._questions = np.array(numbers, dtype=np.int64)
        self.cells = tuple(dict.fromkeys(self._cells))

    def pairs(self, cells: Sequence[CellKey] | None = None) -> Pairs:
        """The answers in some cells, of all without `cells`."""
        wanted = None if cells is None else frozenset(cells)
        places = [number for number, cell in enumerate(self._cells) if wanted is None or cell in wanted]
        first, second = (_part(side, places) for side in self._sides)
        return Pairs(first, second, self._questions[places])


def _part(side: _Side, places: Sequence[int]) -> Judged:
    return Judged(
        tuple(side.outcomes[place] for place in places),
        np.array([side.counted[place] for place in places], dtype=bool),
        np.array([side.hits[place] for place in places], dtype=bool),
    )


def _renumbered(questions: Indices) -> Indices:
    """Numbers without gaps: a question without answers would be a cluster."""
    _, numbers = np.unique(questions, return_inverse=True)
    return numbers.astype(np.int64)


def outcome_words(outcomes: Mapping[str, int]) -> Iterator[str]:
    """Counts of outcomes for people, without the scored ones."""
    names = {"unjudged": "not judged", "judge_unreadable": "unreadable"}
    for outcome, count in sorted(outcomes.items(), key=lambda item: -item[1]):
        if outcome != "scored":
            yield f"{count} {names.get(outcome, outcome.replace('_', ' '))}"
