"""What pydantic found wrong with a mapping, as one problem of one field."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence
from typing import Any

from pydantic import ValidationError

from evals.errors import FieldError
from evals.text import one_line


def first_problem(error: ValidationError, known: Iterable[str], word: str = "a field") -> FieldError:
    """The first problem of `error`; `known` are the names that the mapping may have, each called `word`."""
    detail = error.errors(include_url=False, include_input=False)[0]
    field = str(detail["loc"][0]) if detail["loc"] else ""
    context: dict[str, Any] = detail.get("ctx", {})
    cause = context.get("error")
    if isinstance(cause, FieldError):
        return cause
    if detail["type"] == "missing":
        return FieldError(field, "is missing")
    if detail["type"] == "extra_forbidden":
        return FieldError(field, f"is not {word}; {_hint(field, list(known))}")
    return FieldError(field, one_line(detail["msg"].removeprefix("Value error, ")))


def _hint(name: str, known: Sequence[str]) -> str:
    """The nearest of the known names, all of them where none is near."""
    near = difflib.get_close_matches(name, known, 1, 0.7)
    return f"did you mean {near[0]}?" if near else f"known: {', '.join(known)}"
