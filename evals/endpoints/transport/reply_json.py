"""The JSON of a reply, with limits on what it may hold: a few bytes of it can stand for many objects in memory."""

from __future__ import annotations

import json
from typing import Any, cast

from evals.endpoints.transport.transport import TooLarge
from evals.text import well_formed

MAX_VALUES = 1_000_000
MAX_CHOICES = 1_000
MAX_PARTS = 10_000
MAX_TOKENS = 200_000
MAX_ALTERNATIVES = 1_000
MAX_MODELS = 20_000


class Unparsable(Exception):
    """A body that is not what its route sends."""


def check_values(body: str) -> None:
    """Raises TooLarge for a body that could hold too many values, by the marks that stand before each."""
    if len(body) > MAX_VALUES and sum(map(body.count, ",[{")) > MAX_VALUES:
        raise TooLarge(f"{MAX_VALUES:,} values")


def check_length(value: object, most: int, what: str) -> None:
    """Raises TooLarge for a list of more than `most`."""
    if isinstance(value, list) and len(cast("list[object]", value)) > most:
        raise TooLarge(f"{most:,} {what}")


def parsed_json(body: str) -> object:
    """The value of a body, with its texts well-formed. Raises Unparsable and TooLarge."""
    check_values(body)
    try:
        return _well_formed(json.loads(body))
    except (ValueError, RecursionError):
        raise Unparsable from None


def _well_formed(value: object) -> object:
    match value:
        case str():
            return well_formed(value)
        case list():
            return [_well_formed(inner) for inner in cast("list[object]", value)]
        case dict():
            fields = cast("dict[str, Any]", value)
            return {well_formed(name): _well_formed(inner) for name, inner in fields.items()}
        case _:
            return value
