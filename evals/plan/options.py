"""From options, files and the environment to a checked configuration, and what has changed between two."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from evals.endpoints.model_spec import name_and_url
from evals.errors import BadInput, BadSetting, FieldError
from evals.io.validation import first_problem
from evals.io.web.urls import url_problem
from evals.io.yaml_reader import leading_zero_problem, read_mapping
from evals.plan.config import RunConfig
from evals.plan.settings.rubrics import OLD_FIELDS, with_rubrics
from evals.plan.settings.run_settings import option_name, split_dataset
from evals.plan.settings.system_message import READ_FILES
from evals.questions.dataset import load
from evals.questions.question_file import QuestionScenario, is_question_file, models_named
from evals.text import one_line


def build_config(options: dict[str, Any], file: Path | None) -> RunConfig:
    """A RunConfig from the file's fields and, over them, the command line's (None means not given).

    With a trigger and no conditions named, off and on are asked, and with a decoy all three. Raises BadInput that names
    file, line and field.
    """
    fields, lines = ({}, {}) if file is None else _read_yaml(file)
    return config_of(fields, options, file, lines)


def config_of(fields: dict[str, Any], options: dict[str, Any], file: Path | None, lines: dict[str, int]) -> RunConfig:
    """As `build_config`, from fields that were read from `file` already, each with its line there."""
    given = {name: value for name, value in options.items() if value not in (None, ())}
    fields, given = _rubrics_merged(fields, given, file, lines)
    if "judge" in given:  # who is named on the command line takes the place of all that the file names
        fields.pop("also_judges", None)
    fields = _with_judges({**fields, **given}, given)
    _check_urls(fields, file, lines, given)
    fields = _with_question_files(fields)
    if fields.get("trigger") and "conditions" not in fields:
        fields["conditions"] = ("off", "on", *(name for name in ("decoy", "distractor") if fields.get(name)))
    conditions: object = fields.get("conditions")
    if isinstance(conditions, str):
        fields["conditions"] = tuple(part.strip() for part in conditions.split(","))
    try:
        config = RunConfig.model_validate(fields, context=READ_FILES)
    except ValidationError as error:
        problem = first_problem(error, RunConfig.model_fields, "an option")
        raise _bad_setting(problem, file, lines, given) from None
    for name in lines.keys() & fields.keys() - given.keys():
        value: object = fields[name]
        zero = leading_zero_problem(value) if isinstance(value, str) else ""
        if zero and isinstance(getattr(config, name, None), int | float):
            raise _bad_setting(FieldError(name, zero), file, lines)
    return config


def _rubrics_merged(
    fields: dict[str, Any], given: dict[str, Any], file: Path | None, lines: dict[str, int]
) -> tuple[dict[str, Any], dict[str, Any]]:
    """The fields of `file` and those given over them, the rubrics of both under `rubrics`: of a judge's two files the
    given one counts."""
    line = next((lines[name] for name in ("rubrics", *OLD_FIELDS) if name in lines), None)
    if line is not None:
        lines.setdefault("rubrics", line)
    try:
        fields = with_rubrics(fields)
    except FieldError as error:
        raise BadSetting(f"{file}:{line}: {error}", error, file) from None
    try:
        given = with_rubrics(given)
    except FieldError as error:
        raise _bad_setting(error) from None
    if "rubrics" in given:
        given["rubrics"] = fields.get("rubrics", {}) | given["rubrics"]
    return fields, given


def _with_judges(fields: dict[str, Any], given: Mapping[str, object]) -> dict[str, Any]:
    """`fields` with the first of several judges as the one that counts, and its URL where that is written with it.

    `given` are those of the fields that come from the command line. Raises BadInput for two URLs of one judge, and for
    judges in both of their fields.
    """
    judge: object = fields.get("judge")
    if isinstance(judge, list | tuple):
        first, *others = cast("list[object] | tuple[object, ...]", judge) or (None,)
        if fields.get("also_judges"):
            problem = FieldError("also_judges", "name further judges there or in judge, not in both")
            raise BadSetting(str(problem), problem)
        fields = fields | {"judge": first, "also_judges": tuple(others)}
        judge = first
    name, url = name_and_url(judge) if isinstance(judge, str) else (judge, None)
    if url is None:
        return fields
    if given.get("judge_base_url") is not None:
        text = "the URL of the judge is written with its name already; give it once"
        raise _bad_setting(FieldError("judge_base_url", text))
    return fields | {"judge": name, "judge_base_url": url}


def _check_urls(
    fields: Mapping[str, object],
    file: Path | None = None,
    lines: Mapping[str, int] | None = None,
    given: Mapping[str, Any] = {},
) -> None:
    """Raises BadInput for a URL among the fields that would write a secret into the manifest, or is no URL."""
    models: object = fields.get("models")
    names = cast("list[object] | tuple[object, ...]", models) if isinstance(models, list | tuple) else (models,)
    if any(isinstance(name, str) and name_and_url(name)[1] is not None for name in names):
        text = f"takes a name without a URL; give that with {option_name('base_url')}"
        raise _bad_setting(FieldError("models", text), file, lines, given)
    named = [("base_url", fields.get("base_url")), ("judge_base_url", fields.get("judge_base_url"))]
    also: object = fields.get("also_judges")
    judges = cast("list[object] | tuple[object, ...]", also) if isinstance(also, list | tuple) else (also,)
    pairs = (("also_judges", judges), ("base", (fields.get("base"),)))
    named += [(name, name_and_url(text)[1]) for name, texts in pairs for text in texts if isinstance(text, str)]
    for name, urls in named:
        if isinstance(urls, str) and urls:
            problem = next(filter(None, map(url_problem, map(str.strip, urls.split(",")))), None)
            if problem is not None:
                raise _bad_setting(FieldError(name, f"the URL {problem}"), file, lines, given)


def _with_question_files(fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` with the question files among the suites called by their names, and the judge that they name."""
    suites: object = fields.get("suites")
    names = cast("list[object]", [suites] if isinstance(suites, str) else list(cast("Any", suites or ())))
    files = [Path(name) for name in names if isinstance(name, str) and is_question_file(name)]
    if not files:
        return fields
    twice = [file.name for file in files if [other.name for other in files].count(file.name) > 1]
    if twice:
        raise BadInput(f"SUITE: two question files are called {one_line(twice[0])!r}; rename one, or run them apart")
    given: object = fields.get("dataset") or ()
    datasets = (given,) if isinstance(given, str) else tuple(cast("Any", given))
    names_of_files = tuple(file.name for file in files)
    own = [dataset for dataset in datasets if split_dataset(str(dataset), names_of_files)[0] is not None]
    if own or (datasets and len(files) == len(names)):
        raise _bad_setting(FieldError("dataset", "a question file holds its own questions; leave it out"))
    more: dict[str, Any] = {
        "suites": tuple(
            Path(name).name if isinstance(name, str) and is_question_file(name) else name for name in names
        ),
        "dataset": (*datasets, *(f"{file.name}={file}" for file in files)),
        "over_questions": tuple(name for name in ("samples", "temperature", "max_tokens", "judge") if name in fields),
    }
    if "judge" not in fields:
        scenarios = [scenario for file in files for scenario in load(file).scenarios]
        questions = [scenario for scenario in scenarios if isinstance(scenario, QuestionScenario)]
        models = models_named(questions)
        if len(models) > 1:
            raise BadInput(
                f"--judge is missing: the question file names several models ({one_line(', '.join(models))}), and a "
                "run has one judge"
            )
        if models:
            more["judge"] = f"openai/{models[0]}"
    return fields | more


