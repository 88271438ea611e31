"""A run's configuration written as the command that asks for it, for people to copy."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from typing import Any, cast

from evals.errors import BadInput
from evals.plan.config import RunConfig
from evals.plan.options import build_config
from evals.questions.suites import find_suite, formats_of
from evals.text import option_name

_NEVER_DROPPED = frozenset({"suites", "models", "samples", "limit"})
_SWITCHES = frozenset(name for name, field in RunConfig.model_fields.items() if field.annotation is bool)
_NO_OPTIONS = frozenset({"imported", "over_questions"})
"""Fields that say where other fields came from, and are no options themselves."""


def run_command(config: RunConfig, *, suite: str, form: str, **changes: Any) -> str:
    """`emeval run` for one suite and format of `config`, other fields changed as given (None: left out).

    What no longer fits the part of the run that is left (a rubric of another suite, the decoy of another condition) is
    left out as well. Raises BadInput where no command can be made.
    """
    fields: dict[str, Any] = {
        name: getattr(config, name)
        for name, field in RunConfig.model_fields.items()
        if name not in _NO_OPTIONS and (getattr(config, name) != field.default or name in config.over_questions)
    }
    files = config.dataset_files
    fields |= {"suites": (suite,), "format": form, "dataset": None}
    if suite in config.question_files:
        fields["suites"] = (str(files[suite]),)
    elif suite in files:
        fields["dataset"] = (str(files[suite]),)
    if formats_of(find_suite(suite), None) == (form,):
        fields["format"] = None
    return " ".join(["emeval", "run", *_arguments(_fitting(fields | changes))])


def _fitting(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` without those that the configuration refuses beside the others."""
    kept = {name: value for name, value in fields.items() if value is not None}
    while True:
        try:
            build_config(kept, None)
        except BadInput as error:
            refused = next((name for name in kept if str(error).startswith(f"{option_name(name)}: ")), None)
            if refused is None or refused in _NEVER_DROPPED:
                raise
            rubrics: dict[str, str] = kept[refused] if refused == "rubrics" else {}
            judge = str(error).split(": ")[1]
            if judge in rubrics:
                kept["rubrics"] = {name: file for name, file in rubrics.items() if name != judge}
            else:
                del kept[refused]
        else:
            return kept


def _arguments(fields: Mapping[str, Any]) -> Iterator[str]:
    for name in fields["suites"]:
        yield shlex.quote(name)
    for name in RunConfig.model_fields:
        if name == "suites" or name not in fields:
            continue
        value = fields[name]
        if name in _SWITCHES:
            yield option_name(name) if value else option_name(f"no_{name}")
            continue
        if name == "rubrics":
            value = tuple(f"{judge}={file}" for judge, file in value.items())
        several = name in ("models", "dataset", "rubrics")
        values = cast("tuple[Any, ...]", value) if several else (",".join(value) if name == "conditions" else value,)
        for one in values:
            yield f"{option_name(name)} {shlex.quote(str(one))}"
