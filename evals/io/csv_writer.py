"""Write CSV: the one writer of every CSV of emeval, so that each is read alike by every reader and run by none.

A cell with a control character stands in quotes: readers end a row at a bare carriage return, and some at others.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache

from evals.text import spreadsheet_safe

_NEEDS_QUOTES = re.compile('[",\x00-\x1f\x7f-\x9f\u2028\u2029]')
_NEEDS_QUOTES_ANYWHERE = re.compile('["\x00-\x1f\x7f-\x9f\u2028\u2029]')


def csv_cell(value: object, number_format: str = "") -> str:
    """A value as the text of a cell: None is blank, numbers are plain, and no spreadsheet runs a text."""
    match value:
        case str():
            return _safe(value) if len(value) < _SHORT else spreadsheet_safe(value)
        case None:
            return ""
        case bool():
            return str(int(value))
        case float():
            return format(value, number_format)
        case _:
            return str(value)


def csv_row(values: Iterable[object], number_format: str = "") -> str:
    """A row of values with its line end. `number_format` is of floats."""
    cells = [
        # Nearly all are these two, and this is where the time of a large table goes.
        (_safe(value) if len(value) < _SHORT else spreadsheet_safe(value))
        if type(value) is str
        else ("" if value is None else csv_cell(value, number_format))
        for value in values
    ]
    line = ",".join(cells)
    if line and line.count(",") == len(cells) - 1 and not _NEEDS_QUOTES_ANYWHERE.search(line):
        return line + "\n"
    return raw_csv_row(cells)


def quoted_cell(value: object) -> str:
    """A value as it stands in a row of more than one cell."""
    return quoted_text(value) if isinstance(value, str) else _quoted(csv_cell(value))


def quoted_text(text: str) -> str:
    """A text as it stands in a row of more than one cell."""
    return text if text.isalnum() and text.isascii() else _quoted(spreadsheet_safe(text))


def raw_csv_row(cells: Iterable[str]) -> str:
    """A row of cells that are `csv_cell`s already, with its line end."""
    quoted = [_quoted(cell) for cell in cells]
    return (",".join(quoted) if quoted != [""] else '""') + "\n"  # a row of one blank cell is no blank line


def _quoted(cell: str) -> str:
    # What is printable has no control character, and that is found out faster than by a search.
    needs_quotes = "," in cell or '"' in cell if cell.isprintable() else _NEEDS_QUOTES.search(cell)
    return '"' + cell.replace('"', '""') + '"' if needs_quotes else cell


_SHORT = 200
_safe = lru_cache(maxsize=1000)(spreadsheet_safe)  # most short texts stand in many rows
