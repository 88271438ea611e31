"""A judge whose whole reading is one of a few labels: reasons first, then the label as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from judges.judge import Judge, JudgeReply, Rubric
from judges.parsing.structured import READING, label_repair, label_schema, read_structured
from judges.verdicts import Classified, Verdict

_KEY = "verdict"


def label_judge(name: str, labels: Sequence[str], rubric: Rubric, max_tokens: int) -> Judge:
    """The judge called `name` that says one of `labels`."""
    return Judge(
        name=name,
        rubric=rubric,
        read=partial(read_answer_label, labels=tuple(labels)),
        reading=READING,
        max_tokens=max_tokens,
        schema=label_schema(_KEY, labels),
        repair=label_repair(_KEY, labels),
    )


def label_reply(reasons: str, label: str) -> str:
    """A reply of such a judge."""
    return f'{{"reasons": "{reasons}", "{_KEY}": "{label}"}}'


def read_answer_label(reply: JudgeReply, *, labels: Sequence[str]) -> Verdict:
    """The label in a judge's reply: Classified, or JudgeRefused, or Unreadable."""
    label = read_structured(reply, _KEY, {name: name for name in labels})
    return Classified(label) if isinstance(label, str) else label
