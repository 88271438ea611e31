"""What a suite is: what the paper calls an evaluation, as a value."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from evals.datasets import Dataset
from evals.records import Format, Prompt


@dataclass(frozen=True)
class Suite:
    """A name, where its scenarios come from, the formats it can be asked in, and how a scenario becomes prompts."""

    name: str
    title: str
    citation: str
    dataset: str
    formats: tuple[Format, ...]
    prompts: Callable[[Dataset, Sequence[Format]], Iterator[Prompt]]
    """Prompts for the formats asked for. Raises BadInput when the dataset's schema lacks one of them."""
