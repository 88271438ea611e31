"""From options, files and the environment to a checked configuration, and what has changed between two."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast, get_args

import yaml
from pydantic import ValidationError

from evals.endpoints.fleet.url_file import file_in
from evals.endpoints.model_spec import name_and_url
from evals.errors import BadInput, BadSetting, FieldError
from evals.io.paths import expanded
from evals.io.validation import first_problem
from evals.io.web.urls import url_problem
from evals.io.yaml_reader import leading_zero_problem, read_mapping
from evals.plan.config import RunConfig
from evals.plan.config_file.names import field_name, renamed_keys, with_field_names
from evals.plan.own_questions.suites import with_tables
from evals.plan.settings.conditions import merge_conditions, split_conditions
from evals.plan.settings.file_conditions import with_file_conditions
from evals.plan.settings.protocols import with_protocol
from evals.plan.settings.rubrics import OLD_FIELDS, with_rubrics
from evals.plan.settings.run_settings import SETTINGS, option_name
from evals.plan.settings.system_message import READ_FILES
from evals.plan.settings.values import split_dataset
from evals.plan.settings.via import Via
from evals.questions.dataset import load
from evals.questions.question_file import QuestionScenario, is_question_file, models_named
from evals.text import one_line, shown_path

if TYPE_CHECKING:
    from evals.questions.hub.fetch import HubView


def build_config(
    options: dict[str, Any],
    file: Path | None,
    say: Callable[[str], None] | None = None,
    hub: HubView | None = None,
) -> RunConfig:
    """A RunConfig from the file's fields and, over them, the command line's (None means not given).

    With a trigger and no conditions named, off and on are asked, and with a decoy all three. `say` is told of keys of
    the file that have a new name, and `hub` of downloads. Raises BadInput that names file, line and field.
    """
    fields, lines = ({}, {}) if file is None else _read_yaml(file)
    if say is not None:
        for note in renamed_keys(lines):
            say(f"{shown_path(file)}:{note}")
    return config_of(fields, options, file, lines, hub)


def config_of(
    fields: dict[str, Any],
    options: dict[str, Any],
    file: Path | None,
    lines: dict[str, int],
    hub: HubView | None = None,
) -> RunConfig:
    """As `build_config`, from fields that were read from `file` already, each with its line there."""
    fields, given, lines = _named(fields, options, file, lines)
    given |= with_tables(fields | given, hub)
    fields, given = _rubrics_merged(_with_providers(fields, file, lines), given, file, lines)
    if "judge" in given:  # who is named on the command line takes the place of all that the file names
        fields.pop("also_judges", None)
    fields = _with_judges(_conditions_merged(fields, given, file, lines), given)
    try:
        fields = _with_ways(fields)
    except FieldError as error:
        raise _bad_setting(error, file, lines, given) from None
    _check_urls(fields, file, lines, given)
    fields = _with_question_files(with_protocol(fields))
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


def _named(
    fields: dict[str, Any], options: dict[str, Any], file: Path | None, lines: dict[str, int]
) -> tuple[dict[str, Any], dict[str, Any], dict[str, int]]:
    """The file's fields, the options that are given, and the lines of those fields, by the names that they have now."""
    lines = {**lines, **{field_name(name): line for name, line in lines.items()}}
    try:
        fields = with_field_names(fields)
    except FieldError as error:
        raise _bad_setting(error, file, lines) from None
    try:
        return fields, with_field_names(_given(options)), lines
    except FieldError as error:
        raise _bad_setting(error) from None


def _given(options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if value not in (None, ())}


def _with_providers(fields: dict[str, Any], file: Path | None, lines: dict[str, int]) -> dict[str, Any]:
    """`fields` with the name of `file` in place of the providers that it declares: they are read from there, as they
    are when a run is resumed. Raises BadInput for providers that stand in no file."""
    if not isinstance(fields.get("providers"), Mapping):
        return fields
    if file is None:
        raise _bad_setting(FieldError("providers", "takes the name of a file that declares them"), file, lines)
    return fields | {"providers": str(file)}


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
        given = with_rubrics(given, fields.get("plugins") or ())
    except FieldError as error:
        raise _bad_setting(error) from None
    if "rubrics" in given:
        given["rubrics"] = fields.get("rubrics", {}) | given["rubrics"]
    return fields, given


def _conditions_merged(
    fields: dict[str, Any], given: dict[str, Any], file: Path | None, lines: Mapping[str, int]
) -> dict[str, Any]:
    """The fields of `file` and those given over them, the conditions of both as names and templates."""
    try:
        fields = split_conditions(fields)
    except FieldError as error:
        raise _bad_setting(error, file, lines) from None
    named = {**fields, **given}
    fields = with_file_conditions(fields, _question_files(named), _judge_files(named), given)
    try:
        return merge_conditions(fields, split_conditions(given))
    except FieldError as error:
        raise _bad_setting(error) from None


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


