"""A reply as a file of the answer cache has it.

The folder may hold anything. An entry is a line with the SHA-256 of its key and its text, and that text, which is read
against a schema and a limit of size; whatever else is there is no entry.
"""

from __future__ import annotations

import hashlib
from typing import Annotated

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evals.endpoints.chat import Reply
from evals.trials.finish_reason import ending_of

MOST_BYTES = 4 << 20
"""Bytes of an entry. A longer reply is not kept."""

_Tokens = Annotated[int, Field(ge=0, le=1 << 40)] | None


class _Entry(BaseModel):
    """The fields of a Reply that a later run has a use for: neither how long it took, nor how often it was asked."""

    model_config = ConfigDict(frozen=True, extra="forbid", strict=True, allow_inf_nan=False)

    content: str
    reasoning: str
    finish_reason: str
    model: str
    prompt_tokens: _Tokens
    completion_tokens: _Tokens
    token_alternatives: tuple[tuple[str, dict[str, Annotated[float, Field(ge=0)]]], ...] | None
    reasoning_withheld: bool
    prefill: str


def is_kept(reply: Reply) -> bool:
    """Whether a reply is whole and nothing about it is odd: cut off, filtered, refused, empty, or of another model."""
    is_whole = ending_of(reply.finish_reason) == "whole" and not reply.refusal and not reply.answered_as
    return is_whole and bool(reply.content.strip())


def packed(key: str, reply: Reply) -> bytes | None:
    """The entry of a reply, None for one that is too long or holds no text."""
    fields = {name: getattr(reply, name) for name in _Entry.model_fields}
    alternatives = reply.token_alternatives
    if alternatives is not None:
        fields["token_alternatives"] = tuple((token, dict(others)) for token, others in alternatives)
    try:
        body = _Entry.model_validate(fields).model_dump_json().encode()
    except ValueError:  # half characters, or a number that is none
        return None
    content = _digest(key, body) + b"\n" + body
    return content if len(content) <= MOST_BYTES else None


def unpacked(key: str, content: bytes) -> Reply | None:
    """The reply in an entry, None where it is damaged, or an entry of another key."""
    digest, _, body = content.partition(b"\n")
    if digest != _digest(key, body):
        return None
    try:
        entry = _Entry.model_validate_json(body)
    except ValidationError:
        return None
    fields = {name: getattr(entry, name) for name in _Entry.model_fields}
    reply = Reply(**fields, refusal="", latency_s=0.0, attempts=0)
    return reply if is_kept(reply) else None


def _digest(key: str, body: bytes) -> bytes:
    return hashlib.sha256(key.encode() + b"\n" + body).hexdigest().encode()
