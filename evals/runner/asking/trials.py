"""The request of a trial, and the response in its reply."""

from __future__ import annotations

from dataclasses import replace

from evals.endpoints.chat import ChatRequest, Reply
from evals.trials.finish_reason import plain_finish_reason
from evals.trials.reasoning import split_reply
from evals.trials.response import Response
from evals.trials.trial import Trial


def request_of(trial: Trial) -> ChatRequest:
    """What the model of a trial is asked."""
    sampling = trial.sampling
    request = ChatRequest(
        trial.messages,
        sampling.max_tokens,
        sampling.temperature,
        trial.seed,
        thinking=sampling.thinking,
        prefill=sampling.prefill,
        sampler=sampling.sampler,
        default_system=sampling.default_system,
    )
    # A transcript is sent without a template, so with nothing of one.
    return replace(request, thinking=None, prefill="", transcript=True) if trial.format == "transcript" else request


def response_of(reply: Reply, opened: str = "") -> Response:
    """The reply with thought and answer apart. `opened` is what the prompt opened a thought with, if it did: a server
    that gives thoughts in a field, or withholds them, has ended it before the content."""
    has_ended = bool(reply.reasoning) or reply.reasoning_withheld
    prefill = reply.prefill or ("" if has_ended else opened)
    split = split_reply(
        reply.content,
        reply.reasoning,
        plain_finish_reason(reply.finish_reason),
        prefill=prefill,
        withheld=reply.reasoning_withheld,
    )
    return Response(
        raw=reply.content,
        reasoning=split.reasoning,
        answer=split.answer,
        reasoning_state=split.state,
        finish_reason=reply.finish_reason,
        refusal=reply.refusal,
        reported_model=reply.model,
        prompt_tokens=reply.prompt_tokens,
        completion_tokens=reply.completion_tokens,
        latency_s=reply.latency_s,
        attempts=reply.attempts,
        raw_reasoning=reply.reasoning,
        prefill=prefill,
    )
