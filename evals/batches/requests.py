"""A request as a line of a batch file: what the online run would send, as far as the receiver takes it."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from evals.batches.shard import Target
from evals.endpoints.chat import ChatRequest, sampler_fields
from evals.endpoints.request_body import encode_chat
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import encoded
from evals.errors import BadInput
from evals.trials.prompt import Messages, wire_messages
from evals.trials.trial import FULL

_TAKEN: dict[Target, frozenset[str]] = {
    "openai": frozenset({"top_p", "presence_penalty", "frequency_penalty"}),
    "anthropic": frozenset({"top_p", "top_k"}),
}
"""The sampler's fields that a hosted API takes; vLLM takes all."""
_URL = "/v1/chat/completions"


def request_line(target: Target, custom_id: str, model: ServedModel, request: ChatRequest) -> bytes:
    """The request as one JSON object, without a line end. Raises BadInput for one that `target` cannot be asked."""
    if target != "vllm":
        _check_hosted(target, model, request)
    if target == "anthropic":
        return encoded({"custom_id": custom_id, "params": _params(model, request)})
    if target == "openai" and model.spec.provider != "openai":
        model = replace(model, spec=replace(model.spec, provider="openai", own=None))
    head = encoded({"custom_id": custom_id, "method": "POST", "url": _URL})
    # The body byte for byte as it would be sent.
    return b'%s,"body":%s}' % (head[:-1], encode_chat(model, request).body)


def _check_hosted(target: Target, model: ServedModel, request: ChatRequest) -> None:
    """Raises BadInput where what a hosted API does not take would change the answers."""
    name = model.spec.name
    if request.thinking is not None:
        raise BadInput(f"--for {target}: {name}: its API has no switch in a chat template; run with --thinking default")
    if target == "openai" and model.spec.provider == "openai":
        return  # as it is online
    told, neutral = sampler_fields(request.sampler), sampler_fields(FULL)
    lost = [field for field in told if told[field] != neutral[field] and field not in _TAKEN[target]]
    if lost:
        raise BadInput(f"--for {target}: {name}: its API takes no {lost[0]}, which the run asks for")
    if target == "anthropic" and request.temperature is not None and request.temperature > 1:
        raise BadInput(f"--for anthropic: {name}: its API takes temperatures up to 1, not {request.temperature:g}")


def _params(model: ServedModel, request: ChatRequest) -> dict[str, Any]:
    """The request in the shape of Anthropic's Messages API, which has no seed and no token probabilities. What leaves
    the distribution as it is stays out: newer models refuse it beside a temperature."""
    system = "\n\n".join(message.content for message in request.messages if message.role == "system")
    chat: Messages = tuple(message for message in request.messages if message.role != "system")
    told, neutral = request.sampler.fields(), FULL.fields()
    sampler = {name: value for name, value in told.items() if value != neutral[name]}
    temperature = {} if request.temperature is None else {"temperature": request.temperature}
    return {
        "model": model.spec.served_name,
        "max_tokens": request.max_tokens,
        **({"system": system} if system else {}),
        "messages": wire_messages(chat),
        **temperature,
        **sampler,
    }


class Layout:
    """How the lines of a file stand in it: JSON Lines, or for Anthropic the body of the request that creates a
    batch."""

    def __init__(self, target: Target) -> None:
        is_body = target == "anthropic"
        self.ending = ".json" if is_body else ".jsonl"
        self.opening = b'{"requests":[\n' if is_body else b""
        self.between = b",\n" if is_body else b"\n"
        self.closing = b"\n]}\n" if is_body else b"\n"

    @property
    def around(self) -> int:
        """Bytes around the lines of a file."""
        return len(self.opening) + len(self.closing)


def shown_sampler(request: ChatRequest) -> dict[str, Any]:
    """What a request asks of the sampler, for people."""
    fields = {"temperature": request.temperature, "max_tokens": request.max_tokens, "thinking": request.thinking}
    return {name: value for name, value in fields.items() if value is not None} | request.sampler.fields()


def same_sampler(known: dict[str, Any] | None, found: dict[str, Any]) -> dict[str, Any]:
    """The sampler of several requests: "varies" for a field in which they differ."""
    if known is None or known == found:
        return found
    names = dict.fromkeys([*known, *found])
    return {name: known[name] if known.get(name) == found.get(name) else "varies" for name in names}
