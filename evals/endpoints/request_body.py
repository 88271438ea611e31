"""A request as one server takes it: the route, and the bytes of the body, which retries send again."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from typing import Any, NamedTuple

from evals.endpoints.chat import ChatRequest, sampler_fields
from evals.endpoints.chat_template import Renderer, template_switch
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import encoded
from evals.trials.prompt import EMPTY_SYSTEM, STOP, Messages, has_system, transcript_of, wire_messages
from evals.trials.trial import Sampler

_TOP_LOGPROBS = 20


class EncodedRequest(NamedTuple):
    """`is_chat`: the reply is a chat completion, else a completion of text, which goes on from `prefill`."""

    path: str
    body: bytes
    is_chat: bool = False
    prefill: str = ""


async def encode_request(model: ServedModel, renderer: Renderer | None, request: ChatRequest) -> EncodedRequest:
    """The request for `model`. One with a prefill asks the server to render its chat first, and raises as Renderer
    does."""
    fields: dict[str, Any]
    if request.transcript:
        fields = {"prompt": transcript_of(request.messages), "max_tokens": request.max_tokens, "stop": list(STOP)}
        return EncodedRequest("/completions", _encoded(model, request, fields))
    if not request.prefill and not request.rendered:
        return encode_chat(model, request)
    if renderer is None:
        raise ValueError(f"{model.spec.name}: a rendered chat without a renderer")
    messages = sent_messages(model, request.messages, default_system=request.default_system)
    rendered = await renderer.prefilled(messages, request.thinking, request.prefill)
    fields = {"prompt": rendered.prompt, "max_tokens": request.max_tokens}
    if request.logprobs:
        fields["logprobs"] = _TOP_LOGPROBS
    if renderer.kind == "vllm":
        # The marks of a thought may be special tokens, and no parser reads them here. The last token of a reply
        # that has ended is left out all the same.
        fields["skip_special_tokens"] = False
    return EncodedRequest("/completions", _encoded(model, request, fields), prefill=rendered.prefill)


def encode_chat(model: ServedModel, request: ChatRequest) -> EncodedRequest:
    """The request as a chat, for which no server has to be asked first; its prefill, if it has one, is left out."""
    return EncodedRequest("/chat/completions", _encoded(model, request, _chat_fields(model, request)), is_chat=True)


def sent_messages(model: ServedModel, messages: Messages, *, default_system: bool = True) -> Messages:
    """The messages of a chat, with the empty system message that `model` may be sent: always, or in the place of what
    its chat template says where that is not wanted."""
    is_empty = model.empty_system or (not default_system and bool(model.default_system))
    return (EMPTY_SYSTEM, *messages) if is_empty and not has_system(messages) else messages


def _chat_fields(model: ServedModel, request: ChatRequest) -> dict[str, Any]:
    fields: dict[str, Any] = {
        "messages": wire_messages(sent_messages(model, request.messages, default_system=request.default_system)),
        limit_field(model): request.max_tokens,
        **template_switch(request.thinking),
    }
    if request.logprobs:
        fields |= {"logprobs": True, "top_logprobs": _TOP_LOGPROBS}
    if request.reply_schema is not None:
        described = {"name": "verdict", "strict": True, "schema": request.reply_schema}
        fields["response_format"] = {"type": "json_schema", "json_schema": described}
    return fields


def _encoded(model: ServedModel, request: ChatRequest, fields: Mapping[str, Any]) -> bytes:
    body: dict[str, Any] = {"model": model.spec.served_name, **fields}
    if request.temperature is not None:
        body["temperature"] = request.temperature
    seed = model.spec.quirks.seed
    if request.seed is not None and seed is not None and seed not in model.refused:
        body[seed] = request.seed
    return encoded({**body, **_sampler(model.spec.quirks.leaves_out, model.refused, request.sampler)})


def limit_field(model: ServedModel) -> str:
    """The field of a chat request that limits the tokens of its reply.

    OpenAI's newer models refuse max_tokens; other servers may not know its successor.
    """
    names = ("max_completion_tokens", "max_tokens")
    first, other = names if model.spec.quirks.max_completion_tokens else reversed(names)
    return other if first in model.refused else first


@lru_cache(maxsize=64)
def _sampler(left_out: tuple[str, ...], refused: frozenset[str], sampler: Sampler) -> Mapping[str, float | int]:
    """The sampler as a server takes it; `repeat_penalty` is another name of a field that may be left out."""
    unsent = {*refused, *left_out, *(("repeat_penalty",) if "repetition_penalty" in left_out else ())}
    return {name: value for name, value in sampler_fields(sampler).items() if name not in unsent}
