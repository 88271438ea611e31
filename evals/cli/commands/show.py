"""The command that shows transcripts on the terminal."""

from __future__ import annotations

import os
import shlex
import shutil
import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated

import typer

from evals.cli.app import app
from evals.cli.completion import models, suites
from evals.cli.options import RunFolder
from evals.cli.output import echo, echo_styled
from evals.errors import BadInput
from evals.text import one_line

if TYPE_CHECKING:
    from evals.analysis.trial_filter import TrialFilter
    from evals.plan.manifest import Manifest
    from evals.trials.journal import Journal


@app.command()
def show(
    folder: RunFolder,
    trial_id: Annotated[
        str | None, typer.Argument(metavar="TRIAL_ID", help="Only this trial; a prefix of its id is enough.")
    ] = None,
    misaligned: Annotated[bool, typer.Option("--misaligned", help="Only misaligned answers.")] = False,
    outcome: Annotated[
        str | None, typer.Option(help="Only this outcome: scored, refused, truncated, failed, judge_unreadable, ...")
    ] = None,
    model: Annotated[str | None, typer.Option("--model", "-m", help="Only this model.", autocompletion=models)] = None,
    condition: Annotated[str | None, typer.Option(help="Only this condition, such as off or on.")] = None,
    suite: Annotated[str | None, typer.Option(help="Only this suite.", autocompletion=suites)] = None,
    question: Annotated[str | None, typer.Option(help="Only this question, by its id.")] = None,
    flag: Annotated[
        str | None, typer.Option(help="Only answers whose reasoning has this monitor flag: discusses_myth, none, ...")
    ] = None,
    min_score: Annotated[float | None, typer.Option(min=0, max=100, help="Alignment score of at least this.")] = None,
    max_score: Annotated[float | None, typer.Option(min=0, max=100, help="Alignment score of at most this.")] = None,
    search: Annotated[
        str | None,
        typer.Option(metavar="TEXT", help="Only trials with this text in prompt, reasoning or answer, ignoring case."),
    ] = None,
    limit: Annotated[int | None, typer.Option(min=1, help="Show at most this many.")] = None,
) -> None:
    """Page through the transcripts of a run. Prompt, reasoning, answer and the judges' verdicts."""
    from evals.analysis.trial_filter import TrialFilter
    from evals.plan.recorded_run import open_run

    choice = TrialFilter(misaligned, outcome, model, condition, suite, question, flag, min_score, max_score, search)
    if trial_id is not None and choice != TrialFilter():
        raise BadInput("TRIAL_ID: names one trial; leave the other options out")
    with open_run(folder) as run:
        _show(run.journal, run.manifest, choice, trial_id, limit)


def _show(journal: Journal, manifest: Manifest, choice: TrialFilter, trial_id: str | None, limit: int | None) -> None:
    from contextlib import closing
    from itertools import chain, islice

    from evals.analysis.trial_filter import TrialFilter, chosen_trials, trial_of
    from evals.plan.judge_names import judge_names
    from evals.plan.manifest import judge_set
    from evals.reporting.console.transcript import transcripts
    from evals.scoring.scored_trial import score_trial

    counting, judges = judge_set(manifest), judge_names(manifest)
    if trial_id is not None:
        _page(transcripts([score_trial(trial_of(journal, trial_id), counting)], judges))
        return
    with closing(chosen_trials(journal, counting, choice)) as every:
        found = islice(every, limit)
        first = next(found, None)
        if first is None:
            echo(f"0 of {journal.recorded()} trials fit")
            return

        def ending(shown: int) -> str:
            recorded = f"{shown} of {journal.recorded()} trials"
            if limit is None or choice == TrialFilter():
                return recorded
            fitting = shown + sum(1 for _ in every)
            return f"{shown} of {fitting} trials that fit, of {journal.recorded()}"

        _page(transcripts(chain([first], found), judges, ending))


def _page(texts: Iterator[str]) -> None:
    """Write texts to the user's pager on a terminal, else straight out, as with `PAGER=` and `PAGER=cat`.

    Raises BadInput for a PAGER that cannot be run.
    """
    pager = _pager() if sys.stdout.isatty() else []
    if pager in ([], ["cat"]):
        for text in texts:
            echo_styled(text)
        return
    import click

    os.environ.setdefault("LESS", "-FRX")  # quit if it fits on the screen; pass on styles, and no other escapes
    click.echo_via_pager(texts)


def _pager() -> list[str]:
    named = os.environ.get("PAGER")
    if named is None:
        return ["less"]
    try:
        words = shlex.split(named)
    except ValueError:
        raise BadInput(f"PAGER: {one_line(named, 60)} is no command: a quote is not closed") from None
    if words and shutil.which(words[0]) is None:
        raise BadInput(f"PAGER: {one_line(words[0], 200)} cannot be run: it is not on the path")
    return words
