"""The user's rubric files by the judge's name, however they were given."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any, cast

from evals.errors import FieldError
from evals.text import one_line
from judges.registry import OWN_JUDGES

_OLD_JUDGES = ("alignment", "coherence", "cot_monitor", "articulation", "truthfulness", "honesty", "trigger_credit")
OLD_FIELDS = {f"{name}_rubric": name for name in _OLD_JUDGES}
"""Fields that configurations and manifests had before there was `rubrics`, each with its judge."""


def with_rubrics(fields: Mapping[str, Any], plugins: Iterable[str] = ()) -> dict[str, Any]:
    """`fields` with all rubric files under `rubrics`, by the judge's name; without any if none is given.

    `plugins`: those in use, where `fields` name none. Raises FieldError for an unknown judge, for one of a plugin, and
    for a judge that is given two files.
    """
    found = {name: value for name, value in fields.items() if name != "rubrics" and name not in OLD_FIELDS}
    given: object = fields.get("rubrics")
    pairs = [(judge, fields[name]) for name, judge in OLD_FIELDS.items() if fields.get(name) is not None]
    match given:
        case None:
            pass
        case Mapping():
            pairs = [*cast("Mapping[str, object]", given).items(), *pairs]
        case list() | tuple():
            pairs = [*(_pair(text) for text in cast("Iterable[object]", given)), *pairs]
        case _:
            raise FieldError("rubrics", "must name a file for each judge")
    rubrics: dict[str, object] = {}
    for judge, file in pairs:
        if judge in (fields.get("plugins") or plugins):
            text = f"{one_line(str(judge), 60)} is a judge of another package, which has its rubric; change it there"
            raise FieldError("rubrics", text)
        if judge not in OWN_JUDGES:
            raise FieldError("rubrics", f"unknown judge {one_line(str(judge), 60)!r}; known: {', '.join(OWN_JUDGES)}")
        if judge in rubrics:
            raise FieldError("rubrics", f"{judge} is given two files; give it one")
        rubrics[judge] = file
    return found | ({"rubrics": rubrics} if rubrics else {})


def _pair(text: object) -> tuple[str, object]:
    judge, sign, file = str(text).partition("=")
    if not sign or not file:
        raise FieldError("rubrics", f"{one_line(str(text), 60)!r} is not JUDGE=FILE")
    return judge.strip(), file
