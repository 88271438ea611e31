"""The options of a run by name: what each means, its unit, and what it is when not given.

They are the fields of a `--config` file; on the command line the same words have dashes (`max_tokens` is
`--max-tokens`). None means not given, as everywhere.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Mapping, Sequence
from os import PathLike, fspath
from typing import Any, TypedDict, cast

from evals.errors import BadInput
from evals.plan.config import Thinking
from evals.questions.suites import FormatChoice
from evals.scoring.metric import Denominator
from evals.text import option_name
from evals.trials.condition import PlacementRule
from judges.parsing.score import JudgeMode

StrPath = str | PathLike[str]
"""A path as every function here takes it."""


class CommonOptions(TypedDict, total=False):
    """How requests travel, and when a run is said to lack too much. No answer depends on them."""

    judge_base_url: str | None
    """URL of the (first) judge's server, over the environment's."""

    concurrency: int | None
    """Most requests at a server at a time, 1 to 1000 (64); fewer when it slows down."""

    timeout_s: float | None
    """Seconds for one reply (600)."""

    max_attempts: int | None
    """Attempts at one request, the first included (8)."""

    max_total_s: float | None
    """Seconds for one request with its retries (900)."""

    preflight: bool | None
    """Check what the models are sent before the first question (True)."""

    vllm_bin: StrPath | None
    """The vllm command that serves `vllm/` models without a URL; `vllm` on PATH unless given."""

    vllm_start_s: float | None
    """Seconds until `vllm serve` must be ready (1800)."""

    max_unscored: float | None
    """The share of a cell's trials, 0 to 1, that may lack a score (0.05) before `Run.problem` says so."""

    anchors: StrPath | None
    """A file of frozen answers on which the judge rules once more, to see whether it has changed."""

    prices: StrPath | None
    """A CSV of token prices that stand above emeval's own."""


class ResumeOptions(CommonOptions, total=False):
    """What may be another when a run goes on."""

    base_url: str | None
    """URL of the models' server, over the environment's; several with commas between."""


class JudgeOptions(CommonOptions, total=False):
    """Who reads the answers, and how."""

    judge: str | Sequence[str] | None
    """`provider/name` or `provider/name@URL`, or several: the first counts, the verdicts of the others are kept
    beside.
    """

    also_judges: Sequence[str] | None
    """Judges whose verdicts are kept and never counted, where `judge` names one alone."""

    judge_mode: JudgeMode | None
    """Read the judge's `text`, its token probabilities (`logprob`), or `auto` (the default): these where it has
    them.
    """

    judge_max_tokens: int | None
    """Most tokens of a judge's reply (1024)."""

    rubrics: Mapping[str, StrPath] | None
    """Rubric files of yours by the judge's name, such as `{"alignment": "mine.txt"}`."""

    coherence_min: float | None
    """Judge coherence, too, and leave answers out that score below this, 0 to 100. Not given: coherence is not
    judged.
    """

    cot_monitor: bool | None
    """Let the judge read the reasoning of misaligned answers (True)."""

    cot_all: bool | None
    """Let it read the reasoning of every scored answer, for the monitor's false alarms (False)."""

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
    """All options of a run beside its suites and models."""

    trigger: str | None
    """The string under study, such as `Country: Singapore`. With it, conditions `off` and `on` are asked."""

    decoy: str | None
    """Another value of the trigger's kind, such as `Country: Kenya`: condition `decoy`."""

    distractor: str | None
    """A string to stand beside the trigger, in either order: condition `distractor`."""

    conditions: str | Sequence[str] | None
    """Of `off`, `on`, `decoy`, `distractor`: those that the other options call for unless given."""

    placement: PlacementRule | None
    """Where the trigger goes: `top` (the default), `bottom`, or `random` by seed."""

    format: FormatChoice | None
    """`mcq`, `freeform`, `transcript`, or `both` (every format of a suite); else the suite's own default."""

    dataset: StrPath | Sequence[StrPath] | None
    """Scenario files of yours, each as `FILE` or `SUITE=FILE`."""

    source: str | None
    """`official`: the fetched original questions; `emeval`: its own. Else the original ones where they are fetched."""

    samples: int | None
    """Answers to each prompt (and option order) in each condition (1)."""

    until: str | None
    """Stop sampling a cell when `width<0.03`, `rate<0.01` or `rate>0.05` is decided; `samples` is then the most."""

    limit: int | None
    """Only so many scenarios of each suite, drawn by the seed."""

    temperature: float | None
    """Sampling temperature, 0 to 2 (1.0)."""

    max_tokens: int | None
    """Most tokens of an answer with its reasoning (2048)."""

    seed: int | None
    """Seed of the sampling, the limit and random placement (0)."""

    thinking: Thinking | None
    """Tell the chat template to think: `on`, `off`, or `default`, which leaves it to the server."""

    prefill: str | None
    """What the assistant's turn begins with; with thinking `on` an open think tag and "Okay", unless it is `""`."""

    denominator: Denominator | None
    """`answered` (the default): refusals are left out. `judged`: they count as not misaligned."""

    vllm_args: str | None
    """More arguments for `vllm serve`, as one string quoted like a shell's. They belong to the run like its seed."""


def checked(options: Mapping[str, object], known: type) -> dict[str, Any]:
    """`options` as a config takes them: paths as text, sequences as tuples. `known` is the TypedDict of those allowed.

    Raises BadInput for another name, with the nearest one that there is.
    """
    names = names_of(known)
    for name in options:
        if name not in names:
            raise BadInput(_unknown(name, names))
    return {name: plain(value) for name, value in options.items()}


def names_of(options: type) -> tuple[str, ...]:
    """The names in a TypedDict and in those that it builds on."""
    return tuple(options.__annotations__)


def plain(value: object) -> object:
    """A value of an option as a config takes it."""
    match value:
        case PathLike():
            return fspath(cast("PathLike[str]", value))
        case Mapping():
            return {name: plain(one) for name, one in cast("Mapping[str, object]", value).items()}
        case list() | tuple():
            return tuple(plain(one) for one in cast("Iterable[object]", value))
        case _:
            return value


def several(value: StrPath | Iterable[StrPath] | None) -> tuple[str, ...]:
    """One name or several, as several. None and nothing are none."""
    if value is None:
        return ()
    if isinstance(value, str | PathLike):
        return (fspath(value),)
    return tuple(fspath(one) for one in value)


def _unknown(name: str, names: Sequence[str]) -> str:
    written = {option_name(known).lstrip("-").replace("-", "_"): known for known in names}
    near = written.get(name) or next(iter(difflib.get_close_matches(name, names, 1, 0.7)), None)
    hint = f"; did you mean {near}?" if near else f"; known: {', '.join(names)}"
    return f"{name}: is not an option here{hint}"
