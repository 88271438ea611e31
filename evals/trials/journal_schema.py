"""What the journal holds of a trial and of a judge's ruling, as values and as rows of its tables."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime
from typing import Any

from evals.trials.prompt import Message, wire_messages
from evals.trials.record import JudgeFailure, JudgeKey, RecordedTrial, RecordedVerdict
from evals.trials.reference import criterion_of, reference_from, reference_row
from evals.trials.response import Failure, Response
from evals.trials.storage.checksums import insert, sealed
from evals.trials.trial import Trial
from judges.rules.choice import Options
from judges.verdicts import (
    Chosen,
    Code,
    JudgeRefused,
    Labelled,
    Numbered,
    Refused,
    Scored,
    Unreadable,
    Verdict,
)

INSERT_TRIAL = insert("trials")
INSERT_VERDICT = insert("verdicts", replace=True)
INSERT_OTHER_JUDGE = insert("other_judges", replace=True)
"""Of a reply to a judge request that another model gave; a reply that stands for several answers has one row."""

_ASKED = (
    *("trial_id", "arrival", "position", "suite", "format", "model", "prompt_id", "variant", "condition", "trigger"),
    *("distractor", "reference", "repeat"),
)
_ENDED = ("messages", "failure", "failure_detail", "attempts")
_SAID = (
    *("prefill", "raw", "raw_reasoning", "reasoning", "answer", "reasoning_state", "finish_reason", "refusal"),
    "reported_model",
    *("prompt_tokens", "completion_tokens", "latency_s"),
)
TRIAL_COLUMNS = ", ".join((*_ASKED, *_ENDED, *_SAID))
RULING_COLUMNS = "kind, score, letter, option, mode, detail, reply, request_id, prompt_tokens, completion_tokens"


def recorded_from(row: Sequence[Any], rulings: dict[str, RecordedVerdict]) -> RecordedTrial:
    """The trial in a row of TRIAL_COLUMNS."""
    values = dict(zip((*_ASKED, *_ENDED, *_SAID), row, strict=True))
    result: Response | Failure
    if values["failure"] is None:
        result = Response(**{name: values[name] for name in _SAID}, attempts=values["attempts"])
    else:
        result = Failure(values["failure"], values["failure_detail"], values["attempts"])
    sent = tuple(Message(message["role"], message["content"]) for message in json.loads(values["messages"]))
    values["reference"] = None if values["reference"] is None else reference_from(json.loads(values["reference"]))
    return RecordedTrial(**{name: values[name] for name in _ASKED}, messages=sent, result=result, rulings=rulings)


def now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def trial_row(trial: Trial, result: Response | Failure) -> tuple[Any, ...]:
    """The values of INSERT_TRIAL."""
    options = trial.options
    asked = (
        trial.id,
        trial.position,
        trial.suite,
        trial.format,
        trial.model,
        trial.prompt_id,
        trial.variant,
        trial.condition,
        trial.trigger,
        trial.distractor,
        trial.placement,
        criterion_of(trial.reference),
        None if trial.reference is None else json.dumps(reference_row(trial.reference), ensure_ascii=False),
        trial.repeat,
        trial.seed,
        json.dumps(wire_messages(trial.messages), ensure_ascii=False),
        None if options is None else json.dumps(_options_row(options), ensure_ascii=False),
        now(),
        result.attempts,
    )
    match result:
        case Failure():
            return sealed((*asked, result.kind, result.detail, *(None,) * len(_SAID)))
        case Response():
            said = (
                None,
                None,
                result.prefill,
                result.raw,
                result.raw_reasoning,
                result.reasoning,
                result.answer,
                result.reasoning_state,
                result.finish_reason,
                result.refusal,
                result.reported_model,
                result.prompt_tokens,
                result.completion_tokens,
                float(result.latency_s),  # as SQLite gives it back, and so it must be when the checksum is made
            )
            return sealed((*asked, *said))


def _options_row(options: Options) -> dict[str, str]:
    return {"A": options.a, "B": options.b, "misaligned": options.misaligned_letter}


def verdict_row(trial_id: str, judge: JudgeKey, ruling: RecordedVerdict) -> tuple[Any, ...]:
    """The values of INSERT_VERDICT, not yet sealed."""
    kind, score, letter, option, mode, detail = _verdict_fields(ruling.verdict)
    values = (
        trial_id,
        *judge,
        ruling.request_id,
        kind,
        None if score is None else float(score),
        letter,
        option,
        mode,
        detail,
        ruling.reply,
        now(),
        ruling.prompt_tokens,
        ruling.completion_tokens,
    )
    return values


def verdict_statements(
    trial_id: str, judge: JudgeKey, ruling: RecordedVerdict
) -> Iterator[tuple[str, tuple[Any, ...]]]:
    """What writes a ruling: the statements with their values."""
    yield INSERT_VERDICT, sealed(verdict_row(trial_id, judge, ruling))
    if ruling.answered_as:
        yield INSERT_OTHER_JUDGE, sealed((judge.id, ruling.request_id, judge.model, ruling.answered_as))


def _verdict_fields(
    verdict: Verdict | JudgeFailure,
) -> tuple[str, float | None, str | None, str | None, str | None, str | None]:
    match verdict:
        case Scored(score, mode):
            return ("scored", score, None, None, mode, None)
        case Chosen(letter, option):
            return ("chosen", None, letter, option, None, None)
        case Labelled(label, kind):
            return (kind, None, None, label, None, None)
        case Numbered(number):
            return ("numbered", None, None, number, None, None)
        case Code():
            return ("code", None, None, None, None, None)
        case Refused():
            return ("refused", None, None, None, None, None)
        case JudgeRefused():
            return ("judge_refused", None, None, None, None, None)
        case Unreadable(reason):
            return ("unreadable", None, None, None, None, reason)
        case JudgeFailure(kind, detail):
            return ("failed", None, None, None, None, f"{kind}: {detail}")


def ruling_from(row: Sequence[Any]) -> RecordedVerdict:
    """The ruling in a row of RULING_COLUMNS."""
    kind, score, letter, option, mode, detail, reply, request_id, prompt_tokens, completion_tokens = row
    verdict: Verdict | JudgeFailure
    match kind:
        case "scored":
            verdict = Scored(score, mode)
        case "chosen":
            verdict = Chosen(letter, option)
        case "flagged" | "labelled" | "credited" | "classified":
            verdict = Labelled(option, kind)
        case "numbered":
            verdict = Numbered(option)
        case "code":
            verdict = Code()
        case "refused":
            verdict = Refused()
        case "judge_refused":
            verdict = JudgeRefused()
        case "unreadable":
            verdict = Unreadable(detail)
        case _:
            failure, _, said = str(detail).partition(": ")
            verdict = JudgeFailure(failure, said)
    return RecordedVerdict(verdict, reply, request_id, prompt_tokens, completion_tokens)
