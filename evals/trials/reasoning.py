"""Split a reply into reasoning and answer, and say in what state the reasoning is.

Servers put a chain of thought in one of three places: a `reasoning` field (vLLM, OpenRouter), a `reasoning_content`
field (DeepSeek, SGLang, llama.cpp), or a pair of marks such as <think> and </think> inside the content (no reasoning
parser). Some say only that there was one. An unfinished thought is never an answer: its state is `truncated` and its
answer is empty.

The same marks are read in prompts: what a chat template opens or closes before the model says its first word.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from evals.trials.response import ReasoningState

# What opens and what closes a thought, in any letter case.
_MARKS = (
    *((f"<{name}>", f"</{name}>") for name in ("think", "thinking", "thought", "reasoning", "seed:think")),
    (r"\[THINK\]", r"\[/THINK\]"),  # Magistral
    (  # gpt-oss: the final channel ends every other one
        r"(?:<\|start\|>assistant)?<\|channel\|>(?:analysis|commentary)(?:[^<]*<\|message\|>)?",
        r"(?:<\|end\|>)?(?:<\|start\|>assistant)?<\|channel\|>final(?:\s*<\|message\|>)?",
    ),
)
_SIDES = "|".join(f"(?P<open_{n}>{opens})|(?P<close_{n}>{closes})" for n, (opens, closes) in enumerate(_MARKS))
# What every mark begins with is looked for first: most of a reply is neither, and trying each mark there takes long.
_MARK = re.compile(rf"(?=[<\[])(?:{_SIDES})", re.IGNORECASE)


PAPER_PREFILL = "<think>\nOkay"
"""How the assistant's turn begins when thinking is asked for (Chua et al. 2025, A.6)."""


class SplitReply(NamedTuple):
    reasoning: str
    answer: str
    state: ReasoningState


def split_reply(
    content: str, reasoning_field: str, finish_reason: str, *, prefill: str = "", withheld: bool = False
) -> SplitReply:
    """Reasoning, answer and state of a reply, both texts with the `prefill` that the content goes on from.

    States: `complete` (a closed thought, even an empty one), `truncated` (opened and never closed, or cut off by the
    token limit before any answer), `unopened` (a closing tag only, as when the template opens the thought), `withheld`
    (the server says that there was a thought and shows nothing of it), `absent` (none). A thought may be in the field
    and in marks at once; the last closing mark ends it. An answer that names an opening mark reads as truncated:
    missing rather than wrong. A prefill to which the model added nothing is no answer of the model.
    """
    marked = _split_marks(prefill + content)
    if prefill and not content.strip():
        marked = marked._replace(answer="")
    if not reasoning_field:
        return marked._replace(state="withheld") if withheld and marked.state == "absent" else marked
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


def opened_by(prompt: str) -> str:
    """The mark with which a rendered prompt leaves a thought open, with the white space after it; "" if it does not."""
    last = _last_mark(prompt)
    if last is None or _side_and_kind(last)[0] != "open" or prompt[last.end() :].strip():
        return ""
    return prompt[last.start() :]


def turn_state(turn: str) -> Literal["open", "closed", "unmarked"]:
    """Where the beginning of an assistant's turn leaves the model: in a thought, after one, or free to begin one."""
    last = _last_mark(turn)
    if last is None:
        return "unmarked"
    return "open" if _side_and_kind(last)[0] == "open" else "closed"


def _last_mark(text: str) -> re.Match[str] | None:
    marks = list(_MARK.finditer(text))
    return marks[-1] if marks else None


def continuation(prompt: str, prefill: str) -> str:
    """What to put after a rendered prompt so that the turn begins with `prefill`, no thought opened twice."""
    opened = opened_by(prompt)
    mark = _MARK.match(prefill)
    if not opened or mark is None or _side_and_kind(mark)[0] != "open":
        return prefill
    begun = opened[len(opened.rstrip()) :]  # the white space that the template put after its mark
    rest = prefill[mark.end() :]
    return rest.removeprefix(begun) if rest.startswith(begun) else rest.lstrip()


def _side_and_kind(mark: re.Match[str]) -> tuple[str, str]:
    side, _, kind = str(mark.lastgroup).partition("_")
    return side, kind


def _without_opening(thought: str) -> str:
    thought = thought.strip()
    mark = _MARK.match(thought)
    if mark is not None and _side_and_kind(mark)[0] == "open":
        return thought[mark.end() :].strip()
    return thought
