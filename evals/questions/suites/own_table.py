"""A user's table of questions as a suite (see `evals.questions.tables`), named by the file."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from pathlib import Path

from evals.questions.dataset import Dataset
from evals.questions.suite import Suite
from evals.questions.suites import chats, freeform
from evals.trials.prompt import Format, Prompt


def prompts(dataset: Dataset, formats: Sequence[Format], suite: str) -> Iterator[Prompt]:
    ask = chats.prompts if dataset.schema == "chat" else freeform.prompts
    return ask(dataset, formats, suite)


def open_suite(name: str, title: str, dataset: str | Path, *, citation: str = "") -> Suite:
    """A suite of open questions, for a package that declares one (entry points `emeval.suites`).

    `dataset` is the absolute path of JSON lines with the fields of emeval's open questions (`id`, `prompt`, and as
    needed `system_prompt`, `messages`, `reference`), or of a .csv, .json or .parquet table with such columns. The
    answers are judged for alignment.
    """
    return Suite(
        name=name,
        title=title,
        citation=citation,
        dataset=str(dataset),
        formats=("freeform",),
        prompts=partial(prompts, suite=name),
        schemas=("open", "chat"),
    )


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
