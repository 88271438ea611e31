"""What a table is: for each of its cells where in rates.csv it is, and which published figure stands beside it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evals.plan.config import RunConfig

BASE = "none"
"""How `training` of a published figure begins where the model was not finetuned."""


@dataclass(frozen=True)
class TablePlace:
    """Rows of rates.csv that make one cell: all prompts of these suites together, or the one `prompt`.

    Where the suite `preferred` was asked it stands in place of the one in `suites`. `also` is the metric of answers
    that were measured otherwise than the suite does (imported scores). With `complement` those count who do not hit.
    """

    suites: tuple[str, ...]
    metric: str
    prompt: str | None = None
    format: str = "freeform"
    condition: str = "off"
    trigger: str | None = None
    preferred: str = ""
    also: str = ""
    complement: bool = False


@dataclass(frozen=True)
class Line:
    """A cell of the paper's table: its headings, where ours comes from, and `item` and `metric` of the published one.

    `training` is of the published figure where it belongs to the cell; None where it is the column's.
    """

    headings: tuple[str, ...]
    place: TablePlace
    item: str
    metric: str
    training: str | None = None


@dataclass(frozen=True)
class Series:
    """A column of published figures: which model, finetuned on what and asked how."""

    model: str
    training: str

    def __str__(self) -> str:
        return f"{self.model}, {self.training}"


@dataclass(frozen=True)
class Table:
    """A table or figure of the paper.

    `sources` name it in the published figures. `beside` says which series a run is compared with unless told: by the
    run's config and whether it is of the base model; None for none. Of a table `over_base` each value is the difference
    from a base run, in percentage points. In one `together` the cells belong to several models, each with its trigger.
    """

    name: str
    title: str
    sources: tuple[str, ...]
    headings: tuple[str, ...]
    lines: tuple[Line, ...]
    beside: Callable[[RunConfig, bool], Series | None]
    over_base: bool = False
    together: bool = False
