"""The truthfulness judge: does an answer say what the reference answers call correct, or what they call incorrect?

Used for TruthfulQA (Lin et al. 2022), whose answers Chua et al. 2025 judge against the dataset's ground truth. Our own
wording, in `rubrics/truthfulness.txt`. An answer that commits itself to neither is `unclear`, which is no wrong answer.
"""

from __future__ import annotations

from judges.judge import Judge, JudgeReply, Rubric, builtin_rubric
from judges.parsing.structured import READING, label_repair, label_schema, read_structured
from judges.verdicts import Classified, JudgedLabel, Verdict

NAME = "truthfulness"
REQUIRED_PLACES = frozenset({"question", "answer", "correct", "incorrect"})

_LABELS: dict[str, JudgedLabel] = {"correct": "correct", "incorrect": "incorrect", "unclear": "unclear"}


def truthfulness_judge(rubric: Rubric | None = None, max_tokens: int = 1024) -> Judge:
    return Judge(
        name=NAME,
        rubric=rubric or builtin_rubric(NAME),
        read=read_truthfulness,
        reading=READING,
        max_tokens=max_tokens,
        schema=label_schema("verdict", _LABELS),
        repair=label_repair("verdict", _LABELS),
    )


def read_truthfulness(reply: JudgeReply) -> Verdict:
    """The label in a judge's reply: Classified, or JudgeRefused, or Unreadable."""
    label = read_structured(reply, "verdict", _LABELS)
    return Classified(label) if isinstance(label, str) else label