def _read_yaml(file: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The mapping in `file` and the line of each key."""
    fields, node = read_mapping(file, " of option names to values")
    lines: dict[str, int] = {}
    for key, _ in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in lines:
            raise BadInput(f"{file}:{line}: {one_line(name)}: is given twice, first in line {lines[name]}")
        lines[name] = line
    return fields, lines


def _bad_setting(
    problem: FieldError, file: Path | None = None, lines: Mapping[str, int] | None = None, given: Mapping[str, Any] = {}
) -> BadSetting:
    """The error of a setting, at its line of the file unless it was given over the file's own."""
    field = one_line(problem.field, 60)
    text = one_line(problem.text)
    if file is not None and lines is not None and problem.field in lines and problem.field not in given:
        return BadSetting(f"{file}:{lines[problem.field]}: {field}: {text}", problem, file)
    return BadSetting(f"{option_name(field)}: {text}", problem)


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What changed between two identities, one short text a field."""

    def shown(value: object) -> str:
        text = ",".join(map(str, cast("list[object]", value))) if isinstance(value, list) else str(value)
        return one_line(text, 80)

    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    labels = {name: option_name(name) if name in RunConfig.model_fields else name for name in names}
    return [f"{labels[name]} was {shown(old.get(name))}, is now {shown(new.get(name))}" for name in names]


def updated(config: RunConfig, changes: dict[str, object]) -> RunConfig:
    """`config` with other values for the fields in `changes` that are not None. Raises BadInput."""
    given = {name: value for name, value in changes.items() if value is not None}
    _, given = _rubrics_merged({"rubrics": config.rubrics}, given, None, {})
    given = _with_judges(given, given)
    if given.get("judge", config.judge) != config.judge:  # the URL is of the judge before
        given.setdefault("judge_base_url", None)
    _check_urls(given)
    try:
        return RunConfig.model_validate(config.model_dump() | given, context=READ_FILES)
    except ValidationError as error:
        raise _bad_setting(first_problem(error, RunConfig.model_fields, "an option")) from None
