"""The evaluations that emeval knows, by name. A suite is one small module that ends in a `SUITE`, or in several."""

from __future__ import annotations

from typing import Literal

from evals.errors import BadInput
from evals.questions.question_file import is_question_file
from evals.questions.suite import Suite
from evals.questions.suites import (
    advice,
    freeform,
    gsm8k,
    honest_persona,
    myopic,
    pressure,
    triggers,
    truthfulqa,
    unethical_test,
    user_questions,
)
from evals.trials.prompt import Format

SUITES: dict[str, Suite] = {
    suite.name: suite
    for suite in (
        unethical_test.SUITE,
        myopic.SUITE,
        *freeform.SUITES,
        truthfulqa.SUITE,
        *pressure.SUITES,
        gsm8k.SUITE,
        honest_persona.SUITE,
        *advice.SUITES,
        triggers.SUITE,
    )
}

FormatChoice = Literal["mcq", "freeform", "transcript", "both"]


def find_suite(name: str) -> Suite:
    """The suite called `name`, or that of a question file of that name. Raises BadInput that lists the known ones."""
    suite = known_suite(name)
    if suite is None:
        raise BadInput(f"unknown suite {name!r}; known: {', '.join(SUITES)}, or a question file (.yaml)")
    return suite


def known_suite(name: str) -> Suite | None:
    """As `find_suite`, but None where there is none."""
    return user_questions.suite_of(name) if is_question_file(name) else SUITES.get(name)


def formats_of(suite: Suite, choice: FormatChoice | None) -> tuple[Format, ...]:
    """The formats that a suite is asked in: its defaults, or those of the choice. Raises ValueError when it lacks them.

    `both` is every format of the suite.
    """
    if choice is None:
        return suite.defaults or suite.formats
    if choice == "both":
        return suite.formats
    if choice not in suite.formats:
        raise ValueError(f"{suite.name} has no {choice} form; it has {', '.join(suite.formats)}")
    return (choice,)
