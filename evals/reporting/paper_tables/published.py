"""The published figures of Chua et al. 2025, from results/published/thought_crime.csv."""

from __future__ import annotations

from functools import cache
from pathlib import Path
from typing import Annotated

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from evals.errors import BadInput
from evals.io.csv_reader import csv_file
from evals.io.package import checkout_folder, package_folder

FILE_NAME = "thought_crime.csv"


def _none_if_blank(cell: object) -> object:
    return None if cell == "" else cell


class PublishedFigure(BaseModel):
    """A published number. `value` is in percent, or in percentage points if the metric ends in _pp.

    `error_95` is the half width of the published 95% interval, `n` its number of answers; None if not published.
    `training` is the finetuning data ("none" for the base model) and setting, `item` the prompt or evaluation.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    source: str
    metric: str
    model: str
    training: str
    item: str
    condition: str
    value: Annotated[float, Field(ge=-100, le=100)]
    error_95: Annotated[Annotated[float, Field(ge=0)] | None, BeforeValidator(_none_if_blank)]
    n: Annotated[Annotated[int, Field(ge=1)] | None, BeforeValidator(_none_if_blank)]
    note: str

    @property
    def is_approximate(self) -> bool:
        """Whether the paper only says about how much it is."""
        return self.note.startswith("about")


def published_folder() -> Path:
    """The folder of the published figures: inside the installed package, or in the checkout."""
    packaged = package_folder() / "published"
    return packaged if packaged.is_dir() else checkout_folder() / "results" / "published"


@cache
def figures() -> tuple[PublishedFigure, ...]:
    """All published figures, in file order. Raises BadInput for a damaged installation."""
    found: list[PublishedFigure] = []
    with csv_file(published_folder() / FILE_NAME, PublishedFigure.model_fields) as file:
        file.require(*PublishedFigure.model_fields)
        for row in file:
            try:
                found.append(PublishedFigure.model_validate(row.cells))
            except ValidationError as error:
                column = error.errors()[0]["loc"][0]
                raise BadInput(f"{file.path}:{row.line}: {column}: is not a published figure") from None
    return tuple(found)
