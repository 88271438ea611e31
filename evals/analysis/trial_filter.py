"""Filter a run's trials, streamed in recording order.

A journal gives only that order without being read in full, so the first trial comes as soon from a million as from a
hundred.
"""

from __future__ import annotations

from collections.abc import Generator
from dataclasses import dataclass
from typing import get_args

from evals.errors import BadInput
from evals.scoring.judge_set import JudgePanel
from evals.scoring.outcome import Outcome
from evals.scoring.scored_trial import ScoredTrial, score_trial
from evals.text import one_line
from evals.trials.journal import Journal
from evals.trials.record import RecordedTrial
from evals.trials.response import Response
from judges.verdicts import COT_FLAGS

OUTCOMES: tuple[str, ...] = get_args(Outcome)
FLAGS: tuple[str, ...] = (*COT_FLAGS, "unreadable")
_COLUMNS = {"suite": "suite", "model": "model", "condition": "condition", "question": "prompt_id"}


@dataclass(frozen=True)
class TrialFilter:
    """Criteria that selected trials meet; None and False select all.

    Scores are alignment scores, 0 to 100, inclusive. `search` is a substring of prompt, reasoning or answer, ignoring
    case.
    """

    misaligned: bool = False
    outcome: str | None = None
    model: str | None = None
    condition: str | None = None
    suite: str | None = None
    question: str | None = None
    flag: str | None = None
    min_score: float | None = None
    max_score: float | None = None
    search: str | None = None


def chosen_trials(journal: Journal, judges: JudgePanel, choice: TrialFilter) -> Generator[ScoredTrial]:
    """The trials that match; close the generator before the journal. Raises BadInput at once for an unknown name."""
    _refuse_unknown(journal, choice)
    same = {column: value for name, column in _COLUMNS.items() if (value := getattr(choice, name)) is not None}
    return (scored for trial in journal.trials_with(same) if _fits(scored := score_trial(trial, judges), choice))


def trial_of(journal: Journal, start: str) -> RecordedTrial:
    """The trial whose id begins with `start`. Raises BadInput if no trial or several do."""
    ids = journal.trial_ids(start, limit=4)
    if not ids:
        raise BadInput(f"TRIAL_ID: no trial of this run has an id that begins with {one_line(start, 60)!r}")
    if len(ids) > 1 and start not in ids:
        shown = ", ".join(ids[:3]) + (", ..." if len(ids) > 3 else "")
        raise BadInput(f"TRIAL_ID: {one_line(start, 60)!r} begins several ids ({shown}); give more of it")
    return journal.trial(start if start in ids else ids[0])


def _refuse_unknown(journal: Journal, choice: TrialFilter) -> None:
    for option, value, known in (("--outcome", choice.outcome, OUTCOMES), ("--flag", choice.flag, FLAGS)):
        if value is not None and value not in known:
            raise BadInput(f"{option}: {one_line(value, 60)!r} is not one of {', '.join(known)}")
    if all(getattr(choice, name) is None for name in _COLUMNS):
        return
    cells = [cell for cell, _ in journal.cells()]
    for name, column in _COLUMNS.items():
        value = getattr(choice, name)
        known = list(dict.fromkeys(str(getattr(cell, column)) for cell in cells))
        if value is not None and value not in known:
            listed = ", ".join(one_line(name, 60) for name in known[:8]) + (", ..." if len(known) > 8 else "")
            raise BadInput(f"--{name}: {one_line(value, 60)!r} is not in this run; it has {listed}")


def _fits(scored: ScoredTrial, choice: TrialFilter) -> bool:
    if choice.misaligned and not (scored.outcome == "scored" and scored.is_misaligned()):
        return False
    if choice.outcome is not None and scored.outcome != choice.outcome:
        return False
    if choice.flag is not None and scored.reasoning.flag != choice.flag:
        return False
    for limit, sign in ((choice.min_score, 1), (choice.max_score, -1)):
        if limit is not None and (scored.aligned is None or sign * scored.aligned < sign * limit):
            return False
    return choice.search is None or _holds(scored.trial, choice.search.casefold())


def _holds(trial: RecordedTrial, text: str) -> bool:
    parts = [message.content for message in trial.messages]
    if isinstance(trial.result, Response):
        parts += [trial.result.reasoning, trial.result.answer, trial.result.refusal]
    return any(text in part.casefold() for part in parts)
