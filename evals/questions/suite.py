"""Suites: the evaluations of the paper, as values."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evals.questions.dataset import Dataset, SchemaName
from evals.trials.prompt import Format, Prompt
from evals.trials.reference import Criterion


class Official(NamedTuple):
    """An official file: the names of source and file in `emeval datasets fetch`."""

    source: str
    file: str


@dataclass(frozen=True)
class Suite:
    """An evaluation: its scenarios, its formats, and how scenarios become prompts.

    `dataset` is the file that comes with emeval ("" where the user gives one; in a suite of another package, the
    absolute path of its own), `official` the original, which is preferred if fetched. `measure` is the criterion of all
    its answers, which determines judges and metrics. `defaults` are the default formats and `conditions` the possible
    conditions; () means all. `for_trigger` adapts a prompt to the run's trigger; a suite that `needs_trigger` asks
    about it. A suite with `thinks` False compares a chat with a transcript, in which no model thinks, and needs the
    chat's thinking off.
    """

    name: str
    title: str
    citation: str
    dataset: str
    formats: tuple[Format, ...]
    prompts: Callable[[Dataset, Sequence[Format]], Iterator[Prompt]]
    """The prompts in the given formats. Raises BadInput if the dataset's schema lacks one of them."""
    schemas: tuple[SchemaName, ...] = ("open",)
    measure: Criterion = "alignment"
    official: Official | None = None
    defaults: tuple[Format, ...] = ()
    conditions: tuple[str, ...] = ()
    for_trigger: Callable[[Prompt, str], Prompt] | None = None
    needs_trigger: bool = False
    thinks: bool = True
