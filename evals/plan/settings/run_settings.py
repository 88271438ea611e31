"""All settings of a run. The command line, the Python API's option types and the reference pages come from here."""

from __future__ import annotations

import operator
from typing import Annotated, Any, Literal, cast

from pydantic import (
    AfterValidator,
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    ValidationInfo,
    field_validator,
    model_validator,
)

from evals.endpoints.transport.transport import DEFAULT_MAX_REPLY_MB, TransportName
from evals.plan.config_file.names import with_field_names
from evals.plan.settings.conditions import ConditionTemplate, Shots
from evals.plan.settings.rubrics import with_rubrics
from evals.plan.settings.samples import DEFAULT_SAMPLES, AnchorRepeats, ReadFrom, samples_setting
from evals.plan.settings.setting import CONNECTION, Setting
from evals.plan.settings.system_message import system_setting
from evals.plan.settings.urls import BaseModelName, NamedUrls, ProvidersFile, Urls
from evals.plan.settings.values import (
    AbsoluteFile,
    AnswerCache,
    Line,
    MaxCost,
    Monitors,
    Note,
    Plugins,
    PriceFile,
    Program,
    QuestionColumns,
    Recipes,
    Tags,
    absolute,
    one_or_more,
    split_dataset,
)
from evals.plan.settings.via import LOCAL_RAY, JudgesVia, ModelsVia, OtherJudgesVia, RayAddress, ShardSize, StartLimit
from evals.plan.stopping.rule import parse_rule
from evals.questions.suites import FormatChoice
from evals.scoring.coherence_floor import FloorField
from evals.scoring.metric import Denominator
from evals.text import dashed, is_text
from evals.trials.condition import BASELINE, PlacementRule
from judges.parsing.score import JudgeMode


