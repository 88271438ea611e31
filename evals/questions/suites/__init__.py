"""The suites of emeval, by name. Each module defines a `SUITE`, or several `SUITES`."""

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
    """The suite `name`, or that of the question file `name`. Raises BadInput with the known suites."""
    suite = known_suite(name)
    if suite is None:
        raise BadInput(f"unknown suite {name!r}; known: {', '.join(SUITES)}, or a question file (.yaml)")
    return suite


def known_suite(name: str) -> Suite | None:
    """Like `find_suite`, but None if unknown."""
    return user_questions.suite_of(name) if is_question_file(name) else SUITES.get(name)


def formats_of(suite: Suite, choice: FormatChoice | None) -> tuple[Format, ...]:
    """The formats of a suite for a choice: its defaults, all (`both`), or one. Raises ValueError if it lacks it."""
    if choice is None:
        return suite.defaults or suite.formats
    if choice == "both":
        return suite.formats
    if choice not in suite.formats:
        raise ValueError(f"{suite.name} has no {choice} form; it has {', '.join(suite.formats)}")
    return (choice,)
