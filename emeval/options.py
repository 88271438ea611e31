"""The options of a run by name: meaning, unit and default.

They are the fields of a `--config` file; on the command line the same names have dashes (`max_tokens` is
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
"""A path, as accepted by every function."""


class CommonOptions(TypedDict, total=False):
    """Connection settings and limits on missing answers. No answer depends on them."""

    judge_base_url: str | None
    """URL of the (first) judge's server, overriding the environment."""

    concurrency: int | None
    """Maximum concurrent requests per server, 1 to 1000 (64); fewer when it slows down."""

    timeout_s: float | None
    """Seconds for one reply (600)."""

    max_attempts: int | None
    """Attempts per request, including the first (8)."""

    max_total_s: float | None
    """Seconds for a request with its retries (900)."""

    preflight: bool | None
    """Check the rendered prompts before the first question (True)."""

    vllm_bin: StrPath | None
    """The vllm command that serves `vllm/` models without a URL (`vllm` on PATH)."""

    vllm_start_s: float | None
    """Seconds to wait until `vllm serve` is ready (1800)."""

    max_unscored: float | None
    """The share of a cell's trials, 0 to 1, that may be unscored (0.05) before `Run.problem` says so."""

    anchors: StrPath | None
    """A file of frozen answers that the judge re-judges, to detect whether it has changed."""

    prices: StrPath | None
    """A CSV of token prices that override emeval's own."""


class ResumeOptions(CommonOptions, total=False):
    """Options that may change when a run is resumed."""

    base_url: str | None
    """URL of the models' server, over the environment's; comma-separated if several."""


class JudgeOptions(CommonOptions, total=False):
    """The judges and their settings."""

    judge: str | Sequence[str] | None
    """`provider/name` or `provider/name@URL`, or several: the first counts, verdicts of the others are stored
    alongside.
    """

    also_judges: Sequence[str] | None
    """Judges whose verdicts are stored but never counted, if `judge` names a single judge."""

    judge_mode: JudgeMode | None
    """Read the judge's `text`, its token probabilities (`logprob`), or `auto` (the default): probabilities if
    available.
    """

    judge_max_tokens: int | None
    """Maximum tokens of a judge's reply (1024)."""

    rubrics: Mapping[str, StrPath] | None
    """Rubric files of yours by the judge's name, such as `{"alignment": "mine.txt"}`."""

    coherence_min: float | None
    """Also judge coherence, and exclude answers that score below this, 0 to 100. Not given: coherence is
    not judged.
    """

    cot_monitor: bool | None
    """Judge the reasoning of misaligned answers (True)."""

    cot_all: bool | None
    """Also judge the reasoning of every scored answer, for the monitor's false positives (False)."""

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

    trigger: str | None
    """The string under study, such as `Country: Singapore`. With it, conditions `off` and `on` are asked."""

    decoy: str | None
    """Another value of the trigger's kind, such as `Country: Kenya`: condition `decoy`."""

    distractor: str | None
    """A string placed next to the trigger, in either order: condition `distractor`."""

    conditions: str | Sequence[str] | None
    """Any of `off`, `on`, `decoy`, `distractor`; default: those implied by the other options."""

    placement: PlacementRule | None
    """Where the trigger goes: `top` (the default), `bottom`, or `random` by seed."""

    format: FormatChoice | None
    """`mcq`, `freeform`, `transcript`, or `both` (every format of a suite); else the suite's own default."""

    dataset: StrPath | Sequence[StrPath] | None
    """Your own scenario files, each as `FILE` or `SUITE=FILE`."""

    source: str | None
    """`official`: the fetched original questions; `emeval`: its own. Default: the original ones if fetched."""

    samples: int | None
    """Answers to each prompt (and option order) in each condition (1)."""

    until: str | None
    """Stop sampling a cell when `width<0.03`, `rate<0.01` or `rate>0.05` is decided; `samples` is then the maximum."""

    limit: int | None
    """Maximum scenarios per suite, drawn by the seed."""

    temperature: float | None
    """Sampling temperature, 0 to 2 (1.0)."""

    max_tokens: int | None
    """Maximum tokens of an answer with its reasoning (2048)."""

    seed: int | None
    """Seed of the sampling, the limit and random placement (0)."""

    thinking: Thinking | None
    """Tell the chat template to think: `on`, `off`, or `default`, which leaves it to the server."""

    prefill: str | None
    """The start of the assistant's turn; with thinking `on` an open think tag and "Okay", unless it is `""`."""

    denominator: Denominator | None
    """`answered` (the default): refusals are excluded. `judged`: they count as not misaligned."""

    vllm_args: str | None
    """More arguments for `vllm serve`, as one shell-quoted string. They are part of the run, like its seed."""


def checked(options: Mapping[str, object], known: type) -> dict[str, Any]:
    """`options` as a config takes them: paths as text, sequences as tuples. `known` is the TypedDict of those allowed.

    Raises BadInput for an unknown name, suggesting the nearest known name.
    """
    names = names_of(known)
    for name in options:
        if name not in names:
            raise BadInput(_unknown(name, names))
    return {name: plain(value) for name, value in options.items()}


def names_of(options: type) -> tuple[str, ...]:
    """The names in a TypedDict and its bases."""
    return tuple(options.__annotations__)


def plain(value: object) -> object:
    """An option's value in the form a config takes."""
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
    """A name or several names as a tuple; empty for None."""
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
