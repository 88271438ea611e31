"""Kinds of values that settings hold: one line of text, and paths that stay the same wherever a run is resumed."""

from __future__ import annotations

import operator
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import Annotated, cast

from pydantic import AfterValidator, BeforeValidator, Field

from evals.io.paths import expanded
from evals.plan.experiments.recipes import parse_recipes
from evals.plan.settings.setting import Setting
from evals.questions.tables.column_names import parse_columns
from evals.questions.tables.columns import KNOWN
from evals.text import has_control_character
from judges.monitors.suspicion import VIEWS, View


def _no_control_characters(text: str) -> str:
    if has_control_character(text):
        raise ValueError("holds a control character")
    return text


def absolute(file: str) -> str:
    return str(expanded(file).absolute())


def _absolute_program(program: str) -> str:
    return program if Path(program).name == program else absolute(program)  # a mere name is looked for on PATH


def split_dataset(given: str, suites: tuple[str, ...]) -> tuple[str | None, str]:
    """The suite and the file of one --dataset; no suite where only a file is given."""
    suite = next((name for name in suites if given.startswith(f"{name}=")), None)
    return suite, given if suite is None else given.removeprefix(f"{suite}=")


def one_or_more(value: object) -> object:
    """A value that may be given as one text, or not at all."""
    return () if value is None else (value,) if isinstance(value, str) else value


def _columns(value: object) -> object:
    """Columns by emeval's names, from a mapping or from NAME=COLUMN. Raises ValueError."""
    if value is None:
        return {}
    if isinstance(value, Mapping):
        pairs = cast("Mapping[object, object]", value).items()
        return parse_columns((f"{name}={'' if column is None else column}" for name, column in pairs), KNOWN)
    return parse_columns((str(pair) for pair in cast("Iterable[object]", one_or_more(value))), KNOWN)


QuestionColumns = Annotated[
    dict[str, str],
    BeforeValidator(_columns),
    Field(
        description="The column of your table for one of emeval's (question, messages, id, system, reference, "
        "category), such as question=text; repeatable, or with commas between.",
    ),
    Setting("run", value="NAME=COLUMN", repeats=True),
]
Line = Annotated[str, Field(min_length=1), AfterValidator(_no_control_characters)]
AbsoluteFile = Annotated[str, AfterValidator(absolute)]
Program = Annotated[str, Field(min_length=1), AfterValidator(_absolute_program)]

MaxCost = Annotated[
    float | None,
    Field(
        gt=0,
        description="Stop, to be resumed, once the run has cost so many dollars at list prices, its judges included; "
        "requests in flight are finished.",
    ),
    Setting("limits", value="DOLLARS", in_identity=False),
]

Tags = Annotated[
    tuple[Line, ...],
    BeforeValidator(one_or_more),
    Field(exclude_if=operator.not_, description="A word to find the run by (`emeval ls --tag`); repeatable."),
    Setting("run", flag="--tag", value="WORD", repeats=True, in_identity=False),
]


def _cache(value: object) -> object:
    """Where the answer cache is: `on` for the user's own folder, a path, or None for no cache."""
    if isinstance(value, bool):
        return DEFAULT_CACHE if value else None
    if not isinstance(value, str) or value == DEFAULT_CACHE:
        return value
    if not value.strip():
        raise ValueError("names no folder; give on, off or a folder")
    return None if value == "off" else absolute(value)


DEFAULT_CACHE = "on"
AnswerCache = Annotated[
    str | None,
    BeforeValidator(_cache),
    Field(
        exclude_if=operator.not_,
        description="Take answers and verdicts that an earlier run has paid for from this folder, and keep new ones "
        "there (on: the user's cache folder). Off by default.",
    ),
    Setting("connection", value="on|off|DIR", is_path=True, in_identity=False),
]
Plugins = Annotated[
    tuple[Line, ...],
    BeforeValidator(one_or_more),
    Field(
        exclude_if=operator.not_,
        description="Also use this judge or metric of an installed package (docs/extending.md); repeatable.",
    ),
    Setting("judging", flag="--plugin", value="NAME", repeats=True, in_identity=False),
]


def _monitors(value: object) -> object:
    """The monitors by what they are shown, from a list or with commas between; none for `none`."""
    parts: object = value
    if isinstance(value, str):
        parts = () if value.strip() == "none" else tuple(part.strip() for part in value.split(","))
    if isinstance(parts, list | tuple):
        asked = cast("Sequence[object]", parts)
        if all(view in VIEWS for view in asked):  # in one order, whatever theirs
            return tuple(view for view in VIEWS if view in asked)
        parts = tuple(asked)
    return () if parts is None else parts


Monitors = Annotated[
    tuple[View, ...],
    BeforeValidator(_monitors),
    Field(
        description="Also have monitors score every scored reply for suspicion, from its reasoning (cot), its final "
        "answer (action), or both; commas between.",
    ),
    Setting("judging", value="cot,action,both"),
]
PriceFile = Annotated[
    AbsoluteFile | None,
    Field(description="Token prices that override emeval's own; also EMEVAL_PRICES."),
    Setting("connection", value="FILE.csv", is_path=True, in_identity=False),
]
Note = Annotated[
    Line | None,
    Field(exclude_if=operator.not_, description="A line about the run, for its readers."),
    Setting("run", value="TEXT", in_identity=False),
]
Recipes = Annotated[
    dict[Line, Annotated[tuple[Line, ...], Field(min_length=1)]],
    BeforeValidator(parse_recipes),
    Field(
        exclude_if=operator.not_,
        description="Models that differ only in their finetuning seed, as a recipe with rates and effects over its "
        "seeds, such as insecure=vllm/s1,vllm/s2,vllm/s3; repeatable.",
    ),
    Setting("models", flag="--recipe", value="NAME=MODEL,MODEL,...", repeats=True, in_identity=False),
]
