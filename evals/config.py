"""From options and files to one frozen RunConfig with every name resolved; what makes two runs the same run."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationError,
    ValidationInfo,
    field_validator,
    model_validator,
)

from evals.endpoints.model_spec import name_and_url
from evals.errors import BadInput
from evals.io.yaml_reader import read_mapping
from evals.questions.dataset import load
from evals.questions.question_file import QuestionScenario, is_question_file, models_named
from evals.questions.suite import Suite
from evals.questions.suites import FormatChoice, formats_of, known_suite
from evals.scoring.metric import Denominator
from evals.text import has_control_character, is_text, one_line, option_name
from evals.trials.condition import CONDITIONS, PlacementRule
from evals.trials.prompt import Format
from evals.trials.reasoning import PAPER_PREFILL
from evals.trials.reference import BY_RULE, Measure
from evals.until import Rule, parse_rule
from judges.score import JudgeMode

Thinking = Literal["on", "off", "default"]

TRANSPORT_FIELDS = frozenset(
    {
        *("base_url", "judge_base_url", "concurrency", "timeout_s", "max_attempts", "max_total_s"),
        *("vllm_bin", "vllm_start_s", "preflight", "prices"),
    }
)
"""Fields that cannot change an answer, only how it travels: a resumed run may have others.

