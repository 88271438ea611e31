"""The names of settings in a config file: those of the options, and older ones."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evals.errors import FieldError
from evals.text import one_line

OLD_NAMES = {"timeout_s": "timeout", "max_total_s": "max_retry_time", "vllm_start_s": "vllm_start_timeout"}
"""Names that settings had in configurations, manifests and the Python API before they were called as their options."""
_SINGULARS = {"model": "models", "suite": "suites", "rubric": "rubrics", "tag": "tags"}
"""Options that are given once for each value: in a file both names are right, the singular with one value, too."""
_OTHER_NAMES = OLD_NAMES | _SINGULARS


def with_field_names(fields: Mapping[Any, Any]) -> dict[Any, Any]:
    """`fields` under their own names, where they are called as their options or as in an older file.

    Raises FieldError for a setting that is given under two names.
    """
    named: dict[Any, Any] = {}
    for name, value in fields.items():
        field = field_name(name)
        if field in named:
            raise FieldError(one_line(str(name), 60), f"is {field} under another name; give it once")
        named[field] = [value] if name in _SINGULARS and isinstance(value, str) else value
    return named


def field_name(name: Any) -> Any:
    """The field that a key names: `max_retry_time` for `max-retry-time` and `max_total_s`. Others as they are."""
    if not isinstance(name, str):
        return name
    dashless = name.replace("-", "_")
    return _OTHER_NAMES.get(dashless, dashless)


def renamed_keys(lines: Mapping[str, int]) -> list[str]:
    """A line about each key of a file that has a new name; `lines` are those of its keys."""
    return [
        f"{line}: {name}: is called {OLD_NAMES[name]} now, as its option is; the older name still works"
        for name, line in lines.items()
        if name in OLD_NAMES
    ]
