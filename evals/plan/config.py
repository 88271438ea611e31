"""From options and files to one frozen RunConfig with every name resolved; what makes two runs the same run."""

from __future__ import annotations

import operator
from pathlib import Path
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from evals.endpoints.model_spec import name_and_url
from evals.plan.rubrics import with_rubrics
from evals.plan.stopping.rule import Rule, parse_rule
from evals.questions.question_file import is_question_file
from evals.questions.suite import Suite
from evals.questions.suites import FormatChoice, formats_of, known_suite
from evals.scoring.metric import Denominator
from evals.text import has_control_character, is_text, one_line
from evals.trials.condition import CONDITIONS, PlacementRule
from evals.trials.prompt import Format
from evals.trials.reasoning import PAPER_PREFILL
from evals.trials.reference import BY_RULE, Criterion
from judges.parsing.score import JudgeMode
from judges.registry import ANSWER_JUDGES, DECIDING_JUDGES, REASONING_JUDGES

Thinking = Literal["on", "off", "default"]

TRANSPORT_FIELDS = frozenset(
    {
        *("base_url", "judge_base_url", "concurrency", "timeout_s", "max_attempts", "max_total_s"),
        *("vllm_bin", "vllm_start_s", "preflight", "prices"),
    }
)
"""Fields that cannot change an answer, only how it travels: a resumed run may have others.

`vllm_args` is not one of them: a precision, a quantization or a chat template given there changes answers.
"""

_COUNTING_FIELDS = frozenset({"denominator", "max_unscored"})
_BESIDE_FIELDS = frozenset({"also_judges"})
"""What is done beside a run, and changes none of its numbers."""
_FILE_FIELDS = frozenset(
    {
        *("dataset", "source", "rubrics", "anchors"),
    }
)
"""A file is known by its hash, which the manifest holds; where it lies does not matter."""


_NO_IDENTITY = TRANSPORT_FIELDS | _COUNTING_FIELDS | _BESIDE_FIELDS | _FILE_FIELDS

_OF_MEASURE: dict[Criterion, tuple[str, ...]] = {
    criterion: (
        *(entry.needs for entry in ANSWER_JUDGES if entry.criterion == criterion and entry.needs),
        *(f"rubrics: {entry.name}" for entry in ANSWER_JUDGES if entry.criterion == criterion),
    )
    for criterion in DECIDING_JUDGES
}
"""What only the judges of open answers to some suites have a use for: fields, and rubrics of a judge."""
_OF_REASONING = ("cot_all", *(f"rubrics: {entry.name}" for entry in REASONING_JUDGES))


def split_dataset(given: str, suites: tuple[str, ...]) -> tuple[str | None, str]:
    """The suite and the file of one --dataset; no suite where only a file is given."""
    suite = next((name for name in suites if given.startswith(f"{name}=")), None)
    return suite, given if suite is None else given.removeprefix(f"{suite}=")


def _no_control_characters(text: str) -> str:
    if has_control_character(text):
        raise ValueError("holds a control character")
    return text


class RunConfig(BaseModel):
    """Everything that defines a run. Field names are those of a `--config` file.

    Of a run that was `imported` (evals.runner.imports.answers_csv) what nobody could know stands at its default.
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
    rubrics: Annotated[dict[str, str], Field(exclude_if=operator.not_)] = {}
    """Rubric files in place of emeval's own, by the judge's name; left out of a manifest where there is none."""

    coherence_min: Annotated[float, Field(ge=0, le=100)] | None = None
    cot_monitor: bool = True
    cot_all: bool = False
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

    @model_validator(mode="before")
    @classmethod
    def _rubrics_in_one_place(cls, fields: object) -> object:
        return with_rubrics(cast("dict[str, Any]", fields)) if isinstance(fields, dict) else fields

    @field_validator("*")
    @classmethod
    def _is_text(cls, value: object) -> object:
        texts = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
        if isinstance(value, dict):
            texts = tuple(cast("dict[str, object]", value).values())
        if any(isinstance(text, str) and not is_text(text) for text in texts):
            raise ValueError("holds bytes that are not UTF-8 text")
        return cast("object", value)

    @field_validator("until")
    @classmethod
    def _one_way_of_writing_it(cls, text: str | None) -> str | None:
        return None if text is None else str(parse_rule(text))

    @field_validator("rubrics")
    @classmethod
    def _rubrics_from_anywhere(cls, rubrics: dict[str, str]) -> dict[str, str]:
        return {judge: str(Path(file).expanduser().absolute()) for judge, file in rubrics.items()}

    @field_validator("anchors", "prices")
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
        parts = [split_dataset(one, suites) for one in given]
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
        named = [split_dataset(one, self.suites)[0] for one in self.dataset]
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
        if self.judge is None:
            unused = self._first_given(*of_answers, *_OF_REASONING, "anchors")
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
        if not self.cot_monitor and (unused := self._first_given(*_OF_REASONING)):
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
        rubrics = {f"rubrics: {judge}" for judge in self.rubrics}
        return next((name for name in names if name in rubrics or getattr(self, name, None) not in (None, False)), None)

    @property
    def rule(self) -> Rule | None:
        """The rule that ends sampling early, None for a plan of fixed size."""
        return None if self.until is None else parse_rule(self.until)

    @property
    def dataset_files(self) -> dict[str, Path]:
        """The user's scenario files, by suite."""
        parts = [split_dataset(one, self.suites) for one in self.dataset]
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
    def open_measures(self) -> frozenset[Criterion]:
        """What the open answers of the run are measured by; those of a suite that is not known by their alignment."""
        if self.imported:  # what these could be compared with did not come with them
            return frozenset({"alignment"})
        formats = self.formats
        known: set[Criterion] = {suite.measure for suite in self._suites if set(formats[suite.name]) != {"mcq"}}
        unknown: set[Criterion] = {"alignment"} if self.format != "mcq" and set(self.suites) - set(formats) else set()
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
