"""What a token costs: a small dated table that comes with emeval, and the user's own above it.

A price belongs to a model at a server: the same name elsewhere may cost something else. What is in no table has no
price, and is never taken for free. Prices are list prices per million tokens, without the discounts of a cache,
so what is computed with them is the most that the tokens can have cost.
"""

from __future__ import annotations

import csv
import datetime
import os
import re
from collections.abc import Iterable
from dataclasses import dataclass
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Literal, TypeAlias

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from evals.endpoints.model_spec import ModelSpec
from evals.errors import BadInput
from evals.io.paths import MOST_TEXT, expanded, open_file
from evals.text import one_line

VARIABLE = "EMEVAL_PRICES"
BATCH_DISCOUNT = 0.5
"""The share of the list price that OpenAI's Batch API is cheaper by."""
COLUMNS = ("model", "server", "input", "output", "as_of", "source")
_BUILTIN = Path(__file__).with_name("prices.csv")
_DATED = re.compile(r"-\d{4}-\d{2}-\d{2}$")


class Price(BaseModel):
    """US dollars per million tokens of the prompt (`input`) and of the reply (`output`), its reasoning included.

    `as_of` is the day on which `source` said so.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    input: Annotated[float, Field(ge=0)]
    output: Annotated[float, Field(ge=0)]
    as_of: datetime.date
    source: str

    def usd(self, prompt_tokens: int, completion_tokens: int) -> float:
        return (prompt_tokens * self.input + completion_tokens * self.output) / 1e6


Tariff: TypeAlias = Price | Literal["unknown", "served here"]
"""What the tokens of a model cost. `served here` is a model that emeval serves itself: nobody sends a bill for it."""


class _Row(Price):
    model: Annotated[str, Field(pattern="^[^/]+/.+$")]
    server: str = ""

    def price(self) -> Price:
        return Price(input=self.input, output=self.output, as_of=self.as_of, source=self.source)


@dataclass(frozen=True)
class Prices:
    """Prices by model as written (`provider/name`) and base URL of the server, "" for any; earlier rows win."""

    rows: tuple[tuple[str, str, Price], ...]

    def find(self, model: str, url: str) -> Price | None:
        """The price of a model at a server. One that is named with a date costs what it costs without, unless the
        table knows better."""
        for name in (model, _DATED.sub("", model)):
            for known, server, price in self.rows:
                if known == name and server in ("", url.rstrip("/")):
                    return price
        return None

    def tariff(self, spec: ModelSpec) -> Tariff:
        """Of several servers of one model the first speaks for all."""
        if spec.is_served_here:
            return "served here"
        return self.find(spec.name, spec.base_url or "") or "unknown"


NO_PRICES = Prices(())


def read_prices(file: str | None = None) -> Prices:
    """The table of emeval, and above it the user's: `file`, else what EMEVAL_PRICES names. Raises BadInput."""
    own = file or os.environ.get(VARIABLE)
    return Prices((*(_read(expanded(own)) if own else ()), *_read(_BUILTIN)))


def _read(path: Path) -> Iterable[tuple[str, str, Price]]:
    try:
        with TextIOWrapper(open_file(path, MOST_TEXT), encoding="utf-8-sig", newline="") as file:
            reader = csv.DictReader(file, strict=True)
            missing = [name for name in COLUMNS if name != "server" and name not in (reader.fieldnames or ())]
            if missing:
                raise BadInput(f"{path}:1: prices: no column {missing[0]}; a price table has {', '.join(COLUMNS)}")
            return [_row(path, reader.line_num, row) for row in reader]
    except OSError as error:
        raise BadInput(f"{path}: prices cannot be read: {error.strerror}") from None
    except (UnicodeDecodeError, csv.Error):
        raise BadInput(f"{path}: prices: is not a CSV file in UTF-8") from None


def _row(path: Path, line: int, cells: dict[str, str | None]) -> tuple[str, str, Price]:
    try:
        row = _Row.model_validate({name: (cell or "").strip() for name, cell in cells.items()})
    except (ValidationError, AttributeError) as error:
        field, reason = "row", "has more cells than the table has columns"
        if isinstance(error, ValidationError):
            fault = error.errors()[0]
            field, reason = one_line(str(fault["loc"][0]), 40), one_line(fault["msg"], 100)
        raise BadInput(f"{path}:{line}: prices: {field}: {reason}") from None
    return row.model, row.server.rstrip("/"), row.price()
