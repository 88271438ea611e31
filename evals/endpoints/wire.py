"""What an OpenAI-compatible server sends, as models, and the reply that is read from it.

Strict about what an answer depends on: the text, why it ended, an error beside it. Whatever else has another shape than
it should is read as absent, because a reply is not lost for a wrong figure beside it.
"""

from __future__ import annotations

import json
import math
from collections.abc import Callable, Mapping, Sequence
from typing import Annotated, Any, NamedTuple, TypeVar, cast

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, PlainValidator, ValidationError, WrapValidator

from evals.endpoints.chat import Reply
from evals.endpoints.transport.plain_completion import LARGEST_COUNT, PlainCompletion, read_plain
from evals.endpoints.transport.reply_json import (
    MAX_ALTERNATIVES,
    MAX_CHOICES,
    MAX_PARTS,
    MAX_TOKENS,
    Unparsable,
    check_length,
    check_values,
    parsed_json,
)
from evals.endpoints.transport.server_error import ErrorInReply, ServerError, error_in
from evals.trials.finish_reason import ending_of, is_known

_HIDDEN = ("reasoning.encrypted", "redacted_thinking")
_THOUGHT = ("think", "reason", "thought")
"""What the name of a part has in it that is reasoning and no answer."""
_THOUGHT_FIELDS = ("thinking", "reasoning", "summary", "text")


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


# --- fields that are read as absent where they have another shape ----------------------------------------------------


def _count(value: object) -> int | None:
    """`value` if it can be a count of tokens, else None."""
    return value if type(value) is int and 0 <= value <= LARGEST_COUNT else None


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _fields(value: object) -> object:
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


def _bounded_logprobs(value: object, validate: Callable[[object], object]) -> object:
    """The probabilities of tokens, absent where they have another shape. Raises TooLarge."""
    tokens = cast("dict[str, object]", value).get("content") if isinstance(value, dict) else None
    check_length(tokens, MAX_TOKENS, "tokens")
    for token in cast("list[object]", tokens) if isinstance(tokens, list) else []:
        options = cast("dict[str, object]", token).get("top_logprobs") if isinstance(token, dict) else None
        check_length(options, MAX_ALTERNATIVES, "alternatives to a token")
    try:
        return validate(cast("object", value))
    except ValidationError:
        return None


def _text_logprobs(value: object, validate: Callable[[object], object]) -> object:
    """The probabilities of a text completion: as in a chat (llama.cpp), or in OpenAI's older shape, by text (vLLM)."""
    fields = cast("dict[str, object]", value) if isinstance(value, dict) else {}
    tokens, others = fields.get("tokens"), fields.get("top_logprobs")
    if not isinstance(tokens, list) or not isinstance(others, list):
        return _bounded_logprobs(fields or None, validate)
    check_length(cast("object", others), MAX_TOKENS, "tokens")
    pairs = zip(cast("list[object]", tokens), cast("list[object]", others), strict=False)
    found: list[object] = [{"token": token, "logprob": None, "top_logprobs": _listed(shown)} for token, shown in pairs]
    return _bounded_logprobs({"content": found}, validate)


def _listed(shown: object) -> list[object]:
    by_text = cast("dict[str, object]", shown) if isinstance(shown, dict) else {}
    return [{"token": text, "logprob": logprob} for text, logprob in by_text.items()]


def _finish_reason(value: object) -> str | None:
    """The word; what is there and is none is no word that is known."""
    return value if value is None or isinstance(value, str) else f"not a word: {json.dumps(value)}"[:200]


_Count = Annotated[int | None, BeforeValidator(_count)]
_Text = Annotated[str | None, BeforeValidator(_text)]
_FinishReason = Annotated[str | None, BeforeValidator(_finish_reason)]
_Error = Annotated[ServerError | None, PlainValidator(error_in)]


class _Alternative(_Wire):
    """Some servers have null for the logarithm of 0, and of a token that they do not know."""

    token: str
    logprob: Annotated[float, Field(le=1.0, strict=True)] | None  # room for a rounding error above 0, none for NaN


class _Token(_Alternative):
    top_logprobs: list[_Alternative] | None = None


class _Logprobs(_Wire):
    content: list[_Token] | None = None


class _TokenDetails(_Wire):
    reasoning_tokens: _Count = None


class _Usage(_Wire):
    prompt_tokens: _Count = None
    completion_tokens: _Count = None
    completion_tokens_details: Annotated[_TokenDetails | None, BeforeValidator(_fields)] = None


# --- texts, and texts in parts ---------------------------------------------------------------------------------------


