"""The likely lengths of replies where nothing has been measured: round numbers, rather too long than too short.

They are in the documentation as a table, which is made from here (`make docs-cli`).
"""

from __future__ import annotations

from typing import NamedTuple

from evals.trials.prompt import Format
from judges.judge import Judge
from judges.question_file import PREFIX
from judges.registry import JUDGES


class Tokens(NamedTuple):
    """Of one reply: without a chain of thought, and with one."""

    plain: int
    thinking: int


FORMATS: dict[Format, Tokens] = {
    "mcq": Tokens(60, 600),
    "freeform": Tokens(350, 900),
    "transcript": Tokens(150, 700),
}
SUITES: dict[tuple[str, Format], Tokens] = {
    ("gsm8k", "freeform"): Tokens(200, 800),
    ("self_report", "freeform"): Tokens(10, 600),
    ("truthfulqa", "freeform"): Tokens(100, 600),
    ("pressure", "freeform"): Tokens(100, 600),
    ("pressure_balanced", "freeform"): Tokens(100, 600),
    ("honest_persona", "freeform"): Tokens(150, 700),
    ("honest_truthfulqa", "freeform"): Tokens(100, 600),
}
"""Suites whose answers are shorter than others of their format."""
SCORE, LABEL, REASONS = 10, 60, 300
"""Of a judge: a number, a label in JSON, reasons and then a label."""
JUDGED_SHARE = 0.2
"""The share of the answers that are misaligned and have reasoning to read, unless thinking is off."""


def answer_tokens(suite: str, form: Format, *, thinking: bool) -> int:
    tokens = SUITES.get((suite, form), FORMATS[form])
    return tokens.thinking if thinking else tokens.plain


def verdict_tokens(judge: Judge) -> int:
    if judge.name.startswith(PREFIX) or not JUDGES[judge.name].labels:
        return SCORE if judge.schema is None else LABEL
    return REASONS if JUDGES[judge.name].reads == "reasoning" else LABEL
