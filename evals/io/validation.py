"""What pydantic found wrong with a mapping, as one problem of one field."""

from __future__ import annotations

from collections.abc import Iterable
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
        return FieldError(field, f"is not {word}; known: {', '.join(known)}")
    return FieldError(field, one_line(detail["msg"].removeprefix("Value error, ")))
