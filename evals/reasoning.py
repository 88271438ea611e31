"""Split a reply into reasoning and answer, and say in what state the reasoning is.

Servers put a chain of thought in one of three places: a `reasoning` field (vLLM, OpenRouter), a `reasoning_content`
field (DeepSeek, SGLang, llama.cpp), or think tags inside the content (no reasoning parser). An unfinished thought is
never an answer: its state is `truncated` and its answer is empty.
"""

from __future__ import annotations

from typing import NamedTuple

from evals.records import ReasoningState

_OPEN, _CLOSE = "<think>", "</think>"


class SplitReply(NamedTuple):
    reasoning: str
    answer: str
    state: ReasoningState


def split_reply(content: str, reasoning_field: str, finish_reason: str) -> SplitReply:
    """Reasoning, answer and state of a reply.

    States: `complete` (a closed thought, even an empty one), `truncated` (opened and never closed, or cut off by the
    token limit before any answer), `unopened` (a closing tag only, as when the template opens the thought), `absent`
    (none).
    """
    if reasoning_field:
        cut_inside = finish_reason == "length" and not content.strip()
        return SplitReply(reasoning_field.strip(), content.strip(), "truncated" if cut_inside else "complete")
    before, closing, after = content.rpartition(_CLOSE)
    if closing:
        opened = before.lstrip().startswith(_OPEN)
        reasoning = before.lstrip().removeprefix(_OPEN).strip()
        if _OPEN in after:
            return SplitReply(f"{reasoning}\n{after.strip()}", "", "truncated")
        return SplitReply(reasoning, after.strip(), "complete" if opened else "unopened")
    if content.lstrip().startswith(_OPEN):
        return SplitReply(content.lstrip().removeprefix(_OPEN).strip(), "", "truncated")
    return SplitReply("", content.strip(), "absent")
