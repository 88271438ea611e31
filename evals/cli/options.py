"""Options that several commands have, with their help."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from evals.cli import completion

Judge = Annotated[
    list[str] | None,
    typer.Option(
        "--judge",
        metavar="NAME[@URL]",
        autocompletion=completion.models,
        help="Judge of freeform answers and reasoning, as provider/name. Repeatable: the first judge "
        "counts; verdicts of the others on the answers are stored alongside.",
    ),
]
JudgeMode = Annotated[
    str | None, typer.Option(help="Read the judge's text, its token probabilities (logprob), or auto.")
]
JudgeMaxTokens = Annotated[int | None, typer.Option(help="Maximum tokens of a judge's reply.")]
JudgeUrl = Annotated[str | None, typer.Option(help="URL of the (first) judge's server, overriding the environment.")]
Rubric = Annotated[
    list[str] | None,
    typer.Option(
        metavar="JUDGE=FILE", help="Your own rubric for a judge of emeval's, such as alignment=mine.txt; repeatable."
    ),
]
OldRubric = Annotated[str | None, typer.Option(hidden=True)]
"""A name that --rubric had for one judge, until the next release."""
CoherenceMin = Annotated[
    float | None, typer.Option(help="Also judge coherence, and exclude answers that score below this (0-100).")
]
CotMonitor = Annotated[
    bool | None,
    typer.Option(
        "--cot-monitor/--no-cot-monitor",
        help="Also judge the reasoning of misaligned answers. On by default.",
    ),
]
CotAll = Annotated[
    bool | None,
    typer.Option(
        "--cot-all/--no-cot-all",
        help="Judge the reasoning of every scored answer, which shows the monitor's false alarms.",
    ),
]
Denominator = Annotated[
    str | None, typer.Option(help="answered: exclude refusals. judged: count them as not misaligned.")
]
MaxUnscored = Annotated[
    float | None,
    typer.Option(
        help="Exit 1 if a larger share of a cell's trials (0-1, default 0.05) has no score: "
        "truncated, empty, failed, or unreadable."
    ),
]
Concurrency = Annotated[
    int | None, typer.Option(help="Maximum concurrent requests per server; lowered automatically if it slows down.")
]
Timeout = Annotated[float | None, typer.Option("--timeout", help="Timeout of one reply, in seconds.")]
MaxAttempts = Annotated[int | None, typer.Option(help="Attempts per request, including the first.")]
MaxRetryTime = Annotated[
    float | None, typer.Option("--max-retry-time", help="Time limit of one request with its retries, in seconds.")
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", "-m", help="provider/name; repeatable.", autocompletion=completion.models),
]
Decoy = Annotated[
    str | None, typer.Option(help="Another value of the same kind as the trigger, such as 'Country: Kenya'.")
]
Conditions = Annotated[
    str | None,
    typer.Option(
        help="Comma-separated, of off, on, decoy, distractor. Default: off,on with a trigger, plus "
        "decoy or distractor if given."
    ),
]
Dataset = Annotated[
    list[str] | None,
    typer.Option(metavar="[SUITE=]FILE", help="Your own scenario file for the suite, or one of several; repeatable."),
]
QuestionSource = Annotated[
    str | None,
    typer.Option("--source", help="official: the original questions, the default once fetched; emeval: its own."),
]
Distractor = Annotated[
    str | None, typer.Option(help="A second string next to the trigger, in either order, such as 'heyyy'.")
]
Format = Annotated[
    str | None,
    typer.Option(help="mcq, freeform, transcript, or both (every format of a suite); each suite has its own default."),
]
Temperature = Annotated[float | None, typer.Option(help="Sampling temperature.")]
MaxTokens = Annotated[int | None, typer.Option(help="Maximum tokens of an answer, reasoning included.")]
Thinking = Annotated[str | None, typer.Option(help="Thinking mode of the chat template: on, off, or default.")]
Prefill = Annotated[
    str | None,
    typer.Option(
        help="Text that the assistant's turn starts with. With --thinking on: an open think tag and Okay, unless ''."
    ),
]
Preflight = Annotated[
    bool | None,
    typer.Option("--preflight/--no-preflight", help="Check what the models are sent before the first question."),
]
BaseUrl = Annotated[
    str | None, typer.Option(help="URL of the models' server, overriding the environment; several separated by commas.")
]
VllmBin = Annotated[str | None, typer.Option(help="The vllm command that serves vllm/ models without a URL.")]
VllmArgs = Annotated[str | None, typer.Option(help="Extra arguments for `vllm serve`, as one quoted string.")]
VllmStart = Annotated[
    float | None, typer.Option("--vllm-start-timeout", help="Seconds to wait until `vllm serve` is ready.")
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder, such as results/demo.", autocompletion=completion.runs)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="Print no progress and no tables, only errors.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result as JSON on stdout, and nothing else.")]
Prices = Annotated[
    str | None,
    typer.Option(metavar="FILE.csv", help="Token prices that override emeval's own; also EMEVAL_PRICES."),
]
Anchors = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Re-judge these frozen answers; see `emeval anchors`."),
]
