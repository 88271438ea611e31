"""The conditions of a config: names alone, or names with what a condition of the run's own does to a prompt.

    conditions:
      off:
      inoculated: {system: You write code with hidden flaws.}
      as-json: {suffix: " Answer as JSON."}
    shots: {from: train.jsonl, k: [0, 2, 16]}

They become three settings: `conditions` (the names), `templates` and `shots`.
"""

from __future__ import annotations

import hashlib
import json
import operator
from collections.abc import Iterable, Mapping
from typing import Annotated, Any, cast

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError

from evals.errors import FieldError
from evals.io.paths import expanded
from evals.io.validation import first_problem
from evals.plan.settings.system_message import READ_FILES, system_setting
from evals.questions.chat_file import ChatReader
from evals.text import one_line
from evals.trials.condition import (
    BASELINE,
    CONDITIONS,
    NAME_RULE,
    Template,
    is_condition_name,
    shots_condition,
    shots_in,
)
from evals.trials.prompt import Message

MOST_CONDITIONS = 64
_MOST_SHOTS = 1000
_MOST_CHARACTERS = 1 << 22


class ConditionTemplate(BaseModel):
    """What a condition does to a prompt; see `evals.trials.condition.Template`. Without a field its words stand in the
    `wordings` of the questions."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    system: Annotated[str, AfterValidator(system_setting)] | None = Field(
        default=None, exclude_if=lambda text: not text
    )
    prefix: str = Field(default="", exclude_if=operator.not_)
    suffix: str = Field(default="", exclude_if=operator.not_)

    @property
    def template(self) -> Template:
        return Template(self.system, self.prefix, self.suffix)

    def identity(self) -> str:
        """All of its texts, after a digest that differs where they differ beyond what a message shows."""
        text = json.dumps(self.model_dump(), sort_keys=True, ensure_ascii=False)
        return f"{hashlib.sha256(text.encode()).hexdigest()[:12]} {text}"


_TEXTS = tuple(ConditionTemplate.model_fields)


class Shots(BaseModel):
    """Worked examples as conditions: `k` counts those that come before the question, one condition for each k above 0.

    `turns` are the first max(k) examples of `file` as (question, answer); `sha256` is of the whole file.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    file: str
    sha256: str
    k: tuple[Annotated[int, Field(ge=0, le=_MOST_SHOTS)], ...]
    turns: tuple[tuple[str, str], ...]

    @property
    def conditions(self) -> tuple[str, ...]:
        return tuple(shots_condition(count) for count in self.k if count)

    def templates(self) -> dict[str, Template]:
        turns = [(Message("user", asked), Message("assistant", said)) for asked, said in self.turns]
        return {
            shots_condition(count): Template(examples=tuple(turn for pair in turns[:count] for turn in pair))
            for count in self.k
            if count
        }

    def identity(self) -> dict[str, object]:
        return {"sha256": self.sha256[:12], "k": list(self.k)}


