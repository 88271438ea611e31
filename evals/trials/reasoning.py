"""Split a reply into reasoning and answer, and say in what state the reasoning is.

Servers put a chain of thought in one of three places: a `reasoning` field (vLLM, OpenRouter), a `reasoning_content`
field (DeepSeek, SGLang, llama.cpp), or a pair of marks such as <think> and </think> inside the content (no reasoning
parser; `evals.trials.thought_families` lists them). Some say only that there was one. An unfinished thought is never an
answer: its state is `truncated` and its answer is empty.

The same marks are read in prompts: what a chat template opens or closes before the model says its first word.
"""

from __future__ import annotations

import re
from typing import Literal, NamedTuple

from evals.trials.response import ReasoningState
from evals.trials.thought_families import MarkFamily
from evals.trials.thought_marks import Mark, find_marks, template_ending

# What some models put around the answer that follows a thought.
_WRAPPER = re.compile(r"<(answer|response|output)>", re.IGNORECASE)


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
    marks = find_marks(content)
    if not marks:
        return SplitReply("", content.strip(), "absent")
    closed_at, answer_at = 0, 0
    closed_by: MarkFamily | None = None
    inside: str | None = None
    for mark in marks:
        if mark.opens:
            inside = inside or mark.family.kind
        elif inside in (None, mark.family.kind):  # within a thought, another kind's mark is a part of it
            closed_at, answer_at, closed_by, inside = mark.start, mark.end, mark.family, None
    thought = content[_after_openings(content, marks, 0) : closed_at].strip()
    if inside is not None:
        rest = content[_after_openings(content, marks, answer_at) :].strip()
        return SplitReply(f"{thought}\n{rest}".strip(), "", "truncated")
    if closed_by is None:
        return SplitReply("", content.strip(), "absent")
    opened = any(mark.opens for mark in marks)
    return SplitReply(thought, _unwrapped(content[answer_at:].strip(), closed_by), "complete" if opened else "unopened")


def _after_openings(content: str, marks: list[Mark], at: int) -> int:
    """Where the text begins after the opening marks of one kind that stand at `at`, one after the other."""
    kind: str | None = None
    for mark in marks:
        if mark.start < at:
            continue
        if not mark.opens or kind not in (None, mark.family.kind) or content[at : mark.start].strip():
            break
        at, kind = mark.end, mark.family.kind
    return at


def _unwrapped(answer: str, family: MarkFamily) -> str:
    """An answer without what its model puts around it."""
    if family.ends and (ending := re.search(rf"(?:{family.ends})\Z", answer, re.IGNORECASE)):
        return answer[: ending.start()].rstrip()
    wrapper = _WRAPPER.match(answer)
    if wrapper is None:
        return answer
    *before, last = re.split(f"</{wrapper[1]}>", answer[wrapper.end() :], flags=re.IGNORECASE)
    if len(before) > 1 or (before and last.strip()):
        return answer
    return "".join((*before, last)).strip()


def answer_start(turn: str) -> int | None:
    """Where the answer begins in an assistant's turn: behind the last mark that closes a thought; None without one."""
    return max((mark.end for mark in find_marks(turn) if not mark.opens), default=None)


def opened_by(prompt: str) -> str:
    """The mark with which a rendered prompt leaves a thought open, with the white space after it; "" if it does not."""
    last = _last_mark(prompt)
    if last is not None and last.opens and not prompt[last.end :].strip():
        return prompt[last.start :]
    return template_ending(prompt)


def turn_state(turn: str) -> Literal["open", "closed", "unmarked"]:
    """Where the beginning of an assistant's turn leaves the model: in a thought, after one, or free to begin one."""
    last = _last_mark(turn)
    if last is None:
        return "open" if template_ending(turn) else "unmarked"
    return "open" if last.opens else "closed"


def _last_mark(text: str) -> Mark | None:
    marks = find_marks(text)
    return marks[-1] if marks else None


def continuation(prompt: str, prefill: str) -> str:
    """What to put after a rendered prompt so that the turn begins with `prefill`, no thought opened twice."""
    opened = opened_by(prompt)
    marks = find_marks(prefill)
    if not opened or not marks or marks[0].start or not marks[0].opens:
        return prefill
    begun = opened[len(opened.rstrip()) :]  # the white space that the template put after its mark
    rest = prefill[marks[0].end :]
    return rest.removeprefix(begun) if rest.startswith(begun) else rest.lstrip()
