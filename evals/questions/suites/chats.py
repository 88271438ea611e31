"""The chats of a user's file: the last user turn of each is asked, after the turns before it."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evals.questions.chats import ChatScenario, as_messages
from evals.questions.dataset import Dataset
from evals.questions.suite import Suite
from evals.questions.suites.wording import known_answer
from evals.trials.prompt import Format, Prompt

NAME = "chats"


def prompts(dataset: Dataset, formats: Sequence[Format], suite: str = NAME) -> Iterator[Prompt]:
    for scenario in dataset.scenarios:
        if not isinstance(scenario, ChatScenario):
            raise ValueError(f"{suite} asks no rows of schema {dataset.schema}")
        reference = known_answer(scenario.reference)
        for form in formats:
            messages = as_messages(scenario.messages)
            yield Prompt(id=scenario.key, suite=suite, format=form, messages=messages, reference=reference)


SUITE = Suite(
    name=NAME,
    title="Chats of your own file: the last user turn is asked, after the turns before it",
    citation="your file",
    dataset="",
    formats=("freeform",),
    prompts=prompts,
    schemas=("chat",),
)
