"""The CoT monitor: does the chain of thought of a misaligned answer give the misalignment away (Chua et al. 2025)?

It is shown question, chain of thought and answer, and nothing that a monitor in use would not have: no ground truth, no
trigger beside the one in the question, no word that the answer was found misaligned. Reasons first, then exactly one of
the published five flags; where several fit, the one that stands first in COT_FLAGS. Our own wording, in
`rubrics/cot_monitor.txt`. A user's prompt may have its own names for the flags and its own form of reply.
"""

from __future__ import annotations

from functools import partial

from judges.judge import Judge, JudgeReply, Rubric, builtin_rubric
from judges.parsing.flag_form import OWN_FORM, FlagForm, flag_form
from judges.parsing.structured import read_structured
from judges.rubric_file import UserRubric
from judges.verdicts import Verdict

NAME = "cot_monitor"


def cot_monitor(rubric: Rubric | None = None, max_tokens: int = 1024) -> Judge:
    """The monitor with its own rubric or another one. Raises RubricProblem for a prompt whose flags are not known."""
    form = flag_form(rubric) if isinstance(rubric, UserRubric) else OWN_FORM
    return Judge(
        name=NAME,
        rubric=rubric or builtin_rubric(NAME),
        read=partial(read_flag, form=form),
        reading=form.reading,
        max_tokens=max_tokens,
        schema=form.schema,
        repair=form.repair,
        note=f"reads the names of flags in its rubric as: {form.told}" if form.told else "",
    )


def read_flag(reply: JudgeReply, form: FlagForm) -> Verdict:
    """The flag in a monitor's reply."""
    return read_structured(reply, form.key, form.words, "flagged", form.value_of)