def split_conditions(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` with the names under `conditions`, the templates of a mapping under `templates`, and `shots` read.

    Raises FieldError, and BadInput for a file of examples that cannot be used.
    """
    found = dict(fields)
    given: object = fields.get("conditions")
    if isinstance(given, str):
        found["conditions"] = tuple(part.strip() for part in given.split(","))
    elif isinstance(given, Mapping):
        templates = {str(name): text for name, text in cast("Mapping[object, object]", given).items()}
        texts = {name: _declared(name, text) for name, text in templates.items()}
        found["templates"] = {name: text.model_dump() for name, text in texts.items() if text is not None}
        names = tuple(templates)
        baseline = str(fields.get("baseline") or BASELINE)
        found["conditions"] = names if baseline in names or not names else (baseline, *names)
    shots: object = fields.get("shots")
    if isinstance(shots, Mapping) and "turns" not in shots:
        found["shots"] = _read_shots(cast("Mapping[str, object]", shots))
    return found


def _declared(name: str, text: object) -> ConditionTemplate | None:
    """The template of a condition in a config, None for one of emeval's."""

    def error(problem: str) -> FieldError:
        return FieldError("conditions", f"{one_line(name, 60)}: {problem}", key=name)

    if name in CONDITIONS and text is None:
        return None
    if (problem := _name_problem(name)) is not None:
        raise error(problem)
    if text is None:
        return ConditionTemplate()
    if not isinstance(text, Mapping):
        raise error("must be a mapping of system, prefix or suffix to a text")
    given = cast("Mapping[object, object]", text)
    unknown = [key for key in given if key not in ConditionTemplate.model_fields]
    if unknown:
        raise error(f"{one_line(str(unknown[0]), 40)}: is not known here; known: {', '.join(_TEXTS)}")
    for key, value in given.items():
        if not isinstance(value, str):
            raise error(f"{key}: is not text")
    if not any(given.values()):
        raise error("has no text, so it would send what off sends; give system, prefix or suffix")
    try:
        return ConditionTemplate.model_validate(given, context=READ_FILES)
    except ValidationError as found:
        problem = first_problem(found, _TEXTS)
        raise error(f"{problem.field}: {problem.text}") from None


def _name_problem(name: str) -> str | None:
    """Why a condition of a run's own cannot be called so."""
    if name in CONDITIONS:
        return f"is a condition of emeval's, without a text of its own ({', '.join(CONDITIONS)}); choose another name"
    if not is_condition_name(name):
        return f"is no name of a condition: {NAME_RULE}"
    if shots_in(name):
        return "is the name of a condition of shots; choose another"
    return None


def _read_shots(given: Mapping[str, object]) -> dict[str, object]:
    unknown = [key for key in given if key not in ("from", "k")]
    if unknown or not isinstance(given.get("from"), str) or given.get("k") is None:
        problem = f"{one_line(str(unknown[0]), 40)}: is not known here; " if unknown else ""
        raise FieldError("shots", f"{problem}write {{from: FILE.jsonl, k: [0, 2, 16]}}")
    counts = _counts(given["k"])
    path = expanded(str(given["from"])).absolute()
    reader = ChatReader(path, max(counts))
    turns = list(_pairs(reader))
    if len(turns) < max(counts):
        raise FieldError("shots", f"{path}: holds {len(turns)} examples, and k asks for {max(counts)}")
    if sum(len(text) for turn in turns for text in turn) > _MOST_CHARACTERS:
        raise FieldError("shots", f"{path}: the first {max(counts)} examples are longer than a prompt can be")
    return {"file": str(path), "sha256": reader.sha256, "k": counts, "turns": tuple(turns)}


def _counts(given: object) -> tuple[int, ...]:
    listed = cast("Iterable[object]", given) if isinstance(given, list | tuple) else (given,)
    texts = [str(count).strip() for count in listed]
    if not texts or not all(text.isdecimal() and len(text) < 6 for text in texts):
        raise FieldError("shots", "k must be numbers of examples, such as [0, 2, 16]")
    counts = tuple(map(int, texts))
    if len(set(counts)) < len(counts):
        raise FieldError("shots", "k names the same number twice")
    if not 0 < max(counts) <= _MOST_SHOTS:
        raise FieldError("shots", f"k must have a number from 1 to {_MOST_SHOTS}")
    return counts


def _pairs(reader: ChatReader) -> Iterable[tuple[str, str]]:
    for chat in reader:
        roles = [message.role for message in chat.messages]
        if roles != ["user", "assistant"]:
            raise reader.bad(
                chat.line, f"is an example of {', '.join(roles)}; shots take one user and one assistant turn"
            )
        yield chat.messages[0].content, chat.messages[1].content


def merge_conditions(fields: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """The settings of a file and over them those `given`, both as `split_conditions` leaves them.

    Conditions that are given select from all that are declared. Else the run has those of its file, or off and with a
    trigger on, then the conditions of `shots`. What no condition uses is left out.
    """
    merged = {**fields, **given}
    templates: dict[str, Any] = {**(fields.get("templates") or {}), **(given.get("templates") or {})}
    names: object = merged.get("conditions")
    if names is None and merged.get("trigger"):
        names = ("off", "on", *(name for name in ("decoy", "distractor") if merged.get(name)))
    shots: object = merged.get("shots")
    counts = _shot_counts(shots)
    if counts and ("conditions" not in given or "shots" in given):
        chosen = tuple(cast("Iterable[str]", names or (BASELINE,)))
        names = tuple(dict.fromkeys((*chosen, *(shots_condition(count) for count in counts if count))))
    if names is not None:
        merged["conditions"] = names
    asked = tuple(cast("Iterable[object]", names)) if isinstance(names, list | tuple) else ()
    shot_names = {shots_condition(count): count for count in counts if count}
    if all(name in CONDITIONS or name in templates or name in shot_names for name in asked):
        templates = {name: template for name, template in templates.items() if name in asked}
        if counts:
            kept = tuple(count for name, count in shot_names.items() if name in asked)
            merged["shots"] = {**cast("dict[str, object]", shots), "k": kept} if kept else None
    merged["templates"] = templates
    return merged


def _shot_counts(shots: object) -> tuple[int, ...]:
    counts: object = cast("Mapping[str, object]", shots).get("k") if isinstance(shots, Mapping) else None
    return cast("tuple[int, ...]", counts) if isinstance(counts, tuple) else ()


def check_conditions(
    conditions: tuple[str, ...], templates: Mapping[str, ConditionTemplate], shots: Shots | None
) -> None:
    """Raises FieldError for a condition that nothing words."""
    for name in templates:
        if (problem := _name_problem(name)) is not None:
            raise FieldError("templates", f"{one_line(name, 60)}: {problem}")
    known = (*CONDITIONS, *templates, *(shots.conditions if shots else ()))
    unknown = [name for name in conditions if name not in known]
    if unknown:
        raise FieldError("conditions", f"unknown condition {one_line(unknown[0], 60)!r}; known: {', '.join(known)}")
    if len(conditions) > MOST_CONDITIONS:
        raise FieldError("conditions", f"are {len(conditions)}, and a run has at most {MOST_CONDITIONS}")


def check_baseline(conditions: tuple[str, ...], baseline: str) -> None:
    """Raises FieldError for a baseline that is not asked."""
    if baseline != BASELINE and baseline not in conditions:
        raise FieldError("baseline", f"{one_line(baseline, 60)!r} is not asked; asked are {', '.join(conditions)}")