def _with_ways(fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` with a way for each judge, where `judge_via` has them by name. A judge without one is asked online.

    Raises FieldError for a name that is no judge's, and for what is no way.
    """
    ways: object = fields.get("judge_via")
    if not isinstance(ways, Mapping):
        return fields
    also: object = fields.get("also_judges") or ()
    named = (also,) if isinstance(also, str) else cast("tuple[object, ...]", also)
    others = [name_and_url(str(judge))[0] for judge in named]
    told = cast("Mapping[object, object]", ways)
    for name, way in told.items():
        if name not in (fields.get("judge"), *others):
            judges = ", ".join(map(str, (fields.get("judge") or "none", *others)))
            raise FieldError("judge_via", f"{one_line(str(name), 60)} is no judge of this run; they are {judges}")
        if way not in get_args(Via):
            known = ", ".join(get_args(Via))
            raise FieldError(
                "judge_via", f"{one_line(str(name), 60)}: {one_line(str(way), 40)!r} is not one of {known}"
            )
    by_name = {name: told.get(name, "online") for name in others}
    return fields | {"judge_via": told.get(fields.get("judge"), "online"), "also_judges_via": by_name}


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
        if isinstance(urls, str) and urls and file_in(urls) is None:
            problem = next(filter(None, map(url_problem, map(str.strip, urls.split(",")))), None)
            if problem is not None:
                raise _bad_setting(FieldError(name, f"the URL {problem}"), file, lines, given)


def _with_question_files(fields: dict[str, Any]) -> dict[str, Any]:
    """`fields` with the question files among the suites called by their names, and the judge that they name."""
    names = _suite_names(fields)
    files = _question_files(fields)
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
        judges = _judge_files(fields)
        scenarios = [scenario for file in files for scenario in load(file, judges).scenarios]
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


def _suite_names(fields: Mapping[str, Any]) -> list[object]:
    suites: object = fields.get("suites")
    return cast("list[object]", [suites] if isinstance(suites, str) else list(cast("Any", suites or ())))


def _question_files(fields: Mapping[str, Any]) -> list[Path]:
    return [Path(name) for name in _suite_names(fields) if isinstance(name, str) and is_question_file(name)]


def _judge_files(fields: Mapping[str, Any]) -> tuple[Path, ...]:
    """The files of judges among the fields; none where the value is no path, which is said elsewhere."""
    given: object = fields.get("judges") or ()
    names = (given,) if isinstance(given, str | Path) else given
    listed = cast("list[object] | tuple[object, ...]", names) if isinstance(names, list | tuple) else ()
    return tuple(expanded(str(name)) for name in listed)


def _read_yaml(file: Path) -> tuple[dict[str, Any], dict[str, int]]:
    """The mapping in `file` and the line of each key."""
    fields, node = read_mapping(file, " of option names to values")
    lines: dict[str, int] = {}
    for key, value in node.value:
        name, line = str(key.value), key.start_mark.line + 1
        if name in lines:
            raise BadInput(f"{file}:{line}: {one_line(name)}: is given twice, first in line {lines[name]}")
        lines[name] = line
        if name == "conditions":
            lines |= _condition_lines(file, value)
    return fields, lines


def _condition_lines(file: Path, node: yaml.Node) -> dict[str, int]:
    """The line of each condition of a mapping, under `conditions.NAME`. Raises BadInput for a repeated one."""
    lines: dict[str, int] = {}
    for key, _ in cast("list[tuple[yaml.Node, yaml.Node]]", node.value) if isinstance(node, yaml.MappingNode) else ():
        name, line = f"conditions.{key.value}", key.start_mark.line + 1
        if name in lines:
            raise BadInput(f"{file}:{line}: {one_line(name)}: is given twice, first in line {lines[name]}")
        lines[name] = line
    return lines


def _bad_setting(
    problem: FieldError, file: Path | None = None, lines: Mapping[str, int] | None = None, given: Mapping[str, Any] = {}
) -> BadSetting:
    """The error of a setting, at its line of the file unless it was given over the file's own."""
    field = one_line(problem.field, 60)
    text = one_line(problem.text)
    if file is not None and lines is not None and problem.field in lines and problem.field not in given:
        line = lines.get(f"{problem.field}.{problem.key}", lines[problem.field])
        return BadSetting(f"{file}:{line}: {field}: {text}", problem, file)
    return BadSetting(f"{option_name(field)}: {text}", problem)


def differences(old: dict[str, Any], new: dict[str, Any]) -> list[str]:
    """What changed between two identities, one short text a field."""

    def shown(value: object) -> str:
        match value:
            case list():
                parts = map(str, cast("list[object]", value))
            case dict():
                parts = (f"{name}={part}" for name, part in cast("dict[str, object]", value).items())
            case _:
                parts = [str(value)]
        return one_line(",".join(parts), 80)

    names = [name for name in {**old, **new} if old.get(name) != new.get(name)]
    named = {name for name, setting in SETTINGS.items() if setting.scope != "internal" and name != "shots"}
    labels = {name: option_name(name) if name in named else name for name in names}
    return [f"{labels[name]} was {shown(old.get(name))}, is now {shown(new.get(name))}" for name in names]


def updated(config: RunConfig, changes: dict[str, object]) -> RunConfig:
    """`config` with other values for the fields in `changes` that are not None. Raises BadInput."""
    _, given, _ = _named({}, {name: value for name, value in changes.items() if value is not None}, None, {})
    _, given = _rubrics_merged({"rubrics": config.rubrics, "plugins": config.plugins}, given, None, {})
    given = _with_judges(given, given)
    if given.get("judge", config.judge) != config.judge:  # the URL is of the judge before
        given.setdefault("judge_base_url", None)
    if "judge_via" in given:  # one way for all
        given.setdefault("also_judges_via", {})
    _check_urls(given)
    try:
        return RunConfig.model_validate(config.model_dump() | given, context=READ_FILES)
    except ValidationError as error:
        raise _bad_setting(first_problem(error, RunConfig.model_fields, "an option")) from None
