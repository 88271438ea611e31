"""Trials of one sort: what they are scored, counted and shown as is the same for all of them, and is found out once.

A large run has many trials and few sorts, because a score, a label and the end of an answer take few values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, TypeVar

from evals.scoring.judge_set import JudgePanel
from evals.scoring.reasoning_verdicts import presence_of_words
from evals.scoring.scored_trial import ScoredTrial, score_trial
from evals.trials.finish_reason import ending_of
from evals.trials.journal_reading import Ending, StoredTrial, StoredTrials, TrialOutline

_MOST_SORTS = 20_000
_Known = TypeVar("_Known")
_Sort = tuple[Any, ...]


def sort_of(trial: StoredTrial) -> _Sort | None:
    """What decides how a trial of a journal is scored and counted, as a key; None where a text of its own does."""
    if trial.is_failure:
        return (trial.asked, trial.ending, None, None, trial.rulings, "")
    if _is_read_from_text(trial.format, trial.finish_reason):
        return None
    told = (bool(trial.answer), bool(trial.refusal), trial.rulings, presence_of_words(trial))
    return (trial.asked, trial.ending, *told)


def _is_read_from_text(form: str, finish_reason: str) -> bool:
    """Whether a letter may be read from the beginning of an answer that was cut."""
    return form == "mcq" and ending_of(finish_reason) == "cut"


def _needs_texts(form: str, end: Ending) -> bool:
    """Whether the sort of a trial that ended so follows from its texts."""
    if end.failure is not None:
        return False
    return end.reasoning_state in ("complete", "unopened") or _is_read_from_text(form, end.finish_reason)


class Sorts(Generic[_Known]):
    """What is known of each sort of trials of a journal, found out from the first of it; of the last `most` sorts."""

    def __init__(
        self, trials: StoredTrials, judges: JudgePanel, find: Callable[[ScoredTrial], _Known], most: int = _MOST_SORTS
    ) -> None:
        self._trials = trials
        self._judges = judges
        self._find = find
        self._most = most
        self._known: dict[_Sort, _Known] = {}
        self._texts: dict[tuple[int, int], bool] = {}

    def whole(self) -> Iterator[tuple[StoredTrial, _Known]]:
        """Each trial with its texts, and what is known of it."""
        for trial in self._trials.whole():
            sort = sort_of(trial)
            known = None if sort is None else self._known.get(sort)
            if known is None:
                (recorded,) = self._trials.recorded([trial.arrival])
                known = self._find(score_trial(recorded, self._judges))
                if sort is not None:
                    self._make_room()
                    self._known[sort] = known
            yield trial, known

    def each(self) -> Iterator[_Known]:
        """What is known of each trial, in the order of the plan. Only texts that decide it are read."""
        for outlines in self._trials.outlines():
            self._make_room()
            sorts = self._sorts_of(outlines)
            alone = self._learn(outlines, sorts)
            for outline, sort in zip(outlines, sorts, strict=True):
                yield alone[outline.arrival] if sort is None else self._known[sort]

    def _sorts_of(self, outlines: Sequence[TrialOutline]) -> list[_Sort | None]:
        sorts: list[_Sort | None] = [(*outline[1:], "") for outline in outlines]
        undecided: list[tuple[int, int]] = []
        for place, outline in enumerate(outlines):
            needs = self._texts.get(outline[1:3])
            if needs is None:
                needs = self._texts[outline[1:3]] = _needs_texts(*self._trials.end_of(outline))
            if needs:
                undecided.append((place, outline.arrival))
        stored = self._trials.with_texts([arrival for _, arrival in undecided])
        for (place, _), trial in zip(undecided, stored, strict=True):
            sorts[place] = sort_of(trial)
        return sorts

    def _learn(self, outlines: Sequence[TrialOutline], sorts: Sequence[_Sort | None]) -> dict[int, _Known]:
        """Find out what is new here, from the first trial of each sort. Returns, by their arrival, what is known of the
        trials that have none."""
        first: dict[_Sort | int, int] = {}
        for outline, sort in zip(outlines, sorts, strict=True):
            if sort is None:
                first[outline.arrival] = outline.arrival
            elif sort not in self._known:
                first.setdefault(sort, outline.arrival)
        alone: dict[int, _Known] = {}
        recorded = self._trials.recorded(list(first.values()))
        for sort, trial in zip(first, recorded, strict=True):
            known = self._find(score_trial(trial, self._judges))
            if isinstance(sort, int):
                alone[sort] = known
            else:
                self._known[sort] = known
        return alone

    def _make_room(self) -> None:
        if len(self._known) >= self._most:
            self._known.clear()
