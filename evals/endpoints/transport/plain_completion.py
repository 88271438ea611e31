"""The common shape of a chat completion, validated in one step.

Nearly all servers send one choice with plain texts, counts, and nothing beside them that changes their meaning. Such a
body needs no model for each part of it, which saves two thirds of the time of reading. Every other body is for
`evals.endpoints.wire`, whose rules are the only ones: what is read here is read alike there.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, NamedTuple

from pydantic_core import SchemaValidator, ValidationError
from pydantic_core import core_schema as cs

from evals.text import is_text

LARGEST_COUNT = 2**63 - 1
"""What a column of the journal holds."""


class PlainCompletion(NamedTuple):
    """`counts_reasoning`: the server counts tokens of a thought."""

    content: str
    reasoning: str
    finish_reason: str
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    counts_reasoning: bool


def read_plain(body: str | Mapping[str, Any]) -> PlainCompletion | None:
    """The completion in a body of the common shape, None for any other body. A body that is parsed already is read
    like its text."""
    try:
        fields: dict[str, Any] = _PLAIN.validate_json(body) if isinstance(body, str) else _PLAIN.validate_python(body)
    except ValidationError:
        return None
    choice: dict[str, Any] = fields["choices"][0]
    message: dict[str, Any] = choice["message"]
    usage: dict[str, Any] = fields.get("usage") or {}
    details: dict[str, Any] = usage.get("completion_tokens_details") or {}
    found = PlainCompletion(
        message["content"],
        message.get("reasoning") or message.get("reasoning_content") or "",
        choice.get("finish_reason") or "",
        fields.get("model") or "",
        usage.get("prompt_tokens"),
        usage.get("completion_tokens"),
        bool(details.get("reasoning_tokens")),
    )
    # Half a character is an error in a text of JSON, and none in a value.
    return found if isinstance(body, str) or all(map(is_text, found[:4])) else None


def _object(required: dict[str, cs.CoreSchema], **others: cs.CoreSchema) -> cs.CoreSchema:
    """An object with these fields; further ones are of no interest."""
    fields = {name: cs.typed_dict_field(schema, required=True) for name, schema in required.items()}
    fields |= {name: cs.typed_dict_field(schema, required=False) for name, schema in others.items()}
    return cs.typed_dict_schema(fields, extra_behavior="ignore")


_TEXT = cs.str_schema(strict=True)
_TEXT_OR_NONE = cs.nullable_schema(_TEXT)
_COUNT = cs.nullable_schema(cs.int_schema(strict=True, ge=0, le=LARGEST_COUNT))
_NONE = cs.none_schema()
_MESSAGE = _object(
    {"content": _TEXT},
    reasoning=_TEXT_OR_NONE,
    reasoning_content=_TEXT_OR_NONE,
    refusal=_NONE,
    reasoning_details=_NONE,
    thinking_blocks=_NONE,
)
_CHOICE = _object(
    {"message": _MESSAGE}, finish_reason=_TEXT_OR_NONE, native_finish_reason=_NONE, logprobs=_NONE, error=_NONE
)
_USAGE = _object(
    {},
    prompt_tokens=_COUNT,
    completion_tokens=_COUNT,
    completion_tokens_details=cs.nullable_schema(_object({}, reasoning_tokens=_COUNT)),
)
_PLAIN = SchemaValidator(
    _object(
        {"choices": cs.tuple_schema([_CHOICE])},
        model=_TEXT_OR_NONE,
        usage=cs.nullable_schema(_USAGE),
        error=_NONE,
    )
)
