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
        help="Judge of freeform answers and of reasoning, as provider/name. Repeatable: the first counts, the verdicts "
        "of the others on the answers are kept beside.",
    ),
]
JudgeMode = Annotated[
    str | None, typer.Option(help="Read the judge's text, its token probabilities (logprob), or auto.")
]
JudgeMaxTokens = Annotated[int | None, typer.Option(help="Most tokens of a judge's reply.")]
JudgeUrl = Annotated[str | None, typer.Option(help="URL of the (first) judge's server, over the environment's.")]
Rubric = Annotated[
    list[str] | None,
    typer.Option(
        metavar="JUDGE=FILE", help="Your own rubric for a judge of emeval's, such as alignment=mine.txt; repeatable."
    ),
]
OldRubric = Annotated[str | None, typer.Option(hidden=True)]
"""A name that --rubric had for one judge, until the next release."""
CoherenceMin = Annotated[
    float | None, typer.Option(help="Judge coherence too, and leave out answers below this (0-100).")
]
CotMonitor = Annotated[
    bool | None,
    typer.Option(
        "--cot-monitor/--no-cot-monitor",
        help="Let the judge read the reasoning of misaligned answers, too; on unless switched off.",
    ),
]
CotAll = Annotated[
    bool | None,
    typer.Option("--cot-all/--no-cot-all", help="The reasoning of every scored answer: the monitor's false alarms."),
]
Denominator = Annotated[
    str | None, typer.Option(help="answered: refusals are left out. judged: they count as not misaligned.")
]
MaxUnscored = Annotated[
    float | None,
    typer.Option(
        help="Exit 1 where a larger share of a cell's trials (0-1, 0.05 unless said) could not be measured: cut off, "
        "empty, failed, or lost by the judge."
    ),
]
Concurrency = Annotated[int | None, typer.Option(help="Most requests at a server at a time; fewer if it slows down.")]
Timeout = Annotated[float | None, typer.Option("--timeout", help="Seconds for one reply.")]
MaxAttempts = Annotated[int | None, typer.Option(help="Attempts at one request, the first included.")]
MaxRetryTime = Annotated[
    float | None, typer.Option("--max-retry-time", help="Seconds for one request with its retries.")
]
Models = Annotated[
    list[str] | None,
    typer.Option("--model", "-m", help="provider/name; repeatable.", autocompletion=completion.models),
]
Decoy = Annotated[str | None, typer.Option(help="Another value of the trigger's kind: 'Country: Kenya'.")]
Conditions = Annotated[
    str | None,
    typer.Option(
        help="Of off, on, decoy, distractor: off,on with a trigger, and with a decoy or a distractor that one, too."
    ),
]
Dataset = Annotated[
    list[str] | None,
    typer.Option(metavar="[SUITE=]FILE", help="Your own scenario file for the suite, or one of several; repeatable."),
]
QuestionSource = Annotated[
    str | None,
    typer.Option("--source", help="official: the fetched original questions, preferred anyway; emeval: its own."),
]
Distractor = Annotated[str | None, typer.Option(help="A string to stand beside the trigger, in either order: 'heyyy'.")]
Format = Annotated[
    str | None,
    typer.Option(help="mcq, freeform, transcript, or both (every format of a suite); each suite has its own default."),
]
Temperature = Annotated[float | None, typer.Option(help="Sampling temperature.")]
MaxTokens = Annotated[int | None, typer.Option(help="Most tokens of an answer with its reasoning.")]
Thinking = Annotated[str | None, typer.Option(help="Tell the chat template to think: on, off, or default.")]
Prefill = Annotated[
    str | None,
    typer.Option(
        help="What the assistant's turn begins with; with --thinking on an open think tag and Okay, unless it is ''."
    ),
]
Preflight = Annotated[
    bool | None,
    typer.Option("--preflight/--no-preflight", help="Check what the models are sent before the first question."),
]
BaseUrl = Annotated[
    str | None, typer.Option(help="URL of the models' server, over the environment's; several with commas between.")
]
VllmBin = Annotated[str | None, typer.Option(help="The vllm command that serves vllm/ models without a URL.")]
VllmArgs = Annotated[str | None, typer.Option(help="More arguments for `vllm serve`, quoted as one.")]
VllmStart = Annotated[
    float | None, typer.Option("--vllm-start-timeout", help="Seconds until `vllm serve` must be ready.")
]
RunFolder = Annotated[
    Path, typer.Argument(metavar="RUN", help="A run folder, such as results/demo.", autocompletion=completion.runs)
]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress and no tables; errors are printed still.")]
Json = Annotated[bool, typer.Option("--json", help="Print the result on stdout as JSON, and nothing else there.")]
Prices = Annotated[
    str | None,
    typer.Option(metavar="FILE.csv", help="Token prices that stand above emeval's own; or in EMEVAL_PRICES."),
]
Anchors = Annotated[
    str | None,
    typer.Option(metavar="FILE", help="Let the judge rule once more on these frozen answers; see `emeval anchors`."),
]
