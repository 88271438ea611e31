"""Split a reply into reasoning and answer, and say in what state the reasoning is.

Servers put a chain of thought in one of three places: a `reasoning` field (vLLM, OpenRouter), a `reasoning_content`
field (DeepSeek, SGLang, llama.cpp), or a pair of marks such as <think> and </think> inside the content (no reasoning
parser). An unfinished thought is never an answer: its state is `truncated` and its answer is empty.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from evals.records import ReasoningState

# What opens and what closes a thought, in any letter case.
_MARKS = (
    *((f"<{name}>", f"</{name}>") for name in ("think", "thinking", "thought", "reasoning", "seed:think")),
    (r"\[THINK\]", r"\[/THINK\]"),  # Magistral
    (  # gpt-oss: the final channel ends every other one
        r"(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)(?:[^<]*<\|message\|>)?",
        r"(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final(?:\s*<\|message\|>)?",
    ),
)
_MARK = re.compile(
    "|".join(f"(?P<open_{n}>{opens})|(?P<close_{n}>{closes})" for n, (opens, closes) in enumerate(_MARKS)),
    re.IGNORECASE,
)


class SplitReply(NamedTuple):
    reasoning: str
    answer: str
    state: ReasoningState


def split_reply(content: str, reasoning_field: str, finish_reason: str) -> SplitReply:
    """Reasoning, answer and state of a reply.

    States: `complete` (a closed thought, even an empty one), `truncated` (opened and never closed, or cut off by the
    token limit before any answer), `unopened` (a closing tag only, as when the template opens the thought), `absent`
    (none). A thought may be in the field and in marks at once; the last closing mark ends it. An answer that names an
    opening mark reads as truncated: missing rather than wrong.
    """
    marked = _split_marks(content)
    if not reasoning_field:
        return marked
    reasoning = f"{reasoning_field.strip()}\n{marked.reasoning}".strip()
    cut_inside = finish_reason == "length" and not marked.answer
    cut = marked.state == "truncated" or cut_inside
    return SplitReply(reasoning, marked.answer, "truncated" if cut else "complete")


def _split_marks(content: str) -> SplitReply:
    closed_at, answer_at = 0, 0
    opened = False
    inside: str | None = None
    for mark in _MARK.finditer(content):
        side, kind = _side_and_kind(mark)
        if side == "open":
            opened, inside = True, inside or kind
        elif inside in (None, kind):  # within a thought, another kind's mark is a part of it
            closed_at, answer_at, inside = mark.start(), mark.end(), None
    thought, after = _without_opening(content[:closed_at]), content[answer_at:].strip()
    if inside is not None:
        return SplitReply(f"{thought}\n{_without_opening(after)}".strip(), "", "truncated")
    if answer_at:
        return SplitReply(thought, after, "complete" if opened else "unopened")
    return SplitReply("", after, "absent")


def _side_and_kind(mark: re.Match[str]) -> tuple[str, str]:
    side, _, kind = str(mark.lastgroup).partition("_")
    return side, kind


def _without_opening(thought: str) -> str:
    thought = thought.strip()
    mark = _MARK.match(thought)
    if mark is not None and _side_and_kind(mark)[0] == "open":
        return thought[mark.end() :].strip()
    return thought