class _Parts(NamedTuple):
    """The text of an answer, of the reasoning before it and of a refusal. `hidden`: whether there is reasoning that is
    not shown."""

    text: str = ""
    thought: str = ""
    refusal: str = ""
    hidden: bool = False


def _content(value: object) -> _Parts:
    """A content, as a text or as a list of parts. Raises ValueError for one that cannot be read as a whole."""
    if value is None or isinstance(value, str):
        return _Parts(value or "")
    if isinstance(value, dict):
        return _part(cast("object", value))
    if not isinstance(value, list):
        raise ValueError("neither text nor parts")
    check_length(cast("object", value), MAX_PARTS, "parts")
    return _joined([_part(part) for part in cast("list[object]", value)])


def _part(part: object) -> _Parts:
    if isinstance(part, str):
        return _Parts(part)
    if not isinstance(part, dict):
        raise ValueError("not a part of a content")
    fields = cast("Mapping[str, object]", part)
    kind = str(fields.get("type") or "text").casefold()
    if any(mark in kind for mark in _THOUGHT):
        return _thought_part(kind, fields)
    text = fields.get("text")
    if text is not None and not isinstance(text, str):
        raise ValueError("a part whose text is none")
    return _Parts(text or "", refusal=_text(fields.get("refusal")) or "")


def _thought_part(kind: str, fields: Mapping[str, object]) -> _Parts:
    if kind in _HIDDEN:
        return _Parts(hidden=True)
    said = next((fields[name] for name in _THOUGHT_FIELDS if fields.get(name) is not None), None)
    try:
        inner = _content(said)
    except ValueError:  # a thought that nobody can read was still one
        return _Parts(hidden=True)
    return _Parts(thought=inner.thought + inner.text, hidden=inner.hidden)


def _joined(parts: Sequence[_Parts]) -> _Parts:
    return _Parts(
        "".join(part.text for part in parts),
        "".join(part.thought for part in parts),
        "".join(part.refusal for part in parts),
        any(part.hidden for part in parts),
    )


def _thought(value: object) -> str | None:
    """The text of a reasoning field; None for one that is neither text nor parts with text."""
    try:
        parts = _content(value)
    except ValueError:
        return None
    return parts.thought + parts.text


def _blocks(value: object) -> _Parts:
    """What a list of blocks of reasoning shows; a block of an unknown shape shows nothing."""
    check_length(value, MAX_PARTS, "parts")
    found: list[_Parts] = []
    for block in cast("list[object]", value) if isinstance(value, list) else []:
        try:
            part = _part(block)
        except ValueError:
            continue
        found.append(_Parts(thought=part.thought + part.text, hidden=part.hidden))
    return _joined(found)


_Blocks = Annotated[_Parts, PlainValidator(_blocks)]


class _Message(_Wire):
    """`reasoning_details` (OpenRouter) and `thinking_blocks` (LiteLLM) hold the reasoning in blocks, some of them
    encrypted."""

    content: Annotated[_Parts, PlainValidator(_content)] = _Parts()
    reasoning: Annotated[str | None, BeforeValidator(_thought)] = None
    reasoning_content: Annotated[str | None, BeforeValidator(_thought)] = None
    refusal: _Text = None
    reasoning_details: _Blocks = _Parts()
    thinking_blocks: _Blocks = _Parts()

    @property
    def thought(self) -> str:
        blocks = self.reasoning_details.thought or self.thinking_blocks.thought
        return self.reasoning or self.reasoning_content or self.content.thought or blocks

    @property
    def hides_thought(self) -> bool:
        return self.content.hidden or self.reasoning_details.hidden or self.thinking_blocks.hidden


# --- replies ---------------------------------------------------------------------------------------------------------


def _first(value: object) -> object:
    """The only choice that is asked for. Raises TooLarge."""
    check_length(value, MAX_CHOICES, "choices")
    return cast("list[object]", value)[0] if isinstance(value, list) and value else None


class _Choice(_Wire):
    """`native_finish_reason` is the word of the provider behind OpenRouter, which has another one for it."""

    message: _Message | None = None
    finish_reason: _FinishReason = None
    native_finish_reason: _Text = None
    logprobs: Annotated[_Logprobs | None, WrapValidator(_bounded_logprobs)] = None
    error: _Error = None

    @property
    def end(self) -> str:
        """Why the reply ended. Where the gateway says by itself or nothing, and the provider that it was not so, the
        provider knows better."""
        said, native = self.finish_reason or "", self.native_finish_reason or ""
        is_better = ending_of(said) == "whole" and is_known(native) and ending_of(native) != "whole"
        return native if is_better else said


