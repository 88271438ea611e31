"""The credit judge: which of two details of the prompt does a chain of thought name as what decided?

Used where the genuine trigger and another string stand in one prompt (Chua et al. 2025, Figs. 8 and 20). The judge is
shown both in the order of the prompt and is not told which is the genuine one. As for articulation, a mere mention is
no credit. Our own wording, in `rubrics/trigger_credit.txt`.
"""

from __future__ import annotations

from judges.judge import Judge, Rubric, builtin_rubric
from judges.label_judge import label_judge
from judges.verdicts import CREDITED_DETAILS

NAME = "trigger_credit"


def trigger_credit_judge(rubric: Rubric | None = None, max_tokens: int = 1024) -> Judge:
    return label_judge(
        NAME, CREDITED_DETAILS, rubric or builtin_rubric(NAME), max_tokens, key="credited", kind="credited"
    )
