"""What a suite is: what the paper calls an evaluation, as a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

from evals.questions.dataset import Dataset, SchemaName
from evals.trials.prompt import Format, Prompt
from evals.trials.reference import Criterion


class Official(NamedTuple):
    """A file of an official source, both as `emeval datasets fetch` names them."""

    source: str
    file: str


@dataclass(frozen=True)
class Suite:
    """A name, where its scenarios come from, the formats it can be asked in, and how a scenario becomes prompts.

    `dataset` is the file that comes with emeval, `official` the original one, which is asked where it has been fetched.
    `measure` is what all of its answers are measured by, and with it which judges read them and which metrics there
    are. `defaults` are the formats asked where none is named, `conditions` those that it can be asked under; () stands
    for all of them. `for_trigger` fits a prompt to the run's trigger; a suite that `needs_trigger` is about it.
    """

    name: str
    title: str
    citation: str
    dataset: str
    formats: tuple[Format, ...]
    prompts: Callable[[Dataset, Sequence[Format]], Iterator[Prompt]]
    """Prompts for the formats asked for. Raises BadInput when the dataset's schema lacks one of them."""
    schemas: tuple[SchemaName, ...] = ("open",)
    measure: Criterion = "alignment"
    official: Official | None = None
    defaults: tuple[Format, ...] = ()
    conditions: tuple[str, ...] = ()
    for_trigger: Callable[[Prompt, str], Prompt] | None = None
    needs_trigger: bool = False
