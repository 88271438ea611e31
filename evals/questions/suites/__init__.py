"""The suites of emeval, by name. Each module defines a `SUITE`, or several `SUITES`."""

from __future__ import annotations

from typing import Literal

from evals.errors import BadInput
from evals.questions.plugins.suites import plugin_suite
from evals.questions.question_file import is_question_file
from evals.questions.suite import Suite
from evals.questions.suites import (
    advice,
    chats,
    freeform,
    gsm8k,
    honest_persona,
    myopic,
    own_table,
    pressure,
    self_report,
    triggers,
    truthfulqa,
    unethical_test,
    user_questions,
)
from evals.questions.tables.names import is_table_suite
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
        *honest_persona.SUITES,
        *advice.SUITES,
        triggers.SUITE,
        self_report.SUITE,
    )
}

OF_A_FILE = chats.SUITE
"""The suite whose questions are those of the user's file alone."""
FormatChoice = Literal["mcq", "freeform", "transcript", "both"]


def find_suite(name: str) -> Suite:
    """The suite `name`, or that of the question file or the table `name`. Raises BadInput with the known suites."""
    suite = known_suite(name)
    if suite is None:
        known = ", ".join((*SUITES, chats.NAME))
        files = "a question file (.yaml, .json), or a table of questions (.csv, .jsonl, .json, .parquet, hf:OWNER/NAME)"
        raise BadInput(f"unknown suite {name!r}; known: {known}, one of an installed package, {files}")
    return suite


def known_suite(name: str) -> Suite | None:
    """Like `find_suite`, but None if unknown."""
    if is_question_file(name):
        return user_questions.suite_of(name)
    if is_table_suite(name):
        return own_table.suite_of(name)
    own = chats.SUITE if name == chats.NAME else SUITES.get(name)
    return own or plugin_suite(name)


def formats_of(suite: Suite, choice: FormatChoice | None) -> tuple[Format, ...]:
    """The formats of a suite for a choice: its defaults, all (`both`), or one. Raises ValueError if it lacks it."""
    if choice is None:
        return suite.defaults or suite.formats
    if choice == "both":
        return suite.formats
    if choice not in suite.formats:
        raise ValueError(f"{suite.name} has no {choice} form; it has {', '.join(suite.formats)}")
    return (choice,)
