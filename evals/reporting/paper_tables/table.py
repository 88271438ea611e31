"""Table definitions: for each cell its rows in rates.csv, and the published figure to compare with."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

from evals.plan.config import RunConfig

BASE = "none"
"""The beginning of `training` in a published figure of a base model."""


@dataclass(frozen=True, slots=True)
class Absent:
    """Why a cell has no number."""

    reason: str


@dataclass(frozen=True)
class TablePlace:
    """The rows of rates.csv for one cell: the paper's prompts of these suites, or only `prompt`.

    The suite `preferred`, if asked, replaces `suites`. `also` is an alternative metric, for imported scores. With
    `complement` misses are counted, with `mean` the rates of the prompts weigh alike.
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
    mean: bool = False


@dataclass(frozen=True)
class Line:
    """A cell of the paper's table: its headings, its rows in rates.csv, and the published `item` and `metric`.

    `training` is that of the published figure, None if it is the column's.
    """

    headings: tuple[str, ...]
    place: TablePlace
    item: str
    metric: str
    training: str | None = None


@dataclass(frozen=True)
class Series:
    """A column of published figures: the model, its finetuning data and its setting."""

    model: str
    training: str

    def __str__(self) -> str:
        return f"{self.model}, {self.training}"


@dataclass(frozen=True)
class Table:
    """A table or figure of the paper.

    `sources` name it in the published figures. `beside` gives the default series to compare a run with, from its config
    and whether it is of the base model; None for none. With `over_base` values are differences from a base run, in
    percentage points. With `together` the cells belong to several models, each with its trigger.
    """

    name: str
    title: str
    sources: tuple[str, ...]
    headings: tuple[str, ...]
    lines: tuple[Line, ...]
    beside: Callable[[RunConfig, bool], Series | None]
    over_base: bool = False
    together: bool = False