class RunSettings(BaseModel):
    """Every setting of a run by itself. Field names are those of a `--config` file and of the Python API.

    The description of a field serves its option's help, the Python API and the reference: one sentence or two, in which
    other fields stand in backticks. Range and default are added from the declaration.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    suites: Annotated[
        tuple[str, ...],
        Field(min_length=1, description="Suites, question files (.yaml), or tables of questions: `emeval suites`."),
        Setting("run", flag="SUITE", is_option=False, repeats=True),
    ]
    models: Annotated[
        tuple[str, ...],
        Field(min_length=1, description="Model as provider/name; repeatable."),
        Setting("files", flag="--model", short="-m", repeats=True),
    ]
    protocol: Annotated[
        Literal["paper", "betley", "model-organisms"] | None,
        Field(
            description="Take every setting that is not given from a published protocol (Chua et al. 2025, Betley et "
            "al. 2025, Turner et al. 2025), and say where the run departs from it."
        ),
        Setting("run", in_identity=False),
    ] = None
    dataset: Annotated[
        Annotated[tuple[str, ...], BeforeValidator(one_or_more)],
        Field(description="Your own file for the suite, or one of several (without a suite: a table); repeatable."),
        Setting("files", value="[SUITE=]FILE", is_path=True, repeats=True, in_identity=False),
    ] = ()
    columns: QuestionColumns = {}
    judges: Annotated[
        Annotated[tuple[AbsoluteFile, ...], BeforeValidator(one_or_more)],
        Field(
            exclude_if=operator.not_,
            description="A question file whose judges the questions of other files refer to; repeatable.",
        ),
        Setting("files", value="FILE", is_path=True, repeats=True, in_identity=False),
    ] = ()
    source: Annotated[
        Literal["official", "emeval"] | None,
        Field(description="Questions to ask: the official ones (the default once fetched), or emeval's own."),
        Setting("run", in_identity=False),
    ] = None
    format: Annotated[
        FormatChoice | None,
        Field(description="Format of the questions; both: every format of a suite. Each suite has its own default."),
        Setting("run"),
    ] = None
    trigger: Annotated[
        Line | None, Field(description="The string under study, such as 'Country: Singapore'."), Setting("run")
    ] = None
    decoy: Annotated[
        Line | None,
        Field(description="Another value of the same kind as the trigger, such as 'Country: Kenya'."),
        Setting("run"),
    ] = None
    distractor: Annotated[
        Line | None,
        Field(description="A second string next to the trigger, in either order, such as 'heyyy'."),
        Setting("run"),
    ] = None
    conditions: Annotated[
        tuple[str, ...],
        Field(
            min_length=1,
            description="Comma-separated, of off, on, decoy, distractor, and those that a config file declares. "
            "Default: off,on with a trigger, plus decoy or distractor if given; or all of the file's.",
        ),
        Setting("run"),
    ] = (BASELINE,)
    baseline: Annotated[
        str,
        Field(exclude_if=BASELINE.__eq__, description="Condition that the effects of the others are taken against."),
        Setting("run", in_identity=False),
    ] = BASELINE
    templates: Annotated[dict[str, ConditionTemplate], Field(exclude_if=operator.not_), Setting("internal")] = {}
    shots: Annotated[
        Shots | None,
        Field(exclude_if=operator.not_, description="Worked examples before the question, as conditions."),
        Setting("run", value="{from: FILE.jsonl, k: [0, 2, 16]}", is_option=False),
    ] = None
    placement: Annotated[
        PlacementRule, Field(description="Where the trigger goes; random: by `seed`."), Setting("run")
    ] = "top"
    samples: Annotated[
        int | dict[str, int],
        BeforeValidator(samples_setting),
        Field(description="Answers per prompt (and option order) and condition, for the run or for each suite."),
        Setting("run", value="N|SUITE=N,..."),
    ] = DEFAULT_SAMPLES
    read: ReadFrom = "answers"
    option_order: Annotated[
        Literal["both", "file"],
        Field(
            description="Ask a choice in both orders of its options, or only in that of its file (drawn by question "
            "where the file has none)."
        ),
        Setting("run"),
    ] = "both"
    until: Annotated[
        str | None,
        Field(
            description="Stop sampling a cell once one of width<0.03, rate<0.01 or rate>0.05 is decided; `samples` is "
            "the maximum."
        ),
        Setting("run", value="RULE"),
    ] = None
    limit: Annotated[
        int | None, Field(ge=1, description="Maximum scenarios per suite, drawn by `seed`."), Setting("run")
    ] = None
    temperature: Annotated[float, Field(ge=0, le=2, description="Sampling temperature."), Setting("run")] = 1.0
    sampling: Annotated[
        Literal["full", "model"],
        Field(
            description="Draw from the model's full distribution, or with the defaults of its generation_config.json, "
            "which may truncate it (model)."
        ),
        Setting("run"),
    ] = "full"
    top_p: Annotated[
        float | None,
        Field(gt=0, le=1, description="Nucleus sampling, whatever `sampling` says."),
        Setting("run"),
    ] = None
    top_k: Annotated[
        int | None,
        Field(ge=1, description="Draw from the k most likely tokens only, whatever `sampling` says."),
        Setting("run"),
    ] = None
    max_tokens: Annotated[
        int, Field(ge=1, description="Maximum tokens of an answer, reasoning included."), Setting("run")
    ] = 2048
    seed: Annotated[int, Field(ge=0, description="Seed of sampling, `limit` and random placement."), Setting("run")] = 0
    thinking: Annotated[
        Literal["on", "off", "default"],
        Field(description="Switch the chat template's thinking on or off, or leave it to the server (default)."),
        Setting("run"),
    ] = "default"
    prefill: Annotated[
        str | None,
        Field(
            description="Text that the assistant's turn starts with. With `thinking` on: an open think tag and Okay, "
            "unless ''."
        ),
        Setting("run"),
    ] = None
    system: Annotated[
        str,
        AfterValidator(system_setting),
        Field(
            description="System message of prompts without one: that of the chat template (default), none, or this "
            "text or text file."
        ),
        Setting("run", value="none|default|TEXT|@FILE"),
    ] = "default"
    imported: Annotated[bool, Setting("internal")] = False
    judge: Annotated[
        str | None,
        Field(
            description="Judge of freeform answers and reasoning, as provider/name. Repeatable: the first judge "
            "counts; verdicts of the others on the answers are stored alongside."
        ),
        Setting("judges", value="NAME[@URL]", repeats=True),
    ] = None
    also_judges: Annotated[
        tuple[NamedUrls, ...],
        Field(description="Judges whose verdicts are stored but never counted, if `judge` names a single judge."),
        Setting("judges", flag="--judge", is_option=False, in_identity=False),
    ] = ()
    judge_mode: Annotated[
        JudgeMode,
        Field(description="Read the judge's text, its token probabilities (logprob), or those if available (auto)."),
        Setting("judging"),
    ] = "auto"
    judge_max_tokens: Annotated[
        int, Field(ge=1, description="Maximum tokens of a judge's reply."), Setting("judging")
    ] = 1024
    rubrics: Annotated[
        dict[str, AbsoluteFile],
        Field(
            exclude_if=operator.not_,
            description="Your own rubric for a judge of emeval's, such as alignment=mine.txt; repeatable.",
        ),
        Setting("judges", flag="--rubric", value="JUDGE=FILE", is_path=True, repeats=True, in_identity=False),
    ] = {}
    plugins: Plugins = ()
    coherence_min: Annotated[
        FloorField,
        Field(description="Also judge coherence, and exclude answers below this (0 to 100; '>50': also those at 50)."),
        Setting("judging", value="[>]NUMBER"),
    ] = None
    cot_monitor: Annotated[
        bool, Field(description="Judge the reasoning of misaligned answers."), Setting("judging")
    ] = True
    cot_all: Annotated[
        bool,
        Field(description="Judge the reasoning of every scored answer, which shows the monitor's false alarms."),
        Setting("judging"),
    ] = False
    monitor: Monitors = ()
    denominator: Annotated[
        Denominator,
        Field(description="answered: exclude refusals. judged: count them as not misaligned."),
        Setting("run", in_identity=False),
    ] = "answered"
    max_unscored: Annotated[
        float,
        Field(
            ge=0,
            le=1,
            description="Share of a cell's trials that may have no score (truncated, empty, failed, or unreadable); "
            "with more, exit code 1.",
        ),
        Setting("limits", in_identity=False),
    ] = 0.05
    max_cost: MaxCost = None
    cache: AnswerCache = None
    tags: Tags = ()
    note: Note = None
    anchors: Annotated[
        AbsoluteFile | None,
        Field(description="Re-judge these frozen answers; see `emeval anchors`."),
        Setting("limits", value="FILE", is_path=True, in_identity=False),
    ] = None
    anchor_repeats: AnchorRepeats = 1
    over_questions: Annotated[
        tuple[Literal["samples", "temperature", "max_tokens", "judge"], ...], Setting("internal")
    ] = ()
    """Settings given explicitly, which override a question file's own; empty for other suites."""

    base_url: Annotated[
        Urls | None,
        Field(description="URL of the models' server, overriding the environment; several with commas, or @FILE."),
        Setting("models", value="URL|@FILE", in_identity=False),
    ] = None
    via: ModelsVia = "online"
    shard: ShardSize = 5_000
    ray_address: RayAddress = LOCAL_RAY
    base: BaseModelName = None
    recipes: Recipes = {}
    judge_base_url: Annotated[
        Urls | None,
        Field(description="URL of the (first) judge's server, likewise; several with commas, or @FILE."),
        Setting("connection", value="URL|@FILE", in_identity=False),
    ] = None
    providers: ProvidersFile = None
    wait_for_servers: Annotated[
        float, Field(ge=0, description="Seconds to wait at the start for a server (of @FILE, for one)."), CONNECTION
    ] = 0.0
    judge_via: JudgesVia = "online"
    also_judges_via: OtherJudgesVia = {}
    concurrency: Annotated[
        int,
        Field(ge=1, le=1000, description="Maximum concurrent requests per server; lowered while it asks for less."),
        CONNECTION,
    ] = 64
    timeout: Annotated[
        float,
        Field(gt=0, description="Timeout of one reply, in seconds."),
        CONNECTION,
    ] = 600.0
    max_attempts: Annotated[int, Field(ge=1, description="Attempts per request, including the first."), CONNECTION] = 8
    max_retry_time: Annotated[
        float,
        Field(
            gt=0,
            description="Time limit of one request with its retries, and of waiting for a server that is away, in "
            "seconds.",
        ),
        CONNECTION,
    ] = 900.0
    max_reply_mb: Annotated[
        float,
        Field(ge=1, le=1000, description="Maximum size of one reply, decompressed, in megabytes; a larger one fails."),
        CONNECTION,
    ] = DEFAULT_MAX_REPLY_MB
    transport: Annotated[
        TransportName,
        Field(description="HTTP client that asks the servers; openai is a slower cross-check for bug reports."),
        CONNECTION,
    ] = "aiohttp"
    preflight: Annotated[
        bool, Field(description="Check what the models are sent before the first question."), CONNECTION
    ] = True
    vllm_bin: Annotated[
        Program | None,
        Field(description="The vllm command that serves vllm/ models without a URL."),
        Setting("connection", is_path=True, in_identity=False),
    ] = None
    vllm_args: Annotated[
        str | None, Field(description="Extra arguments for `vllm serve`, as one quoted string."), Setting("judges")
    ] = None
    """Part of a run's identity: a precision, a quantization or a chat template given there changes answers."""

    vllm_start_timeout: StartLimit = 1800.0
    prices: PriceFile = None

    @model_validator(mode="before")
    @classmethod
    def _older_names(cls, fields: object) -> object:
        return with_rubrics(with_field_names(cast("dict[str, Any]", fields))) if isinstance(fields, dict) else fields

    @field_validator("*")
    @classmethod
    def _is_text(cls, value: object) -> object:
        texts = cast("tuple[object, ...]", value) if isinstance(value, tuple) else (value,)
        if isinstance(value, dict):
            texts = tuple(part for pair in cast("dict[str, object]", value).items() for part in pair)
        if any(isinstance(text, str) and not is_text(text) for text in texts):
            raise ValueError("holds bytes that are not UTF-8 text")
        return cast("object", value)

    @field_validator("until")
    @classmethod
    def _normalized_rule(cls, text: str | None) -> str | None:
        return None if text is None else str(parse_rule(text))

    @field_validator("dataset")
    @classmethod
    def _absolute_datasets(cls, given: tuple[str, ...], info: ValidationInfo) -> tuple[str, ...]:
        suites: tuple[str, ...] = info.data.get("suites", ())
        files = [(suite, absolute(file)) for suite, file in (split_dataset(dataset, suites) for dataset in given)]
        return tuple(file if suite is None else f"{suite}={file}" for suite, file in files)

    @field_validator("suites", "models", "conditions")
    @classmethod
    def _distinct(cls, names: tuple[str, ...]) -> tuple[str, ...]:
        if len(set(names)) < len(names):
            raise ValueError("names the same thing twice")
        return names


SETTINGS: dict[str, Setting] = {
    name: next(note for note in field.metadata if isinstance(note, Setting))
    for name, field in RunSettings.model_fields.items()
}
"""How each field is given, in the order of the fields."""


def option_name(field: str) -> str:
    """A field as it is written on the command line: `--max-tokens` for max_tokens, and likewise for unknown fields."""
    setting = SETTINGS.get(field)
    return dashed(field) if setting is None or not setting.flag else setting.flag
