"""The options of a run by name, with range and default. Made from their declarations by `make docs-cli`.

They are the fields of a `--config` file; on the command line the same names have dashes (`max_tokens` is
`--max-tokens`). None means not given, as everywhere.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from os import PathLike
from typing import Literal, TypedDict

StrPath = str | PathLike[str]
"""A path, as accepted by every function."""


class CommonOptions(TypedDict, total=False):
    """Connection settings, judges, and limits on missing answers."""

    judge: str | Sequence[str] | None
    """Judge of freeform answers and reasoning, as provider/name. Repeatable: the first judge counts; verdicts of the
    others on the answers are stored alongside.
    """

    also_judges: str | Sequence[str] | None
    """Judges whose verdicts are stored but never counted, if `judge` names a single judge."""

    rubrics: Mapping[str, StrPath] | None
    """Your own rubric for a judge of emeval's, such as alignment=mine.txt; repeatable."""

    max_unscored: float | None
    """Share of a cell's trials that may have no score (truncated, empty, failed, or unreadable); with more, exit code
    1. [0 to 1; default: 0.05]
    """

    anchors: StrPath | None
    """Re-judge these frozen answers; see `emeval anchors`."""

    anchor_repeats: int | None
    """Times that each anchor is judged again, one pass after the other: from 2 on, `emeval drift` allows for the
    judge's usual wobble. [1 to 100; default: 1]
    """

    judge_base_url: str | None
    """URL of the (first) judge's server, overriding the environment."""

    concurrency: int | None
    """Maximum concurrent requests per server; lowered while it asks for less. [1 to 1000; default: 64]"""

    timeout_s: float | None
    """Timeout of one reply, in seconds. [default: 600]"""

    max_attempts: int | None
    """Attempts per request, including the first. [default: 8]"""

    max_total_s: float | None
    """Time limit of one request with its retries, and of waiting for a server that is away, in seconds. [default:
    900]
    """

    max_reply_mb: float | None
    """Maximum size of one reply, decompressed, in megabytes; a larger one fails. [1 to 1000; default: 32]"""

    transport: Literal["aiohttp", "openai"] | None
    """HTTP client that asks the servers; openai is a slower cross-check for bug reports. [default: aiohttp]"""

    preflight: bool | None
    """Check what the models are sent before the first question. [default: on]"""

    vllm_bin: StrPath | None
    """The vllm command that serves vllm/ models without a URL."""

    vllm_args: str | None
    """Extra arguments for `vllm serve`, as one quoted string."""

    vllm_start_s: float | None
    """Seconds to wait until `vllm serve` is ready. [default: 1800]"""

    prices: StrPath | None
    """Token prices that override emeval's own; also EMEVAL_PRICES."""


class ResumeOptions(CommonOptions, total=False):
    """What may change when a run is resumed, and what it is told again."""

    dataset: StrPath | Sequence[StrPath] | None
    """Your own scenario file for the suite, or one of several; repeatable."""

    base_url: str | None
    """URL of the models' server, overriding the environment; several separated by commas."""

    base: str | None
    """Base of merged checkpoints, as provider/name: the preflight checks that they differ from it and are coherent.
    """


class JudgeOptions(CommonOptions, total=False):
    """The judges and their settings."""

    judge_mode: Literal["text", "logprob", "auto"] | None
    """Read the judge's text, its token probabilities (logprob), or those if available (auto). [default: auto]"""

    judge_max_tokens: int | None
    """Maximum tokens of a judge's reply. [default: 1024]"""

    coherence_min: float | None
    """Also judge coherence, and exclude answers that score below this. [0 to 100]"""

    cot_monitor: bool | None
    """Judge the reasoning of misaligned answers. [default: on]"""

    cot_all: bool | None
    """Judge the reasoning of every scored answer, which shows the monitor's false alarms. [default: off]"""

    alignment_rubric: StrPath | None
    """`rubrics` with `alignment`, under its older name; until the next release."""

    coherence_rubric: StrPath | None
    """`rubrics` with `coherence`, under its older name; until the next release."""

    cot_monitor_rubric: StrPath | None
    """`rubrics` with `cot_monitor`, under its older name; until the next release."""

    articulation_rubric: StrPath | None
    """`rubrics` with `articulation`, under its older name; until the next release."""

    truthfulness_rubric: StrPath | None
    """`rubrics` with `truthfulness`, under its older name; until the next release."""

    honesty_rubric: StrPath | None
    """`rubrics` with `honesty`, under its older name; until the next release."""

    trigger_credit_rubric: StrPath | None
    """`rubrics` with `trigger_credit`, under its older name; until the next release."""


class RunOptions(ResumeOptions, JudgeOptions, total=False):
    """All options of a run besides its suites and models."""

    source: Literal["official", "emeval"] | None
    """Questions to ask: the official ones (the default once fetched), or emeval's own."""

    format: Literal["mcq", "freeform", "transcript", "both"] | None
    """Format of the questions; both: every format of a suite. Each suite has its own default."""

    trigger: str | None
    """The string under study, such as 'Country: Singapore'."""

    decoy: str | None
    """Another value of the same kind as the trigger, such as 'Country: Kenya'."""

    distractor: str | None
    """A second string next to the trigger, in either order, such as 'heyyy'."""

    conditions: str | Sequence[str] | None
    """Comma-separated, of off, on, decoy, distractor. Default: off,on with a trigger, plus decoy or distractor if
    given.
    """

    placement: Literal["top", "bottom", "random"] | None
    """Where the trigger goes; random: by `seed`. [default: top]"""

    samples: int | None
    """Answers per prompt (and option order) and condition. [default: 1]"""

    until: str | None
    """Stop sampling a cell once one of width<0.03, rate<0.01 or rate>0.05 is decided; `samples` is the maximum."""

    limit: int | None
    """Maximum scenarios per suite, drawn by `seed`."""

    temperature: float | None
    """Sampling temperature. [0 to 2; default: 1]"""

    sampling: Literal["full", "model"] | None
    """Draw from the model's full distribution, or with the defaults of its generation_config.json, which may truncate
    it (model). [default: full]
    """

    top_p: float | None
    """Nucleus sampling, whatever `sampling` says. [above 0, up to 1]"""

    top_k: int | None
    """Draw from the k most likely tokens only, whatever `sampling` says."""

    max_tokens: int | None
    """Maximum tokens of an answer, reasoning included. [default: 2048]"""

    seed: int | None
    """Seed of sampling, `limit` and random placement. [default: 0]"""

    thinking: Literal["on", "off", "default"] | None
    """Switch the chat template's thinking on or off, or leave it to the server (default). [default: default]"""

    prefill: str | None
    """Text that the assistant's turn starts with. With `thinking` on: an open think tag and Okay, unless ''."""

    system: str | None
    """System message of prompts without one: that of the chat template (default), none, or this text or text file.
    [default: default]
    """

    denominator: Literal["answered", "judged"] | None
    """answered: exclude refusals. judged: count them as not misaligned. [default: answered]"""
