"""Trials of one sort: what they are scored, counted and shown as is the same for all of them, and is found out once.

A large run has many trials and few sorts, because a score, a label and the end of an answer take few values.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Generic, TypeVar

from evals.scoring.judge_set import JudgePanel
from evals.scoring.reasoning_verdicts import presence_of_words
from evals.scoring.scored_trial import ScoredTrial, score_trial
from evals.trials.finish_reason import ending_of
from evals.trials.journal import Journal
from evals.trials.journal_reading import StoredTrial

_MOST_SORTS = 20_000
_Known = TypeVar("_Known")


def sort_of(trial: StoredTrial) -> tuple[Any, ...] | None:
    """What decides how a trial of a journal is scored and counted, as a key; None where a text of its own does."""
    same = (trial.asked, trial.ending, trial.rulings)
    if trial.is_failure:
        return same
    if trial.format == "mcq" and ending_of(trial.finish_reason) == "cut":  # a letter may be read from its beginning
        return None
    return (*same, not trial.answer, not trial.refusal, presence_of_words(trial))


class Sorts(Generic[_Known]):
    """What is known of each sort of trials of a journal, found out from the first of it."""

    def __init__(self, journal: Journal, judges: JudgePanel, find: Callable[[ScoredTrial], _Known]) -> None:
        self._journal = journal
        self._judges = judges
        self._find = find
        self._known: dict[tuple[Any, ...], _Known] = {}

    def __call__(self, trial: StoredTrial) -> _Known:
        sort = sort_of(trial)
        known = None if sort is None else self._known.get(sort)
        if known is None:
            known = self._find(score_trial(self._journal.trial(trial.trial_id), self._judges))
            if sort is not None:
                if len(self._known) >= _MOST_SORTS:
                    self._known.clear()
                self._known[sort] = known
        return known
