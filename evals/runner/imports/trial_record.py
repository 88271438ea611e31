"""One trial with all that is known of it as a plain value: what an exported file holds, and what an import reads back.

An Inspect log keeps it in each sample's `store`, so that what comes back is the answer and the rulings themselves and
not what was made of them.
"""

from __future__ import annotations

import importlib.util
from typing import Any, cast

from pydantic import BaseModel, ConfigDict

from evals.errors import BadInput
from evals.plan.judge_names import BY_RULE_IDS, JudgeName
from evals.text import install_extra
from evals.trials.journal_schema import verdict_fields, verdict_from
from evals.trials.prompt import Format, Message
from evals.trials.record import RecordedTrial, RecordedVerdict
from evals.trials.reference import reference_from, reference_row
from evals.trials.response import Failure, Response

STORE_KEY = "emeval"
"""Where a sample of an Inspect log holds the record, in its `store`, and a log what all its samples share, in its
`metadata`."""
SCHEMA_VERSION = 1


class RulingRecord(BaseModel):
    """What one judge said of the answer. `kind` says which of the other fields hold something, as in the journal."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    judge: str
    judge_model: str
    judge_id: str
    counts: bool
    kind: str
    score: float | None = None
    letter: str | None = None
    option: str | None = None
    mode: str | None = None
    detail: str | None = None
    reply: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class TrialRecord(BaseModel):
    """A trial of the journal. Exactly one of `response` and `failure` is there."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    schema_version: int = SCHEMA_VERSION
    trial_id: str
    suite: str
    format: Format
    model: str
    prompt_id: str
    variant: str
    condition: str
    trigger: str
    distractor: str
    repeat: int
    messages: tuple[Message, ...]
    reference: dict[str, Any] | None
    response: Response | None
    failure: Failure | None
    rulings: tuple[RulingRecord, ...]

    def trial(self, position: int) -> RecordedTrial:
        """The trial at this place of a plan. Raises ValueError where the record is of no trial."""
        result = self.response or self.failure
        if result is None or (self.response is not None and self.failure is not None):
            raise ValueError("has to hold either a response or a failure")
        try:
            reference = None if self.reference is None else reference_from(self.reference)
        except (KeyError, TypeError):
            raise ValueError("holds an invalid reference") from None
        return RecordedTrial(
            trial_id=self.trial_id,
            arrival=position,
            position=position,
            suite=self.suite,
            format=self.format,
            model=self.model,
            prompt_id=self.prompt_id,
            variant=self.variant,
            condition=self.condition,
            trigger=self.trigger,
            repeat=self.repeat,
            messages=self.messages,
            result=result,
            rulings={ruling.judge_id: _recorded(ruling) for ruling in self.rulings},
            reference=reference,
            distractor=self.distractor,
        )


class PlannedSample(BaseModel):
    """What the metadata of a sample of our Inspect task says of it before anything is asked."""

    model_config = ConfigDict(frozen=True, extra="ignore")

    suite: str
    format: Format
    prompt_id: str
    variant: str
    condition: str
    trigger: str
    distractor: str
    reference: dict[str, Any] | None = None


def record_of(trial: RecordedTrial, names: dict[str, JudgeName]) -> TrialRecord:
    """The record of a trial. A ruling of a judge that `names` lacks has its id for a name."""
    rulings: list[RulingRecord] = []
    for judge_id, ruling in trial.rulings.items():
        name = names.get(judge_id, JudgeName(BY_RULE_IDS.get(judge_id, judge_id), "", judge_id in BY_RULE_IDS))
        kind, score, letter, option, mode, detail = verdict_fields(ruling.verdict)
        rulings.append(
            RulingRecord(
                judge=name.name,
                judge_model=name.model,
                judge_id=judge_id,
                counts=name.counts,
                kind=kind,
                score=score,
                letter=letter,
                option=option,
                mode=mode,
                detail=detail,
                reply=ruling.reply,
                prompt_tokens=ruling.prompt_tokens,
                completion_tokens=ruling.completion_tokens,
            )
        )
    return TrialRecord(
        trial_id=trial.trial_id,
        suite=trial.suite,
        format=cast("Format", trial.format),
        model=trial.model,
        prompt_id=trial.prompt_id,
        variant=trial.variant,
        condition=trial.condition,
        trigger=trial.trigger,
        distractor=trial.distractor,
        repeat=trial.repeat,
        messages=trial.messages,
        reference=None if trial.reference is None else reference_row(trial.reference),
        response=trial.result if isinstance(trial.result, Response) else None,
        failure=trial.result if isinstance(trial.result, Failure) else None,
        rulings=tuple(rulings),
    )


def _recorded(said: RulingRecord) -> RecordedVerdict:
    verdict = verdict_from(said.kind, said.score, said.letter, said.option, said.mode, said.detail)
    return RecordedVerdict(verdict, said.reply, "", said.prompt_tokens, said.completion_tokens)


def need_inspect() -> None:
    """Raises BadInput where Inspect is not installed."""
    if importlib.util.find_spec("inspect_ai") is None:
        raise BadInput(f"Inspect is not installed: {install_extra('inspect')}")
