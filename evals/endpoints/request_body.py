"""A request as one server takes it: the route, and the bytes of the body, which retries send again."""

from __future__ import annotations

from collections.abc import Mapping
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
    if request.transcript:
        fields = {"prompt": transcript_of(request.messages), "max_tokens": request.max_tokens, "stop": list(STOP)}
        return EncodedRequest("/completions", _encoded(model, request, fields))
    if not request.prefill:
        return EncodedRequest("/chat/completions", _encoded(model, request, _chat_fields(model, request)), is_chat=True)
    if renderer is None:
        raise ValueError(f"{model.spec.name}: a prefill without a renderer")
    messages = sent_messages(model, request.messages)
    rendered = await renderer.prefilled(messages, request.thinking, request.prefill)
    fields = {"prompt": rendered.prompt, "max_tokens": request.max_tokens}
    if renderer.kind == "vllm":
        # The marks of a thought may be special tokens, and no parser reads them here. The last token of a reply
        # that has ended is left out all the same.
        fields["skip_special_tokens"] = False
    return EncodedRequest("/completions", _encoded(model, request, fields), prefill=rendered.prefill)


def sent_messages(model: ServedModel, messages: Messages) -> Messages:
    """The messages of a chat, with the empty system message that `model` may be sent."""
    return (EMPTY_SYSTEM, *messages) if model.empty_system and not has_system(messages) else messages


def _chat_fields(model: ServedModel, request: ChatRequest) -> dict[str, Any]:
    # OpenAI's newer models refuse max_tokens; other servers may not know its successor.
    limit_field = "max_completion_tokens" if model.spec.provider == "openai" else "max_tokens"
    fields: dict[str, Any] = {
        "messages": wire_messages(sent_messages(model, request.messages)),
        limit_field: request.max_tokens,
        **template_switch(request.thinking),
    }
    if request.logprobs:
        fields |= {"logprobs": True, "top_logprobs": _TOP_LOGPROBS}
    if request.reply_schema is not None:
        described = {"name": "verdict", "strict": True, "schema": request.reply_schema}
        fields["response_format"] = {"type": "json_schema", "json_schema": described}
    return fields


def _encoded(model: ServedModel, request: ChatRequest, fields: Mapping[str, Any]) -> bytes:
    drawn = {"temperature": request.temperature, "seed": request.seed}
    drawn = {name: value for name, value in drawn.items() if value is not None}
    return encoded({"model": model.spec.served_name, **fields, **drawn, **_sampler(model, request.sampler)})


def _sampler(model: ServedModel, sampler: Sampler) -> dict[str, Any]:
    """The sampler as this server takes it: of a hosted API only `top_p` is known to be taken."""
    fields = sampler_fields(sampler)
    if model.spec.provider == "openai":
        fields = {name: value for name, value in fields.items() if name == "top_p"}
    return {name: value for name, value in fields.items() if name not in model.refused}
