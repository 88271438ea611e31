"""The options of the next run: as a command line, and as a file for `emeval run --config`."""

from __future__ import annotations

import shlex
from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, cast

import yaml

from evals.analysis.sample_size.result import Next, SizePlan
from evals.errors import BadInput, BadSetting
from evals.io.atomic import write_whole
from evals.io.paths import open_file
from evals.plan.config import RunConfig
from evals.plan.options import build_config
from evals.plan.settings.run_settings import SETTINGS, option_name
from evals.questions.suites import find_suite, formats_of
from evals.text import dashed, one_line

_NEVER_DROPPED = frozenset({"suites", "models", "samples", "limit"})
_SWITCHES = frozenset(name for name, field in RunConfig.model_fields.items() if field.annotation is bool)
_NO_OPTIONS = frozenset(name for name, setting in SETTINGS.items() if setting.scope == "internal")


_NAMING = (
    *("base_url", "judge_base_url", "base", "vllm_bin", "vllm_args", "judges", "anchors", "rubrics", "prices"),
    "providers",
)
_TAKE_AWAY = "The pilot has these programs, files and servers. If you trust its folder, take away the # before them."

_WRITTEN_BY = "# Written by `emeval plan`"
"""How a file begins that `emeval plan` may replace."""


def run_options(config: RunConfig, *, suite: str, form: str, **changes: Any) -> dict[str, Any]:
    """The options of `emeval run`, by field, for one suite and format of `config`, others changed (None: left out).

    What no longer fits the part of the run that is left (a rubric of another suite, the decoy of another condition) is
    left out as well. Raises BadInput if no such run can be asked for.
    """
    fields: dict[str, Any] = {
        name: getattr(config, name)
        for name, field in RunConfig.model_fields.items()
        if name not in _NO_OPTIONS and (getattr(config, name) != field.default or name in config.over_questions)
    }
    files = config.dataset_files
    fields |= {"suites": (suite,), "format": form, "dataset": None}
    if suite not in config.question_files:
        fields["judges"] = None
    if suite in config.own_files:
        fields["suites"] = (str(files[suite]),)
    elif suite in files:
        fields["dataset"] = (str(files[suite]),)
    if formats_of(find_suite(suite), None) == (form,):
        fields["format"] = None
    fields |= changes
    fields.pop("shots", None)
    if config.shots is not None and set(config.shots.conditions) & set(fields["conditions"]):
        raise BadInput("its conditions have worked examples, whose file is to be named again; see `shots`")
    if config.templates.keys() & set(fields["conditions"]):
        texts = config.templates
        named = {name: texts[name].model_dump() if name in texts else None for name in fields["conditions"]}
        fields["conditions"] = {name: text or None for name, text in named.items()}
    return _fitting(fields)


def command_line(options: Mapping[str, Any]) -> str | None:
    """The command that asks for a run with these options; None where its conditions have texts of their own, which
    stand in a config file alone."""
    if isinstance(options.get("conditions"), Mapping):
        return None
    return " ".join(["emeval", "run", *_arguments(options)])


def write_configs(plan: SizePlan, file: Path) -> SizePlan:
    """Write the options of the plan's next run to `file`, and return the plan with its place.

    Of several runs each has a file of its own, with suite and format in its name. Raises BadInput, before anything is
    written, for a file that `emeval plan` has not written.
    """
    several = sum(following.options is not None for following in plan.next) > 1
    placed = [_placed(following, file, several=several) for following in plan.next]
    for following in placed:
        if following.config is not None:
            _refuse_foreign(Path(following.config))
    for following in placed:
        if following.config is not None and following.options is not None:
            write_whole(Path(following.config), _yaml(following.options, plan.pilot))
    return replace(plan, next=tuple(placed))


def _placed(following: Next, file: Path, *, several: bool) -> Next:
    if following.options is None:
        return following
    if several:
        file = file.with_stem(f"{file.stem}-{Path(following.suite).stem}-{following.format}")
    return replace(following, config=str(file))


def _refuse_foreign(file: Path) -> None:
    try:
        with open_file(file) as there:
            is_own = there.readline(len(_WRITTEN_BY)) == _WRITTEN_BY.encode()
    except FileNotFoundError:
        return
    except OSError as error:
        raise BadInput(f"--out: {file}: cannot be read: {error.strerror}") from None
    if not is_own:
        raise BadInput(f"--out: {file} exists, and `emeval plan` has not written it; name another file")


def _yaml(options: Mapping[str, Any], pilot: str) -> str:
    """The file's text. What only the pilot's manifest says of programs, files and servers is a comment there: a run
    folder may come from anywhere."""
    values = {name: list(cast("Any", value)) if isinstance(value, tuple) else value for name, value in options.items()}
    # With the models, so that nobody runs the rest of it under the defaults.
    own = ("models", *_NAMING) if is_to_be_trusted(options) else ()
    named = _dumped({name: values.pop(name) for name in own if name in values})
    text = f"{_WRITTEN_BY} from the pilot {one_line(pilot)}; the next plan replaces it.\n{_dumped(values)}"
    if named:
        comment = "".join(f"# {line}\n" for line in named.splitlines())
        text += f"# {_TAKE_AWAY}\n{comment}"
    return text


def is_to_be_trusted(options: Mapping[str, Any]) -> bool:
    """Whether a run with these options would use programs, files or servers that the pilot's manifest names."""
    return any(name in options for name in _NAMING)


def _dumped(values: Mapping[str, Any]) -> str:
    if not values:
        return ""
    return yaml.safe_dump(dict(values), sort_keys=False, allow_unicode=True, default_flow_style=None, width=120)


def _fitting(fields: Mapping[str, Any]) -> dict[str, Any]:
    """`fields` without those that the configuration refuses beside the others."""
    fitting = {name: value for name, value in fields.items() if value is not None}
    while True:
        try:
            build_config(fitting, None)
        except BadSetting as error:
            cause, key = error.problem.cause, error.problem.key
            if cause not in fitting or cause in _NEVER_DROPPED:
                raise
            if key:
                fitting[cause] = {name: value for name, value in fitting[cause].items() if name != key}
            else:
                del fitting[cause]
        else:
            return fitting


def _arguments(fields: Mapping[str, Any]) -> Iterator[str]:
    for name in fields["suites"]:
        yield shlex.quote(name)
    for name in RunConfig.model_fields:
        if name == "suites" or name not in fields:
            continue
        value = fields[name]
        if name in _SWITCHES:
            yield option_name(name) if value else dashed(f"no_{name}")
            continue
        if name == "rubrics":
            value = tuple(f"{judge}={file}" for judge, file in value.items())
        if name == "conditions":
            value = ",".join(value)
        values = cast("tuple[Any, ...]", value if isinstance(value, tuple) else (value,))
        for text in map(str, values):
            yield f"{option_name(name)} {shlex.quote(text)}"
