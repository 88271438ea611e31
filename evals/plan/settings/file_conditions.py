"""The conditions that the question files of a run declare, under those of its config."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from evals.errors import BadInput
from evals.io.validation import first_problem
from evals.plan.settings.conditions import ConditionTemplate
from evals.questions.dataset import load
from evals.questions.question_extras import FileCondition
from evals.text import one_line
from evals.trials.condition import BASELINE


def with_file_conditions(
    fields: Mapping[str, Any], files: Iterable[Path], judges: tuple[Path, ...], given: Mapping[str, Any]
) -> dict[str, Any]:
    """`fields`, as `split_conditions` leaves them, with the conditions of question files where they name none.

    What `fields` declare under the same name counts. With a trigger in them, or in what is `given` over them, the
    conditions of the trigger are asked as well. Raises BadInput where two files declare one name with other texts, and
    for a text that cannot be sent.
    """
    declared: dict[str, tuple[Path, FileCondition]] = {}
    for file in files:
        for condition in load(file, judges).conditions:
            other, known = declared.setdefault(condition.name, (file, condition))
            if known.texts != condition.texts:
                name = one_line(condition.name, 60)
                where = f"{file}:{condition.line}: conditions.{name}"
                raise BadInput(f"{where}: has other texts in {other}:{known.line}; rename one, or run the files apart")
    if not declared:
        return dict(fields)
    own = cast("Mapping[str, Any]", fields.get("templates") or {})
    templates = {name: _template(*found) for name, found in declared.items() if found[1].texts}
    names = list(declared)
    if fields.get("trigger") or given.get("trigger"):
        beside = (name for name in ("decoy", "distractor") if fields.get(name) or given.get(name))
        names = ["on", *beside, *names]
    names = list(dict.fromkeys(names if BASELINE in names else [BASELINE, *names]))
    return {"conditions": tuple(names)} | dict(fields) | {"templates": templates | dict(own)}


def _template(file: Path, condition: FileCondition) -> dict[str, Any]:
    """A system message of a question file is a text: the name of a file is refused, which only a config may give."""
    try:
        return ConditionTemplate.model_validate(condition.texts).model_dump()
    except ValidationError as error:
        problem = first_problem(error, ConditionTemplate.model_fields)
        where = f"{file}:{condition.line}: conditions.{condition.name}.{problem.field}"
        raise BadInput(f"{where}: {problem.text}") from None
