"""A judge whose whole reading is one of a few labels: reasons first, then the label as JSON."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

from judges.judge import Judge, Rubric
from judges.parsing.structured import READING, label_repair, label_schema, read_structured
from judges.verdicts import LabelKind

_KEY = "verdict"


def label_judge(
    name: str,
    labels: Sequence[str],
    rubric: Rubric,
    max_tokens: int,
    *,
    key: str = _KEY,
    kind: LabelKind = "classified",
) -> Judge:
    """The judge called `name` that says one of `labels`, which are of this kind, under `key` of its JSON."""
    return Judge(
        name=name,
        rubric=rubric,
        read=partial(read_structured, key=key, labels={label: label for label in labels}, kind=kind),
        reading=READING,
        max_tokens=max_tokens,
        schema=label_schema(key, labels),
        repair=label_repair(key, labels),
    )


def label_reply(reasons: str, label: str) -> str:
    """A reply of such a judge, with the key that it has by default."""
    return f'{{"reasons": "{reasons}", "{_KEY}": "{label}"}}'