`vllm_args` is none of them: a precision, a quantization or a chat template given there changes answers.
"""

_COUNTING_FIELDS = frozenset({"denominator", "max_unscored"})
_BESIDE_FIELDS = frozenset({"also_judges"})
"""What is done beside a run, and changes none of its numbers."""
_FILE_FIELDS = frozenset(
    {
        *("dataset", "source", "alignment_rubric", "coherence_rubric", "cot_monitor_rubric", "articulation_rubric"),
        *("truthfulness_rubric", "honesty_rubric", "trigger_credit_rubric", "anchors"),
    }
)
_RUBRIC_FIELDS = frozenset(name for name in _FILE_FIELDS if name.endswith("_rubric"))
"""A file is known by its hash, which the manifest holds; where it lies does not matter."""


_NO_IDENTITY = TRANSPORT_FIELDS | _COUNTING_FIELDS | _BESIDE_FIELDS | _FILE_FIELDS

_OF_MEASURE: dict[Measure, tuple[str, ...]] = {
    "alignment": ("coherence_min", "alignment_rubric", "coherence_rubric"),
    "truthfulness": ("truthfulness_rubric",),
    "honesty": ("honesty_rubric",),
}
"""Fields that only the judges of open answers to some suites have a use for."""


def _split_dataset(given: str, suites: tuple[str, ...]) -> tuple[str | None, str]:
    """The suite and the file of one --dataset; no suite where only a file is given."""
    suite = next((name for name in suites if given.startswith(f"{name}=")), None)
    return suite, given if suite is None else given.removeprefix(f"{suite}=")


def _no_control_characters(text: str) -> str:
    if has_control_character(text):
        raise ValueError("holds a control character")
    return text


class RunConfig(BaseModel):
    """Everything that defines a run. Field names are those of a `--config` file.

    Of a run that was `imported` (evals.importing) what nobody could know stands at its default.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    suites: Annotated[tuple[str, ...], Field(min_length=1)]
    models: Annotated[tuple[str, ...], Field(min_length=1)]
    dataset: tuple[str, ...] = ()
    source: Literal["official", "emeval"] | None = None
    format: FormatChoice | None = None
    trigger: Annotated[str, Field(min_length=1), AfterValidator(_no_control_characters)] | None = None
    decoy: Annotated[str, Field(min_length=1), AfterValidator(_no_control_characters)] | None = None
    distractor: Annotated[str, Field(min_length=1), AfterValidator(_no_control_characters)] | None = None
    conditions: Annotated[tuple[str, ...], Field(min_length=1)] = ("off",)
    placement: PlacementRule = "top"
    samples: Annotated[int, Field(ge=1)] = 1
    until: str | None = None
    limit: Annotated[int, Field(ge=1)] | None = None
    temperature: Annotated[float, Field(ge=0, le=2)] = 1.0
    max_tokens: Annotated[int, Field(ge=1)] = 2048
    seed: Annotated[int, Field(ge=0)] = 0
    thinking: Thinking = "default"
    prefill: str | None = None
    imported: bool = False
    judge: str | None = None
    also_judges: tuple[str, ...] = ()
    """Judges whose verdicts are kept and never counted, each as `provider/name` or `provider/name@URL`."""

    judge_mode: JudgeMode = "auto"
    judge_max_tokens: Annotated[int, Field(ge=1)] = 1024
    alignment_rubric: str | None = None
    coherence_rubric: str | None = None
    coherence_min: Annotated[float, Field(ge=0, le=100)] | None = None
    cot_monitor: bool = True
    cot_all: bool = False
    cot_monitor_rubric: str | None = None
    articulation_rubric: str | None = None
    truthfulness_rubric: str | None = None
    honesty_rubric: str | None = None
    trigger_credit_rubric: str | None = None
    denominator: Denominator = "answered"
    max_unscored: Annotated[float, Field(ge=0, le=1)] = 0.05
    anchors: str | None = None
    over_questions: tuple[Literal["samples", "temperature", "max_tokens", "judge"], ...] = ()
    """What was given outright, and so stands above what a question file says. For other suites there is nothing."""

    base_url: str | None = None
    judge_base_url: str | None = None
    concurrency: Annotated[int, Field(ge=1, le=1000)] = 64
    timeout_s: Annotated[float, Field(gt=0)] = 600.0
    max_attempts: Annotated[int, Field(ge=1)] = 8
    max_total_s: Annotated[float, Field(gt=0)] = 900.0
    preflight: bool = True
    vllm_bin: Annotated[str, Field(min_length=1)] | None = None
    vllm_args: str | None = None
    vllm_start_s: Annotated[float, Field(gt=0)] = 1800.0
    prices: str | None = None
    """A table of token prices that stands above emeval's own."""

    @field_validator("*")
    @classmethod
    def _is_text(cls, value: object) -> object:
        texts = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
        if any(isinstance(text, str) and not is_text(text) for text in texts):
            raise ValueError("holds bytes that are not UTF-8 text")
        return cast("object", value)

    @field_validator("until")
    @classmethod
    def _one_way_of_writing_it(cls, text: str | None) -> str | None:
        return None if text is None else str(parse_rule(text))

    @field_validator(*_RUBRIC_FIELDS, "anchors", "prices")
    @classmethod
    def _from_anywhere(cls, file: str | None) -> str | None:
        return None if file is None else str(Path(file).expanduser().absolute())

    @field_validator("dataset", mode="before")
    @classmethod
    def _one_or_more(cls, value: object) -> object:
        return () if value is None else (value,) if isinstance(value, str) else value

    @field_validator("dataset")
    @classmethod
    def _files_from_anywhere(cls, given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        suites: tuple[str, ...] = info.data.get("suites", ())
        parts = [_split_dataset(one, suites) for one in given]
        absolute = [(suite, str(Path(file).expanduser().absolute())) for suite, file in parts]
        return tuple(file if suite is None else f"{suite}={file}" for suite, file in absolute)

    @field_validator("vllm_bin")
    @classmethod
    def _program(cls, program: str | None) -> str | None:
        if program is None or Path(program).name == program:  # looked for on PATH
            return program
        return str(Path(program).expanduser().absolute())

    @field_validator("suites", "models", "conditions")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("names the same thing twice")
        return names

    @field_validator("conditions")
    @classmethod
    def _known(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        unknown = [name for name in names if name not in CONDITIONS]
        if unknown:
            raise ValueError(f"unknown condition {unknown[0]!r}; known: {', '.join(CONDITIONS)}")
        return names

    @model_validator(mode="after")
    def _consistent(self) -> RunConfig:
        if self.imported:  # its suites, formats and conditions are what a file says, whatever a suite of that name is
            return self
        named = [_split_dataset(one, self.suites)[0] for one in self.dataset]
        if None in named and (len(self.suites) > 1 or len(named) > 1):
            raise ValueError("dataset: one file cannot stand for several suites; write SUITE=FILE")
        if len(set(named)) < len(named):
            raise ValueError("dataset: two files are given for one suite")
        try:
            formats = self.formats
        except ValueError as error:
            raise ValueError(f"format: {error}") from None
        open_measures = self.open_measures
        of_answers = [name for names in _OF_MEASURE.values() for name in names]
        of_reasoning = ("cot_all", "cot_monitor_rubric", "articulation_rubric", "trigger_credit_rubric")
        if self.judge is None:
            unused = self._first_given(*of_answers, *of_reasoning, "anchors")
            if unused:
                raise ValueError(f"{unused}: needs a judge; name one with --judge")
        elif formats and open_measures <= BY_RULE:
            if all(suite.measure in BY_RULE for suite in self._suites):
                raise ValueError("judge: the answers to these suites are read by rule, without one")
            unused = self._first_given(*of_answers)
            if unused:
                raise ValueError(f"{unused}: multiple choice is read without it; ask for --format freeform or both")
            if not self.cot_monitor:
                raise ValueError(
                    "judge: multiple choice is read without one, and with --no-cot-monitor it reads no reasoning; "
                    "ask for --format freeform or both"
                )
        elif len(formats) == len(self.suites):
            for measure, names in _OF_MEASURE.items():
                if measure not in open_measures and (unused := self._first_given(*names)):
                    raise ValueError(f"{unused}: no suite of this run is judged with it")
        if not self.cot_monitor and (unused := self._first_given(*of_reasoning)):
            raise ValueError(f"{unused}: nothing uses it with --no-cot-monitor")
        asks_about_it = any(suite.needs_trigger for suite in self._suites)
        if self.trigger is not None and self.conditions == ("off",) and not asks_about_it:
            raise ValueError("trigger: no condition uses it; ask for conditions off,on")
        if (self.decoy is not None) != ("decoy" in self.conditions):
            raise ValueError("decoy: is for the condition of that name, which needs it; give both or neither")
        if self.decoy is not None and self.decoy == self.trigger:
            raise ValueError("decoy: is the trigger itself; give another value of its kind")
        if (self.distractor is not None) != ("distractor" in self.conditions):
            raise ValueError("distractor: is for the condition of that name, which needs it; give both or neither")
        trigger, other = self.trigger or "", self.distractor or ""
        if trigger and other and (other in trigger or trigger in other):
            raise ValueError("distractor: is a part of the trigger or holds it; give another string")
        return self

    @model_validator(mode="after")
    def _judges(self) -> RunConfig:
        if not self.also_judges:
            return self
        if self.judge is None:
            raise ValueError("also_judges: need a judge that counts; name it with --judge")
        names = [self.judge, *(name_and_url(one)[0] for one in self.also_judges)]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise ValueError(f"judge: {one_line(twice, 60)} is named twice")
        if not self.imported and len(self.formats) == len(self.suites) and self.open_measures <= BY_RULE:
            raise ValueError("judge: a second one reads open answers alone, and there are none; see --format")
        return self

    def _first_given(self, *names: str) -> str | None:
        return next((name for name in names if getattr(self, name) not in (None, False)), None)

    @property
    def rule(self) -> Rule | None:
        """The rule that ends sampling early, None for a plan of fixed size."""
        return None if self.until is None else parse_rule(self.until)

    @property
    def dataset_files(self) -> dict[str, Path]:
        """The user's scenario files, by suite."""
        parts = [_split_dataset(one, self.suites) for one in self.dataset]
        return {suite or self.suites[0]: Path(file) for suite, file in parts}

    @property
    def formats(self) -> dict[str, tuple[Format, ...]]:
        """The formats that each suite is asked in, of those that are known. Raises ValueError where one lacks them."""
        return {suite.name: formats_of(suite, self.format) for suite in self._suites}

    @property
    def _suites(self) -> tuple[Suite, ...]:
        """The suites of the run, of those that are known; of imported answers none, whatever theirs are called."""
        named = () if self.imported else self.suites
        return tuple(suite for suite in map(known_suite, named) if suite is not None)

    @property
    def question_files(self) -> tuple[str, ...]:
        """The suites that are question files of the user's."""
        return tuple(filter(is_question_file, self.suites))

    @property
    def open_measures(self) -> frozenset[Measure]:
        """What the open answers of the run are measured by; those of a suite that is not known by their alignment."""
        if self.imported:  # what these could be compared with did not come with them
            return frozenset({"alignment"})
        formats = self.formats
        known: set[Measure] = {suite.measure for suite in self._suites if set(formats[suite.name]) != {"mcq"}}
        unknown: set[Measure] = {"alignment"} if self.format != "mcq" and set(self.suites) - set(formats) else set()
        return frozenset(known | unknown)

    @property
    def thinking_switch(self) -> bool | None:
        """Whether the chat template is told to think; None where it is left to the server."""
        return None if self.thinking == "default" else self.thinking == "on"

    @property
    def assistant_prefill(self) -> str:
        """What the assistant's turn begins with: as asked for, else with thinking on as in the paper, else nothing."""
        if self.prefill is not None:
            return self.prefill
        return PAPER_PREFILL if self.thinking == "on" else ""

    def other_judgings(self) -> tuple[RunConfig, ...]:
        """This config once for each judge that is not counted, as what it is asked: the answers, and no reasoning."""
        none = {"also_judges": (), "cot_monitor": False, "cot_all": False, "anchors": None}
        asked = map(name_and_url, self.also_judges)
        return tuple(self.model_copy(update={"judge": name, "judge_base_url": url, **none}) for name, url in asked)

    def identity(self) -> dict[str, Any]:
        """The fields that define which run this is, as JSON values; its files are known by their hashes instead."""
        fields = self.model_dump(mode="json", exclude=set(_NO_IDENTITY))
        # Who named the judge does not matter, as long as it is the same one.
        return fields | {"over_questions": [name for name in self.over_questions if name != "judge"]}


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
    if "judge" in given:  # who is named on the command line takes the place of all that the file names
        fields.pop("also_judges", None)
    fields = _with_judges({**fields, **given}, given)
    fields = _with_question_files(fields)
    if fields.get("trigger") and "conditions" not in fields:
        fields["conditions"] = ("off", "on", *(name for name in ("decoy", "distractor") if fields.get(name)))
    conditions: object = fields.get("conditions")
    if isinstance(conditions, str):
        fields["conditions"] = tuple(part.strip() for part in conditions.split(","))
    try:
        return RunConfig.model_validate(fields)
    except ValidationError as error:
        raise BadInput(_first_problem(error, file, lines, given)) from None


def _with_judges(fields: dict[str, Any], given: Mapping[str, object]) -> dict[str, Any]:
    """`fields` with the first of several judges as the one that counts, and its URL where that is written with it.

    `given` are those of the fields that come from the command line. Raises BadInput for two URLs of one judge, and for
    judges in both of their fields.
    """
    judge: object = fields.get("judge")
    if isinstance(judge, list | tuple):
        first, *others = cast("list[object] | tuple[object, ...]", judge) or (None,)
        if fields.get("also_judges"):
            raise BadInput("also_judges: name further judges there or in judge, not in both")
        fields = fields | {"judge": first, "also_judges": tuple(others)}
        judge = first
    name, url = name_and_url(judge) if isinstance(judge, str) else (judge, None)
    if url is None:
        return fields
    if given.get("judge_base_url") is not None:
        raise BadInput("--judge-base-url: the URL of the judge is written with its name already; give it once")
    return fields | {"judge": name, "judge_base_url": url}


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
    own = [one for one in datasets if _split_dataset(str(one), tuple(file.name for file in files))[0] is not None]
    if own or (datasets and len(files) == len(names)):
        raise BadInput("--dataset: a question file holds its own questions; leave it out")
    more: dict[str, Any] = {
        "suites": tuple(
            Path(name).name if isinstance(name, str) and is_question_file(name) else name for name in names
        ),
        "dataset": (*datasets, *(f"{file.name}={file}" for file in files)),
        "over_questions": tuple(name for name in ("samples", "temperature", "max_tokens", "judge") if name in fields),
    }
    if "judge" not in fields:
        questions = [one for file in files for one in load(file).scenarios if isinstance(one, QuestionScenario)]
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


def _first_problem(error: ValidationError, file: Path | None, lines: dict[str, int], given: dict[str, Any]) -> str:
    detail = error.errors(include_url=False, include_input=False)[0]
    message = one_line(detail["msg"].removeprefix("Value error, "))
    if detail["loc"]:
        field = str(detail["loc"][0])
    else:  # a check over several fields opens with the name of the one to change
        field, _, message = message.partition(": ")
    if detail["type"] == "missing":
        message = "is missing"
    elif detail["type"] == "extra_forbidden":
        message = f"is not an option; known: {', '.join(RunConfig.model_fields)}"
    shown = one_line(field, 60)
    if file is not None and field in lines and field not in given:
        return f"{file}:{lines[field]}: {shown}: {message}"
    return f"{option_name(shown)}: {message}"


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
    given = _with_judges(given, given)
    try:
        return RunConfig.model_validate(config.model_dump() | given)
    except ValidationError as error:
        raise BadInput(_first_problem(error, None, {}, given)) from None
