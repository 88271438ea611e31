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
    (none). A thought may be in the field and in tags at once; the last closing tag ends it.
    """
    tagged = _split_tags(content)
    if not reasoning_field:
        return tagged
    reasoning = f"{reasoning_field.strip()}\n{tagged.reasoning}".strip()
    cut_inside = finish_reason == "length" and not tagged.answer
    cut = tagged.state == "truncated" or cut_inside
    return SplitReply(reasoning, tagged.answer, "truncated" if cut else "complete")


def _split_tags(content: str) -> SplitReply:
    before, closing, after = content.rpartition(_CLOSE)
    thought = before.strip()
    opened = _OPEN in thought
    if thought.startswith(_OPEN):
        thought = thought.removeprefix(_OPEN).strip()
    if _OPEN in after:
        unclosed = after.strip().removeprefix(_OPEN).strip()
        return SplitReply(f"{thought}\n{unclosed}".strip(), "", "truncated")
    if closing:
        return SplitReply(thought, after.strip(), "complete" if opened else "unopened")
    return SplitReply("", after.strip(), "absent")
