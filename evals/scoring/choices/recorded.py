"""What was read of the letters of recorded trials."""

from __future__ import annotations

from collections.abc import Iterable

from pydantic import ValidationError

from evals.scoring.choices.cells import ReadChoice, cell_of
from evals.scoring.choices.ruling import LettersRecord
from evals.scoring.judge_set import LETTERS_JUDGE_ID
from evals.trials.record import RecordedTrial
from evals.trials.response import Failure
from judges.verdicts import Unreadable


def recorded_choices(trials: Iterable[RecordedTrial]) -> list[ReadChoice]:
    """What was read of the letters of each trial, or why there is nothing."""
    return [_recorded(trial) for trial in trials]


def _recorded(trial: RecordedTrial) -> ReadChoice:
    place = (cell_of(trial), trial.prompt_id, trial.variant, trial.repeat)
    if isinstance(trial.result, Failure):
        return ReadChoice(*place, "", f"failed: {trial.result.detail}", failed=True)
    ruling = trial.rulings.get(LETTERS_JUDGE_ID)
    if ruling is None:
        return ReadChoice(*place, "", "its letters were not asked for")
    try:
        record = LettersRecord.model_validate_json(ruling.reply)
    except ValidationError:
        return ReadChoice(*place, "", "what the journal has of it is no record")
    reason = ruling.verdict.reason if isinstance(ruling.verdict, Unreadable) else "nothing was read"
    thought = trial.result.reasoning if record.after_thought else None
    return ReadChoice(*place, record.misaligned, record.read or reason, thought=thought)
