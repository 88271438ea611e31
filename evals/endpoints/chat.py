"""One request to a chat model, and its reply."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from evals.trials.prompt import Message, Messages
from evals.trials.trial import SERVER_DEFAULT, Sampler

HOSTED_FIELDS = frozenset({"top_p", "presence_penalty", "frequency_penalty"})
"""The sampler fields that are part of OpenAI's API; the others are extensions."""

PROBE: Messages = (Message("user", "Reply with the letter A."),)
"""What no server has a reason to turn down, and a model answers with few tokens whatever their limit."""

PROBE_TIME_S = 60.0
"""Seconds for the probe of an endpoint, in all: a local server under load needs some."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A parsed completion, before anyone splits reasoning from answer. Absent texts are "".

    `prefill` is what the content goes on from; `reasoning_withheld` says that the server shows nothing of a thought.
    `answered_as` is `model` where that is another one than was asked for.
    """

    content: str
    reasoning: str
    refusal: str
    finish_reason: str
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    token_alternatives: tuple[tuple[str, Mapping[str, float]], ...] | None
    latency_s: float
    attempts: int
    reasoning_withheld: bool = False
    prefill: str = ""
    answered_as: str = ""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is asked of a model. `temperature`, `seed` and `thinking` None are left to the server.

    `reply_schema` is the JSON schema of structured output, None for free text. A `prefill` needs an endpoint whose
    server renders prompts; it is asked for without a schema. So does a `rendered` chat, whose reply has every mark of a
    thought in its content, whatever parser the server has. A `transcript` is the
    chat as plain text, completed without any template (see `evals.trials.prompt`). Without `default_system` the chat
    template's own system message is left out. `rubric` is what the text begins with as other requests' texts do.
    """

    messages: Messages
    max_tokens: int
    temperature: float | None = None
    seed: int | None = None
    logprobs: bool = False
    reply_schema: Mapping[str, Any] | None = None
    thinking: bool | None = None
    prefill: str = ""
    transcript: bool = False
    sampler: Sampler = SERVER_DEFAULT
    default_system: bool = True
    rubric: str = ""
    rendered: bool = False

    @property
    def prefix(self) -> Iterator[str]:
        """What servers can keep of this request for others: the whole chat for its repeats, or the rubric."""
        if self.rubric:
            yield self.rubric
            return
        for message in self.messages:
            yield message.role
            yield message.content


class EarlierReplies(Protocol):
    """A model's replies to earlier runs. `draw` tells apart what is asked in the same words for another purpose."""

    async def find(self, request: ChatRequest, draw: str) -> Reply | None: ...

    async def keep(self, request: ChatRequest, draw: str, reply: Reply) -> None: ...


def sampler_fields(sampler: Sampler) -> dict[str, float | int]:
    """The sampler in the fields of a request. Where the repetition penalty is told, so are its other name (at
    llama.cpp) and the two penalties of OpenAI's API: vLLM takes those too from a model's generation_config.json."""
    fields = sampler.fields()
    if sampler.repetition_penalty is None:
        return fields
    return fields | {"repeat_penalty": sampler.repetition_penalty, "presence_penalty": 0.0, "frequency_penalty": 0.0}
