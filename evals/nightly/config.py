"""The nightly config file: checkpoints, run options, baseline and gates."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import Annotated, Any, Literal, cast

import yaml
from pydantic import AfterValidator, BaseModel, ConfigDict, Field, ValidationError, field_validator, model_validator

from evals.analysis.comparison.comparable import Direction
from evals.errors import BadInput, BadSetting
from evals.io.paths import expanded
from evals.io.yaml_reader import read_mapping
from evals.plan.config import RunConfig
from evals.plan.config_file.names import field_name, renamed_keys
from evals.plan.judges import can_have_label, file_judges, labels_counted
from evals.plan.options import config_of
from evals.plan.plan import Plan
from evals.plan.plugins import installed_metrics
from evals.plan.settings.via import ModelVia, Via
from evals.scoring.label_metrics import PREFIX, is_label_metric
from evals.scoring.metric_table import metric_table
from evals.scoring.side_metrics import is_side_metric, judge_of
from evals.text import has_control_character, is_text, one_line

PREVIOUS = "previous"
RESERVED = frozenset({PREVIOUS, "summary.md", "junit.xml", "night.json", "report.html"})
NAME = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]{0,79}")
_SET_ELSEWHERE = {"models": "the checkpoints name the models", "anchors": "give it beside run, not in it"}
_Lines = dict[tuple[str | int, ...], int]


def _printable(text: str) -> str:
    if not is_text(text) or has_control_character(text):
        raise ValueError("holds a control character, or bytes that are not UTF-8 text")
    return text


_PrintableText = Annotated[str, Field(min_length=1), AfterValidator(_printable)]
_Share = Annotated[float, Field(ge=0, le=1)]


class CheckpointEntry(BaseModel):
    """One or more checkpoints: a model, or adapters of it, each a path or a pattern of paths (`./checkpoints/*`).

    The model itself may contain a pattern, as in `vllm/BASE:./checkpoints/*`. `name` is the checkpoint's name, or the
    prefix of several names. `only_new`: checkpoints measured on an earlier night are left out. `via` and `judge_via`
    are how the checkpoints and their judges are asked, None for what `run` says.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    model: _PrintableText
    name: _PrintableText | None = None
    adapters: tuple[_PrintableText, ...] = ()
    only_new: bool = False
    via: ModelVia | None = None
    judge_via: Via | dict[str, Via] | None = None

    @field_validator("name")
    @classmethod
    def _is_name(cls, name: str | None) -> str | None:
        if name is not None and (NAME.fullmatch(name) is None or name in RESERVED):
            raise ValueError(f"{one_line(name, 60)!r} is no name for a folder: letters, digits, . _ - and at most 80")
        return name

    @field_validator("adapters", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return (value,) if isinstance(value, str) else value


class GateEntry(BaseModel):
    """Limits for the cells that it selects (by default all), as fractions in [0, 1].

    `max_increase` is against the baseline, `max_rate` and `min_rate` are for the rate itself. `metric` defaults to the
    primary metric of each suite.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    checkpoint: str | None = None
    suite: str | None = None
    format: str | None = None
    condition: str | None = None
    metric: str | None = None
    max_increase: _Share | None = None
    max_rate: _Share | None = None
    min_rate: _Share | None = None
    worse: Direction | None = None

    @field_validator("metric")
    @classmethod
    def _known_metric(cls, name: str | None) -> str | None:
        known = [metric.name for metric in metric_table("answered")]
        if name is None or name in known or is_label_metric(name) or is_side_metric(name):
            return name
        if name not in installed_metrics():
            raise ValueError(f"unknown metric {one_line(name, 60)!r}; known: {', '.join(known)}")
        return name

    @model_validator(mode="after")
    def _has_a_limit(self) -> GateEntry:
        if self.max_increase is None and self.max_rate is None and self.min_rate is None:
            raise ValueError("names no limit: give max_increase, max_rate or min_rate")
        return self


_DEFAULT_GATE = GateEntry(max_increase=0.05)


class _File(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    checkpoints: Annotated[tuple[CheckpointEntry, ...], Field(min_length=1)]
    run: dict[str, Any]
    baseline: _PrintableText | None = None
    gates: tuple[GateEntry, ...] | None = None
    anchors: _PrintableText | None = None
    out: _PrintableText = "results/nightly"
    keep_going: bool = True
    strict: bool | None = None
    on_unclear: Literal["pass", "fail"] | None = None
    report: bool = True


@dataclass(frozen=True)
class NightlyConfig:
    """A validated nightly config. `run` holds the fields of RunConfig shared by all checkpoints."""

    file: Path
    checkpoints: tuple[CheckpointEntry, ...]
    run: dict[str, Any]
    baseline: str | None
    gates: tuple[GateEntry, ...]
    anchors: str | None
    out: Path
    keep_going: bool
    on_unclear: Literal["pass", "fail"]
    report: bool
    lines: _Lines

    def run_config(self, model: str, via: Mapping[str, object] = MappingProxyType({})) -> RunConfig:
        """The run configuration of a checkpoint, which may have a `via` and a `judge_via` of its own. Raises BadInput
        that names the line."""
        lines = self._run_lines()
        fields = self.run | {"models": (model,), **via} | ({"anchors": self.anchors} if self.anchors else {})
        try:
            return config_of(fields, {}, self.file, lines)
        except BadInput as error:
            if isinstance(error, BadSetting) and error.file is not None:
                raise
            raise self.bad(("run",), str(error)) from None

    def renamed_keys(self) -> list[str]:
        """A line about each key of `run` that has a new name."""
        return renamed_keys(self._run_lines())

    def _run_lines(self) -> dict[str, int]:
        return {str(path[1]): line for path, line in self.lines.items() if len(path) == 2 and path[0] == "run"}

    def bad(self, path: tuple[str | int, ...], reason: str) -> BadInput:
        """An error at the line of `path`, or of its nearest parent that has one."""
        return BadInput(f"{self.file}:{_line(self.lines, path)}: {_field(path)}: {reason}")


def read_nightly(file: Path) -> NightlyConfig:
    """The config in `file`. Raises BadInput that names file, line and field."""
    fields, lines = _read(file)
    try:
        found = _File.model_validate(fields)
    except ValidationError as error:
        detail = error.errors(include_url=False, include_input=False)[0]
        path = detail["loc"]
        message = one_line(detail["msg"].removeprefix("Value error, "))
        if detail["type"] == "missing":
            message = "is missing"
        elif detail["type"] == "extra_forbidden":
            message = f"is not a field; known: {', '.join(_known(path))}"
        raise BadInput(f"{file}:{_line(lines, path)}: {_field(path) or 'file'}: {message}") from None
    config = NightlyConfig(
        file=file,
        checkpoints=found.checkpoints,
        run=found.run,
        baseline=found.baseline,
        gates=found.gates if found.gates is not None else (_DEFAULT_GATE,) if found.baseline else (),
        anchors=None if found.anchors is None else str(expanded(found.anchors).absolute()),
        out=expanded(found.out),
        keep_going=found.keep_going,
        on_unclear=found.on_unclear or ("fail" if found.strict else "pass"),
        report=found.report,
        lines=lines,
    )
    if None not in (found.strict, found.on_unclear) and found.strict != (found.on_unclear == "fail"):
        said = f"{found.on_unclear} contradicts strict: {str(found.strict).lower()}"
        raise config.bad(("on_unclear",), f"{said} (strict: true is on_unclear: fail)")
    for name in config.run:
        if field_name(name) in _SET_ELSEWHERE:
            raise config.bad(("run", name), _SET_ELSEWHERE[field_name(name)])
    if config.anchors is not None and not Path(config.anchors).is_file():
        raise config.bad(("anchors",), f"there is no file {one_line(config.anchors)}")
    _check_gates(config)
    return config


def _check_gates(config: NightlyConfig) -> None:
    """Check that each gate applies to something: one that never applies would pass everything."""
    asked = config.run_config("vllm/any")
    if config.baseline is None and any(gate.max_increase is not None for gate in config.gates):
        raise config.bad(("gates",), "max_increase needs a baseline to be held against: name one with baseline")
    formats = {form for forms in asked.formats.values() for form in forms}
    for index, gate in enumerate(config.gates):
        known_suites = tuple(dict.fromkeys([*asked.suites, *asked.formats]))
        for name, value, known in (
            ("suite", gate.suite, known_suites),
            ("format", gate.format, tuple(formats)),
            ("condition", gate.condition, asked.conditions),
        ):
            if value is not None and value not in known:
                reason = f"{one_line(value, 60)!r} is not asked; asked are {', '.join(known)}"
                raise config.bad(("gates", index, name), reason)


def check_labels(config: NightlyConfig, plan: Plan) -> None:
    """Check that each label that a gate names can be given. Raises BadInput that names the line."""
    for index, gate in enumerate(config.gates):
        datasets = {name: dataset for name, dataset in plan.datasets.items() if gate.suite in (None, name)}
        if gate.metric is not None and is_side_metric(gate.metric):
            judges = dict.fromkeys(name for dataset in datasets.values() for name in file_judges(dataset))
            if judge_of(gate.metric, judges) is None:
                known = f"; judges are {one_line(', '.join(judges), 500)}" if judges else ""
                raise config.bad(("gates", index, "metric"), f"no question file of the run has such a judge{known}")
        if gate.metric is None or not is_label_metric(gate.metric):
            continue
        label = gate.metric.removeprefix(PREFIX)
        if any(can_have_label(dataset, label) for dataset in datasets.values()):
            continue
        named = [name for dataset in datasets.values() for name in labels_counted(dataset) or ()]
        known = f"; labels are {one_line(', '.join(dict.fromkeys(named)), 500)}" if named else ""
        raise config.bad(("gates", index, "metric"), f"no answer can have the label {one_line(label, 60)!r}{known}")


def _known(path: tuple[str | int, ...]) -> tuple[str, ...]:
    holders: dict[str | int, type[BaseModel]] = {"checkpoints": CheckpointEntry, "gates": GateEntry}
    holder = holders.get(path[0], _File) if len(path) > 1 else _File
    return tuple(holder.model_fields)


def _field(path: tuple[str | int, ...]) -> str:
    return one_line(".".join(str(part) for part in path if isinstance(part, str)), 80)


def _line(lines: _Lines, path: tuple[str | int, ...]) -> int:
    return next((lines[path[:end]] for end in range(len(path), 0, -1) if path[:end] in lines), 1)


def _read(file: Path) -> tuple[dict[str, Any], _Lines]:
    """The mapping in `file`, and the line of each path in it."""
    fields, node = read_mapping(file, ": checkpoints, run, baseline, gates")
    lines: _Lines = {}
    _note_lines(file, node, (), lines)
    return fields, lines


def _note_lines(file: Path, node: yaml.Node, path: tuple[str | int, ...], lines: _Lines) -> None:
    """Add the lines of everything under `node`, down to the level of fields. Raises BadInput for a repeated key."""
    if len(path) > 3:
        return
    if isinstance(node, yaml.SequenceNode):
        for index, value in enumerate(cast("list[yaml.Node]", node.value)):
            lines[(*path, index)] = value.start_mark.line + 1
            _note_lines(file, value, (*path, index), lines)
    elif isinstance(node, yaml.MappingNode):
        for key, value in cast("list[tuple[yaml.Node, yaml.Node]]", node.value):
            here, line = (*path, str(key.value)), key.start_mark.line + 1
            if here in lines:
                raise BadInput(f"{file}:{line}: {_field(here)}: is given twice, first in line {lines[here]}")
            lines[here] = line
            _note_lines(file, value, here, lines)
