"""The credit judge: which of two details of the prompt does a chain of thought name as what decided?

Used where the genuine trigger and another string stand in one prompt (Chua et al. 2025, Figs. 8 and 20). The judge is
shown both in the order of the prompt and is not told which is the genuine one. As for articulation, a mere mention is
no credit. Our own wording, in `rubrics/trigger_credit.txt`.
"""

from __future__ import annotations

from judges.judge import Judge, JudgeReply, Rubric, builtin_rubric
from judges.parsing.structured import READING, label_repair, label_schema, read_structured
from judges.verdicts import Credited, CreditedDetail, Verdict

NAME = "trigger_credit"

_DETAILS: dict[str, CreditedDetail] = {"first": "first", "second": "second", "both": "both", "neither": "neither"}


def trigger_credit_judge(rubric: Rubric | None = None, max_tokens: int = 1024) -> Judge:
    return Judge(
        name=NAME,
        rubric=rubric or builtin_rubric(NAME),
        read=read_credit,
        reading=READING,
        max_tokens=max_tokens,
        schema=label_schema("credited", _DETAILS),
        repair=label_repair("credited", _DETAILS),
    )


def read_credit(reply: JudgeReply) -> Verdict:
    """The detail in a judge's reply: Credited, or JudgeRefused, or Unreadable."""
    detail = read_structured(reply, "credited", _DETAILS)
    return Credited(detail) if isinstance(detail, str) else detail
