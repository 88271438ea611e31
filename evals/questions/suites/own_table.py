"""A user's table of questions as a suite (see `evals.questions.tables`), named by the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from evals.questions.dataset import Dataset
from evals.questions.suite import Suite
from evals.questions.suites import chats, freeform
from evals.trials.prompt import Format, Prompt


def prompts(dataset: Dataset, formats: Sequence[Format], suite: str) -> Iterator[Prompt]:
    ask = chats.prompts if dataset.schema == "chat" else freeform.prompts
    return ask(dataset, formats, suite)


def suite_of(name: str) -> Suite:
    """The suite of the table called `name`."""
    return Suite(
        name=name,
        title="Open questions of a table of your own",
        citation="your file",
        dataset="",
        formats=("freeform",),
        prompts=partial(prompts, suite=name),
        schemas=("open", "chat"),
    )
