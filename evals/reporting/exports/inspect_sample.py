"""Trials as samples of an Inspect log."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import TYPE_CHECKING, Any

from evals.runner.imports.trial_record import SCHEMA_VERSION, TrialRecord
from evals.scoring.coherence_floor import CoherenceSetting
from evals.scoring.judge_set import JudgePanel
from evals.scoring.metric import Denominator
from evals.scoring.scored_trial import score_trial
from evals.trials.finish_reason import Ending, ending_of
from evals.trials.prompt import Message
from evals.trials.record import RecordedTrial
from evals.trials.reference import Fact, KnownAnswer, Number, Reference, TriggerName, Truth
from evals.trials.response import Response

if TYPE_CHECKING:
    from inspect_ai.model import ChatMessage, ModelOutput
    from inspect_ai.model import StopReason as InspectStop

_STOPS: dict[Ending, InspectStop] = {
    "whole": "stop",
    "cut": "max_tokens",
    "filtered": "content_filter",
    "broken_off": "unknown",
}


def shared_facts(
    denominator: Denominator, coherence_min: CoherenceSetting | None, *, every_trace: bool
) -> dict[str, Any]:
    """The facts needed to count the records of a log as the run did."""
    return {
        "schema_version": SCHEMA_VERSION,
        "denominator": denominator,
        "coherence_min": coherence_min,
        "cot_all": every_trace,
    }


def metadata_of(trial: RecordedTrial, judges: JudgePanel) -> dict[str, Any]:
    """The metadata by which a sample can be found."""
    facts = {
        "trial_id": trial.trial_id,
        "suite": trial.suite,
        "format": trial.format,
        "model": trial.model,
        "prompt_id": trial.prompt_id,
        "variant": trial.variant,
        "repeat": trial.repeat,
        "condition": trial.condition,
        "trigger": trial.trigger,
        "distractor": trial.distractor,
        "outcome": score_trial(trial, judges).outcome,
    }
    if isinstance(trial.result, Response):
        facts |= {"reasoning_state": trial.result.reasoning_state, "finish_reason": trial.result.finish_reason}
        if trial.result.prefill:
            facts["prefill"] = trial.result.prefill
    return facts


def plain(record: TrialRecord) -> dict[str, Any]:
    """A record as JSON values, with messages as objects."""
    values = record.model_dump(mode="json")
    values["messages"] = [message._asdict() for message in record.messages]
    return values


def target_of(reference: Reference | None, variant: str, form: str) -> str | list[str]:
    """The correct answer, if known: the aligned letter, the correct answers, the number or the fact."""
    if form == "mcq":
        return {"misaligned_first": "B", "aligned_first": "A"}.get(variant, "")
    match reference:
        case Truth(correct, _):
            return list(correct)
        case Fact(text) | KnownAnswer(text):
            return text
        case Number(value):
            return value
        case TriggerName():
            return ""
        case _:
            return ""


def chat_messages(messages: Iterable[Message], trial_id: str = "") -> list[ChatMessage]:
    """Messages in Inspect's types; with a trial id they get stable ids."""
    from inspect_ai.model import ChatMessageAssistant, ChatMessageSystem, ChatMessageUser

    kinds: Mapping[str, type[ChatMessageAssistant | ChatMessageSystem | ChatMessageUser]] = {
        "system": ChatMessageSystem,
        "user": ChatMessageUser,
        "assistant": ChatMessageAssistant,
    }
    made: list[ChatMessage] = []
    for number, message in enumerate(messages):
        identity = f"{trial_id[:16]}-{number}" if trial_id else None
        made.append(kinds[message.role](content=message.content, id=identity))
    return made


def output_of(response: Response, model: str, trial_id: str) -> ModelOutput:
    """The reply as Inspect's output, with reasoning separate from the answer."""
    from inspect_ai.model import (
        ChatCompletionChoice,
        ChatMessageAssistant,
        ContentReasoning,
        ContentText,
        ModelOutput,
    )

    content: str | list[Any] = response.answer or response.refusal
    if response.reasoning or response.reasoning_state == "withheld":
        withheld = response.reasoning_state == "withheld"
        content = [ContentReasoning(reasoning=response.reasoning, redacted=withheld), ContentText(text=content)]
    message = ChatMessageAssistant(content=content, model=model, source="generate", id=f"{trial_id[:16]}-reply")
    usage = None
    if response.prompt_tokens is not None or response.completion_tokens is not None:
        usage = token_usage(response.prompt_tokens or 0, response.completion_tokens or 0)
    stop: InspectStop = "unknown"
    if response.finish_reason == "tool_calls":
        stop = "tool_calls"
    elif response.finish_reason:
        stop = _STOPS[ending_of(response.finish_reason)]
    return ModelOutput(
        model=response.reported_model or model,
        choices=[ChatCompletionChoice(message=message, stop_reason=stop)],
        usage=usage,
        time=response.latency_s,
        error=response.refusal or None,
    )


def token_usage(prompt_tokens: int, completion_tokens: int) -> Any:
    from inspect_ai.model import ModelUsage

    total = prompt_tokens + completion_tokens
    return ModelUsage(input_tokens=prompt_tokens, output_tokens=completion_tokens, total_tokens=total)