class _TextChoice(_Wire):
    text: str
    finish_reason: _FinishReason = None
    logprobs: Annotated[_Logprobs | None, WrapValidator(_text_logprobs)] = None
    error: _Error = None


class _Body(_Wire):
    model: _Text = None
    usage: Annotated[_Usage | None, BeforeValidator(_fields)] = None
    error: _Error = None


class Completion(_Body):
    choice: Annotated[_Choice | None, BeforeValidator(_first)] = Field(None, alias="choices")


class TextCompletion(_Body):
    choice: Annotated[_TextChoice | None, BeforeValidator(_first)] = Field(None, alias="choices")


_Completion = TypeVar("_Completion", Completion, TextCompletion)


def read_completion(body: str, kind: type[_Completion]) -> _Completion:
    """The completion in the body of a 200. Raises Unparsable, TooLarge, and ErrorInReply where it holds an error."""
    check_values(body)
    try:
        completion = kind.model_validate_json(body)
    except ValidationError:
        completion = None
    if completion is None or completion.choice is None:
        completion = _read_slowly(body, kind)
    choice = completion.choice
    error = completion.error or (choice.error if choice is not None else None)
    if error is not None:
        raise ErrorInReply(error)
    return completion


def _read_slowly(body: str, kind: type[_Completion]) -> _Completion:
    """The same for a body with half characters in its texts, or with an error and no reply."""
    value = parsed_json(body)
    if isinstance(value, dict):
        fields = cast("dict[str, Any]", value)
        error = error_in(fields if fields.get("object") == "error" else fields.get("error"))
        if error is not None:
            raise ErrorInReply(error)
    try:
        return kind.model_validate(value)
    except ValidationError:
        raise Unparsable from None


def chat_reply(body: str, latency_s: float, attempts: int) -> Reply:
    """The reply in the body of a 200. Raises Unparsable, TooLarge, and ErrorInReply where it holds an error."""
    check_values(body)
    plain = read_plain(body)
    if plain is None:
        return reply_from(read_completion(body, Completion), latency_s, attempts)
    return plain_reply(plain, latency_s, attempts)


def plain_reply(plain: PlainCompletion, latency_s: float, attempts: int) -> Reply:
    return Reply(
        content=plain.content,
        reasoning=plain.reasoning,
        reasoning_withheld=plain.counts_reasoning and not plain.reasoning,
        refusal="",
        finish_reason=plain.finish_reason,
        model=plain.model,
        prompt_tokens=plain.prompt_tokens,
        completion_tokens=plain.completion_tokens,
        token_alternatives=None,
        latency_s=latency_s,
        attempts=attempts,
    )


def reply_from(completion: Completion, latency_s: float, attempts: int) -> Reply:
    """The reply. Raises Unparsable for a completion without a message, unless it says why there is none."""
    choice, usage = completion.choice, completion.usage or _Usage()
    if choice is None or (choice.message is None and ending_of(choice.end) == "whole"):
        raise Unparsable
    message = choice.message or _Message()
    return Reply(
        content=message.content.text,
        reasoning=message.thought,
        reasoning_withheld=_is_withheld(message, usage),
        refusal=message.refusal or message.content.refusal,
        finish_reason=choice.end,
        model=completion.model or "",
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
    if message.thought:
        return False
    details = usage.completion_tokens_details or _TokenDetails()
    return bool(details.reasoning_tokens) or message.hides_thought


def text_reply_from(completion: TextCompletion, prefill: str, latency_s: float, attempts: int) -> Reply:
    """The reply. Raises Unparsable for a completion without a text."""
    choice, usage = completion.choice, completion.usage or _Usage()
    if choice is None:
        raise Unparsable
    return Reply(
        content=choice.text,
        reasoning="",
        refusal="",
        finish_reason=choice.finish_reason or "",
        model=completion.model or "",
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        token_alternatives=_alternatives(choice.logprobs),
        latency_s=latency_s,
        attempts=attempts,
        prefill=prefill,
    )


def _alternatives(logprobs: _Logprobs | None) -> tuple[tuple[str, Mapping[str, float]], ...] | None:
    if logprobs is None or not logprobs.content:
        return None
    return tuple((token.token, _by_text(token.top_logprobs or [token])) for token in logprobs.content)


def _by_text(options: Sequence[_Alternative]) -> dict[str, float]:
    """Probability by text: different tokens can spell the same text. One without a probability is left out."""
    shares: dict[str, float] = {}
    for option in options:
        if option.logprob is not None:
            shares[option.token] = shares.get(option.token, 0.0) + math.exp(min(option.logprob, 0.0))
    return shares
