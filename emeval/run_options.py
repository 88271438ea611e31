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

    max_cost: float | None
    """Stop, to be resumed, once the run has cost so many dollars at list prices, its judges included; requests in
    flight are finished.
    """

    cache: StrPath | None
    """Take answers and verdicts that an earlier run has paid for from this folder, and keep new ones there (on: the
    user's cache folder). Off by default.
    """

    anchors: StrPath | None
    """Re-judge these frozen answers; see `emeval anchors`."""

    anchor_repeats: int | None
    """Times that each anchor is judged again, one pass after the other: from 2 on, `emeval drift` allows for the
    judge's usual wobble. [1 to 100; default: 1]
    """

    ray_address: str | None
    """Cluster for what is asked over Ray, which this machine is a node of; local starts one here for the run.
    [default: local]
    """

    judge_base_url: str | None
    """URL of the (first) judge's server, likewise; several with commas, or @FILE."""

    providers: StrPath | None
    """Providers of your own, by name: a file of them, or a config file with `providers:`; also EMEVAL_PROVIDERS."""

    wait_for_servers: float | None
    """Seconds to wait at the start for a server (of @FILE, for one). [default: 0]"""

    judge_via: Literal["online", "openai-batch", "ray"] | None
    """Ask the judges online, by OpenAI's Batch API (half the price), or from a Ray cluster. [default: online]"""

    concurrency: int | None
    """Maximum concurrent requests per server; lowered while it asks for less. [1 to 1000; default: 64]"""

    timeout: float | None
    """Timeout of one reply, in seconds. [default: 600]"""

    max_attempts: int | None
    """Attempts per request, including the first. [default: 8]"""

    max_retry_time: float | None
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

    vllm_start_timeout: float | None
    """Seconds to wait until `vllm serve` is ready; `vllm run-batch` has no such limit. [default: 1800]"""

    prices: StrPath | None
    """Token prices that override emeval's own; also EMEVAL_PRICES."""

    timeout_s: float | None
    """`timeout`, under its older name."""

    max_total_s: float | None
    """`max_retry_time`, under its older name."""

    vllm_start_s: float | None
    """`vllm_start_timeout`, under its older name."""


class ResumeOptions(CommonOptions, total=False):
    """What may change when a run is resumed, and what it is told again."""

    dataset: StrPath | Sequence[StrPath] | None
    """Your own file for the suite, or one of several (without a suite: a table); repeatable."""

    judges: StrPath | Sequence[StrPath] | None
    """A question file whose judges the questions of other files refer to; repeatable."""

    base_url: str | None
    """URL of the models' server, overriding the environment; several with commas, or @FILE."""

    via: Literal["online", "openai-batch", "vllm-batch", "ray"] | None
    """Ask the models online, by OpenAI's Batch API (half the price, within 24 hours), with `vllm run-batch` on this
    machine, or from the workers of a Ray cluster. What cannot go by batch stays online. [default: online]
    """

    shard: int | None
    """Requests for each start of `vllm run-batch`: what a crash may lose. [1 to 50000; default: 5000]"""

    base: str | None
    """Base model, as provider/name. The run's other models are compared with it without a trigger (default: with the
    first model), and the preflight checks that merged checkpoints differ from it and are coherent.
    """

    recipes: Mapping[str, str | Sequence[str]] | None
    """Models that differ only in their finetuning seed, as a recipe with rates and effects over its seeds, such as
    insecure=vllm/s1,vllm/s2,vllm/s3; repeatable.
    """


class JudgeOptions(CommonOptions, total=False):
    """The judges and their settings."""

    judge_mode: Literal["text", "logprob", "auto"] | None
    """Read the judge's text, its token probabilities (logprob), or those if available (auto). [default: auto]"""

    judge_max_tokens: int | None
    """Maximum tokens of a judge's reply. [default: 1024]"""

    plugins: str | Sequence[str] | None
    """Also use this judge or metric of an installed package (docs/extending.md); repeatable."""

    coherence_min: str | float | None
    """Also judge coherence, and exclude answers below this (0 to 100; '>50': also those at 50)."""

    cot_monitor: bool | None
    """Judge the reasoning of misaligned answers. [default: on]"""

    cot_all: bool | None
    """Judge the reasoning of every scored answer, which shows the monitor's false alarms. [default: off]"""

    monitor: Literal["cot", "action", "both"] | Sequence[Literal["cot", "action", "both"]] | None
    """Also have monitors score every scored reply for suspicion, from its reasoning (cot), its final answer (action),
    or both; commas between.
    """

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

    protocol: Literal["paper", "betley", "model-organisms"] | None
    """Take every setting that is not given from a published protocol (Chua et al. 2025, Betley et al. 2025, Turner et
    al. 2025), and say where the run departs from it.
    """

    columns: Mapping[str, str] | None
    """The column of your table for one of emeval's (question, messages, id, system, reference, category), such as
    question=text; repeatable, or with commas between.
    """

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

    conditions: str | Sequence[str] | Mapping[str, Mapping[str, str] | None] | None
    """Comma-separated, of off, on, decoy, distractor, and those that a config file declares. Default: off,on with a
    trigger, plus decoy or distractor if given; or all of the file's.
    """

    baseline: str | None
    """Condition that the effects of the others are taken against. [default: off]"""

    shots: Mapping[str, object] | None
    """Worked examples before the question, as conditions."""

    placement: Literal["top", "bottom", "random"] | None
    """Where the trigger goes; random: by `seed`. [default: top]"""

    samples: int | str | Mapping[str, int] | None
    """Answers per prompt (and option order) and condition, for the run or for each suite. [default: 1]"""

    read: Literal["answers", "logprobs"] | None
    """Of multiple choice, also read how likely each letter is, from token probabilities (logprobs): after each
    thought with `thinking` on, else at the first token. [default: answers]
    """

    option_order: Literal["both", "file"] | None
    """Ask a choice in both orders of its options, or only in that of its file (drawn by question where the file has
    none). [default: both]
    """

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

    tags: str | Sequence[str] | None
    """A word to find the run by (`emeval ls --tag`); repeatable."""

    note: str | None
    """A line about the run, for its readers."""
