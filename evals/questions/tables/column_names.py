"""Columns of a user's file under emeval's names: the values of `--columns`."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable

from evals.errors import BadInput
from evals.text import one_line


def parse_columns(given: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """The file's columns by emeval's names in the values of --columns, each `NAME=COLUMN` or several with commas
    between; `NAME=` leaves that column unread. Raises ValueError."""
    names = tuple(known)
    parts = re.compile(rf",(?=\s*(?:{'|'.join(map(re.escape, names))})=)")
    found: dict[str, str] = {}
    for part in (part for value in given for part in parts.split(value)):
        name, sign, column = (text.strip() for text in part.partition("="))
        if not sign:
            raise ValueError(f"{one_line(part, 60)!r} is not NAME=COLUMN, such as {names[0]}=text")
        if name not in names:
            near = difflib.get_close_matches(name, names, 1, 0.6)
            hint = f"did you mean {near[0]}?" if near else f"known: {', '.join(names)}"
            raise ValueError(f"{one_line(name, 60)!r} is no column of emeval's; {hint}")
        if name in found:
            raise ValueError(f"{name} is given twice")
        found[name] = column
    return found


def columns_option(given: Iterable[str], known: Iterable[str]) -> dict[str, str]:
    """As `parse_columns`, of an option on the command line. Raises BadInput."""
    try:
        return parse_columns(given, known)
    except ValueError as error:
        raise BadInput(f"--columns: {error}") from None
