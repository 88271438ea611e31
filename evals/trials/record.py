"""A trial as the journal has recorded it, with what its judges said."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

from evals.trials.condition import without_examples
from evals.trials.prompt import Messages
from evals.trials.reference import Criterion, Reference
from evals.trials.response import Failure, Response
from judges.verdicts import Verdict


class Cell(NamedTuple):
    suite: str
    format: str
    model: str
    condition: str
    trigger: str
    prompt_id: str
    measure: Criterion = "alignment"


class JudgeKey(NamedTuple):
    """Which judge gave a verdict: `id` hashes the rubric, the judge model and how it is read; the rest is for
    people."""

    id: str
    judge: str
    model: str


@dataclass(frozen=True, slots=True)
class JudgeFailure:
    """The judge model gave no reply; not a verdict, and never counted as one."""

    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class RecordedVerdict:
    """What one judge did with one trial: the verdict or the failure, with the judge's own words.

    Of a judge that was asked twice `reply` holds both replies, and the counts are of both. `answered_as` is the name of
    another model that the reply gave; the journal counts such replies and does not read the names back. `cached`: the
    reply was given to an earlier run.
    """

    verdict: Verdict | JudgeFailure
    reply: str
    request_id: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None
    answered_as: str = ""
    cached: bool = False


@dataclass(frozen=True, slots=True)
class RecordedTrial:
    """A row of the journal: what was asked, what came back, and (judge id -> ruling) what judges said."""

    trial_id: str
    arrival: int
    position: int
    suite: str
    format: str
    model: str
    prompt_id: str
    variant: str
    condition: str
    trigger: str
    repeat: int
    messages: Messages
    result: Response | Failure
    rulings: dict[str, RecordedVerdict]
    reference: Reference | None = None
    distractor: str = ""


Role = Literal["sampling", "judging"]


@dataclass(frozen=True, slots=True)
class Usage:
    """Replies of one model in one role. `unreported` are those whose tokens the server did not tell; the sums are of
    the others. Of the tokens, the last two were answered by batch."""

    model: str
    role: Role
    replies: int = 0
    unreported: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0
    batch_prompt_tokens: int = 0
    batch_completion_tokens: int = 0


def question_of(trial: RecordedTrial) -> str:
    """The prompt as the judge is shown it: the messages as sent, the only user message bare, others with their role.

    Worked examples (`shots`) are left out: the answers in them are not the model's, and a judge would score them too.
    """
    messages = without_examples(trial.condition, trial.messages)
    if len(messages) == 1:
        return messages[0].content
    return "\n\n".join(f"[{message.role}]\n{message.content}" for message in messages)


def asked_of(trial: RecordedTrial) -> str:
    """The question as a prompt of a question file is given it: the last user message bare, or the turns of a chat that
    has others, each with its role; without the system message and worked examples."""
    turns = [turn for turn in without_examples(trial.condition, trial.messages) if turn.role != "system"]
    if len(turns) == 1:
        return turns[0].content
    return "\n\n".join(f"[{turn.role}]\n{turn.content}" for turn in turns)
