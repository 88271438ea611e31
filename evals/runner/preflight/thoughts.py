"""Whether a reply begins within a thought, and whether it holds marks that emeval does not know."""

from __future__ import annotations

from typing import NamedTuple

from evals.endpoints.chat import PROBE_TIME_S, ChatRequest, Reply
from evals.endpoints.endpoint import Endpoint
from evals.errors import BadInput, RunStopped
from evals.runner.preflight.endpoint import Check
from evals.trials.prompt import Message, Messages
from evals.trials.reasoning import opened_by, split_reply
from evals.trials.thought_marks import FIRST_CHARACTERS, PART_OF_ANSWER, find_marks, unknown_mark
from evals.trials.trial import Sampling

_NAME = "thoughts"
_RIDDLE: Messages = (Message("user", "How many prime numbers are there between 20 and 40? Think it through."),)
"""What a model does not answer without a thought where the template has opened one."""
_RIDDLE_TOKENS = 256


class OpenedThought(NamedTuple):
    """`mark` is what the rendered prompt opens a thought with, "" where the replies' content begins after it."""

    mark: str
    checks: list[Check]


async def find_opened_thought(
    endpoint: Endpoint, sampling: Sampling, messages: Messages, reply: Reply | None
) -> OpenedThought:
    """What is known of the thoughts in replies to such messages, where `reply` is one of the model's, if there is one.

    A server with a reasoning parser gives the thought in a field and its content is the answer. Without one the content
    continues the thought, which is open until a mark closes it. Raises BadInput.
    """
    checks = _unknown_marks(reply)
    try:
        text = await endpoint.render(messages, sampling.thinking)
    except BadInput as error:
        return OpenedThought("", [*checks, Check(_NAME, "not checked", str(error))])
    if text is None or sampling.prefill:  # a prefilled reply says itself what it goes on from
        return OpenedThought("", checks)
    mark = opened_by(text)
    if not mark:
        ending = text.rstrip()[max(text.rfind(first) for first in FIRST_CHARACTERS) :]
        if ending and unknown_mark(ending) == ending:
            said = f"the rendered prompt ends with {ending}, which emeval does not know as the beginning of a thought"
            checks.append(Check(_NAME, "noted", said))
        return OpenedThought("", checks)
    opened = f"the rendered prompt opens a thought with {mark.strip()}"
    if await _has_parser(endpoint, sampling, reply):
        return OpenedThought("", [*checks, Check(_NAME, "ok", f"{opened}, which the server keeps apart from answers")])
    return OpenedThought(mark, [*checks, Check(_NAME, "ok", f"{opened}; a reply that does not close it is no answer")])


async def _has_parser(endpoint: Endpoint, sampling: Sampling, reply: Reply | None) -> bool:
    """Whether the server takes thoughts out of the content. A reply without a thought does not tell, so another is
    asked for."""
    if reply is not None and (reply.reasoning or reply.reasoning_withheld):
        return True
    if reply is not None and find_marks(reply.content):
        return False
    tokens = min(_RIDDLE_TOKENS, sampling.max_tokens)
    request = ChatRequest(
        _RIDDLE, tokens, sampling.temperature, seed=0, thinking=sampling.thinking, sampler=sampling.sampler
    )
    try:
        other = await endpoint.probe_reply(request, PROBE_TIME_S)
    except RunStopped as error:
        raise BadInput(str(error)) from None
    return isinstance(other, Reply) and (bool(other.reasoning) or other.reasoning_withheld)


def _unknown_marks(reply: Reply | None) -> list[Check]:
    if reply is None:
        return []
    answer = split_reply(reply.content, reply.reasoning, reply.finish_reason, prefill=reply.prefill).answer
    mark = unknown_mark(answer)
    return [Check(_NAME, "noted", f"a test reply begins with {mark}, {PART_OF_ANSWER}")] if mark else []
