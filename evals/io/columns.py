"""Columns of the CSV files that emeval writes, each declared once with its type and meaning."""

from __future__ import annotations

import types
from collections.abc import Iterable
from typing import Annotated, Any, Literal, NamedTuple, Union, get_args, get_origin, get_type_hints

Kind = Literal["text", "integer", "number"]

_KINDS: dict[object, Kind] = {str: "text", Literal: "text", int: "integer", float: "number"}


class Column(NamedTuple):
    """A column. `meaning` is a Markdown sentence without full stop, with the unit and range of numbers."""

    name: str
    kind: Kind
    meaning: str


def column_names(columns: Iterable[Column]) -> tuple[str, ...]:
    """The header of the file."""
    return tuple(column.name for column in columns)


def columns_of(row: type[tuple[Any, ...]]) -> tuple[Column, ...]:
    """The columns of a NamedTuple whose fields are `Annotated[TYPE, MEANING]`."""
    hints = get_type_hints(row, include_extras=True)
    return tuple(_column(name, hint) for name, hint in hints.items())


def _column(name: str, hint: Any) -> Column:
    if get_origin(hint) is not Annotated:
        raise TypeError(f"{name}: has no meaning")
    kind, meaning = get_args(hint)
    if get_origin(kind) in (Union, types.UnionType):
        kind = next(part for part in get_args(kind) if part is not type(None))
    return Column(name, _KINDS[get_origin(kind) or kind], meaning)


def markdown_table(columns: Iterable[Column]) -> str:
    """A Markdown table of names, types and meanings."""
    rows = (f"| `{column.name}` | {column.kind} | {column.meaning} |" for column in columns)
    return "\n".join(("| column | type | meaning |", "|---|---|---|", *rows))
