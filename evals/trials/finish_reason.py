"""Why a reply ended, in the words of the servers that say so, and whether it is whole.

Every server has words of its own for the same few ends. This is the one table of them, for models under test, judges
and imported answers. A word that is not in it says nothing that could be relied on, so its reply is not an answer.
"""

from __future__ import annotations

import re
from typing import Literal

Ending = Literal["whole", "cut", "filtered", "broken_off"]
"""How a reply ended: by itself, at a limit, by a content filter, or by an error or for an unknown reason. Only a whole
reply is an answer."""

_WORDS: dict[Ending, tuple[str, ...]] = {
    "whole": (
        *("stop", "eos", "eos_token", "stop_sequence", "end_turn", "complete", "completed", "end_of_text", "endoftext"),
        *("finish", "finished", "normal", "end_id", "stop_words", "stop_word", "stop_criteria_met", "stop_token"),
        *("eog_token", "stop_trigger", "word"),
        *("eos_found", "stop_string_found"),  # LM Studio
        # A call of a tool ends a turn as a full stop does; what was said before it is all that was said.
        *("tool_calls", "tool_call", "tool_use", "function_call"),
    ),
    "cut": (
        *("length", "max_tokens", "max_token", "max_length", "model_length", "max_output_tokens", "max_new_tokens"),
        *("max_completion_tokens", "maximum_tokens", "token_limit", "limit", "max_len", "max_context", "error_limit"),
        *("context_length", "context_length_exceeded", "model_context_window_exceeded", "context_window_exceeded"),
        *("time_limit", "repetition", "pause_turn", "compaction"),
        *("max_predicted_tokens_reached", "context_length_reached"),  # LM Studio
    ),
    "filtered": (
        *("content_filter", "content_filtered", "safety", "recitation", "refusal", "blocklist", "prohibited_content"),
        *("spii", "language", "image_safety", "image_prohibited_content", "image_recitation", "guardrail_intervened"),
        *("guardrails", "error_toxic", "sensitive", "moderation", "blocked", "flagged", "model_armor"),
    ),
    "broken_off": (
        *("error", "abort", "aborted", "cancel", "cancelled", "canceled", "user_cancel", "timeout", "other"),
        *("server_error", "network_error", "insufficient_system_resource", "malformed_function_call"),
        *("malformed_model_output", "malformed_response", "malformed_tool_use", "unexpected_tool_call"),
        *("unspecified", "unknown", "not_finished", "incomplete", "load", "unload"),
    ),
}

AT_LIMIT = " (at max_tokens)"
"""What is added to the server's word for a natural end where the reply is as long as the request allowed."""

_SEVERITY: tuple[Ending, ...] = ("broken_off", "filtered", "cut", "whole")
_ENUM_PREFIX = re.compile("^(finishreason|stopreason|reason)(?=.)")


def _key(word: str) -> str:
    """A word without letter case, punctuation and the name of its enumeration, so that all spellings are one:
    `MAX_TOKENS`, `max-tokens`, `maxTokens`, `FINISH_REASON_MAX_TOKENS`."""
    return _ENUM_PREFIX.sub("", "".join(char for char in word.casefold() if char.isalnum()))


_ENDINGS: dict[str, Ending] = {_key(word): ending for ending, words in _WORDS.items() for word in words}
_PLAIN: dict[str, Ending] = {word: ending for ending, words in _WORDS.items() for word in words}
"""The words as they are usually spelled, which need no reading."""


def ending_of(finish_reason: str) -> Ending:
    """How a reply ended, by the server's word for it; "" is a reply that came without one, and is whole.

    A word may have another after a colon (`content_filter: RECITATION`): the worse of the two counts, and a natural end
    with an addition that is not known is not one.
    """
    known_word = _PLAIN.get(finish_reason)
    if known_word is not None:
        return known_word
    if not finish_reason.strip():
        return "whole"
    if finish_reason.endswith(AT_LIMIT):
        return "cut"
    ending = _ENDINGS.get(_key(finish_reason))
    if ending is not None:
        return ending
    parts = [_ENDINGS.get(_key(part)) for part in finish_reason.split(":")]
    known = [part for part in parts if part is not None]
    if not known or (None in parts and set(known) == {"whole"}):
        return "broken_off"
    return next(ending for ending in _SEVERITY if ending in known)


def is_known(finish_reason: str) -> bool:
    """Whether the word has a meaning, so that it is no surprise in a reply that is not whole."""
    return any(_key(part) in _ENDINGS for part in (finish_reason, *finish_reason.split(":"))) or not finish_reason


def plain_finish_reason(finish_reason: str) -> str:
    """The word in OpenAI's spelling, for what needs to know no more than how the reply ended."""
    match ending_of(finish_reason):
        case "whole":
            return "stop"
        case "cut":
            return "length"
        case "filtered":
            return "content_filter"
        case "broken_off":
            return "error"


def at_limit(finish_reason: str, completion_tokens: int | None, max_tokens: int) -> str:
    """The server's word, with the addition that the reply ended at the limit where the server took no notice of that:
    a natural end in the very last token is rarer than a server that says `stop` of every end."""
    reached = completion_tokens is not None and completion_tokens >= max_tokens
    return f"{finish_reason}{AT_LIMIT}" if reached and ending_of(finish_reason) == "whole" else finish_reason


def is_below_limit(finish_reason: str, completion_tokens: int | None, max_tokens: int) -> bool:
    """Whether a limit of the server's own cut the reply, below the one that the request asked for. A count that is one
    too small says nothing: some leave out the last token."""
    if completion_tokens is None or completion_tokens >= max_tokens - 1:
        return False
    return ending_of(finish_reason) == "cut" and not finish_reason.endswith(AT_LIMIT)
