"""What an OpenAI-compatible server sends, as strict models, and the reply that is read from it."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Annotated, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

from evals.endpoints.chat import Reply

_LARGEST_COUNT = 2**63 - 1  # what a column of the journal holds


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Alternative(_Wire):
    token: str
    logprob: float = Field(le=1.0)  # room for a rounding error above 0, none for NaN


class _Token(_Alternative):
    top_logprobs: list[_Alternative] | None = None


class _Logprobs(_Wire):
    content: list[_Token] | None = None


def _is_hidden(block: object) -> bool:
    kind = cast("dict[str, object]", block).get("type") if isinstance(block, dict) else None
    return kind in ("reasoning.encrypted", "redacted_thinking")


def _hidden(blocks: object) -> bool:
    return isinstance(blocks, list) and any(map(_is_hidden, cast("list[object]", blocks)))


class _Message(_Wire):
    """`reasoning_details` (OpenRouter) and `thinking_blocks` (LiteLLM) are read as whether they hold what is
    encrypted."""

    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    reasoning_details: Annotated[bool, BeforeValidator(_hidden)] = False
    thinking_blocks: Annotated[bool, BeforeValidator(_hidden)] = False


class _Choice(_Wire):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


def _count(value: object) -> int | None:
    """`value` if it can be a count of tokens, else None: a reply is not lost for a wrong figure beside it."""
    return value if type(value) is int and 0 <= value <= _LARGEST_COUNT else None


_Count = Annotated[int | None, BeforeValidator(_count)]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _fields(value: object) -> object:
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


class _TokenDetails(_Wire):
    reasoning_tokens: _Count = None


class _Usage(_Wire):
    prompt_tokens: _Count = None
    completion_tokens: _Count = None
    completion_tokens_details: Annotated[_TokenDetails | None, BeforeValidator(_fields)] = None


class Completion(_Wire):
    model: str = ""
    choices: list[_Choice] = Field(min_length=1)
    usage: Annotated[_Usage | None, BeforeValidator(_fields)] = None


class _TextChoice(_Wire):
    text: str
    finish_reason: str | None = None


class TextCompletion(_Wire):
    model: str = ""
    choices: list[_TextChoice] = Field(min_length=1)
    usage: Annotated[_Usage | None, BeforeValidator(_fields)] = None


class _Model(_Wire):
    """`parent` is the base model of an adapter, where the server (vLLM) says so."""

    id: str
    parent: Annotated[str | None, BeforeValidator(_text)] = None


class ModelList(_Wire):
    data: list[_Model]


def reply_from(completion: Completion, latency_s: float, attempts: int) -> Reply:
    choice = completion.choices[0]
    usage = completion.usage or _Usage()
    return Reply(
        content=choice.message.content or "",
        reasoning=choice.message.reasoning or choice.message.reasoning_content or "",
        reasoning_withheld=_is_withheld(choice.message, usage),
        refusal=choice.message.refusal or "",
        finish_reason=choice.finish_reason or "",
        model=completion.model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        token_alternatives=_alternatives(choice.logprobs),
        latency_s=latency_s,
        attempts=attempts,
    )


def _is_withheld(message: _Message, usage: _Usage) -> bool:
    """Whether the server says that the model reasoned, and shows nothing of it.

    An empty thought does not count as one: vLLM (0.32) shows its line ends, or counts no tokens for it.
    """
    if message.reasoning or message.reasoning_content:
        return False
    details = usage.completion_tokens_details or _TokenDetails()
    return bool(details.reasoning_tokens) or message.reasoning_details or message.thinking_blocks


def text_reply_from(completion: TextCompletion, prefill: str, latency_s: float, attempts: int) -> Reply:
    choice = completion.choices[0]
    usage = completion.usage or _Usage()
    return Reply(
        content=choice.text,
        reasoning="",
        refusal="",
        finish_reason=choice.finish_reason or "",
        model=completion.model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        token_alternatives=None,
        latency_s=latency_s,
        attempts=attempts,
        prefill=prefill,
    )


def _alternatives(logprobs: _Logprobs | None) -> tuple[tuple[str, Mapping[str, float]], ...] | None:
    if logprobs is None or not logprobs.content:
        return None
    return tuple((token.token, _by_text(token.top_logprobs or [token])) for token in logprobs.content)


def _by_text(options: Sequence[_Alternative]) -> dict[str, float]:
    """Probability by text: different tokens can spell the same text."""
    shares: dict[str, float] = {}
    for option in options:
        shares[option.token] = shares.get(option.token, 0.0) + math.exp(min(option.logprob, 0.0))
    return shares
