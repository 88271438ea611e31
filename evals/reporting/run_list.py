"""Runs in a folder as a table, and how one of them stands."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any

from rich.console import Console
from rich.markup import escape

from evals.plan.manifest import Manifest
from evals.plan.recorded.listing import FoundRun
from evals.reporting.console.layout.fitted import FittedTable
from evals.text import one_line, shown_path
from evals.trials.journal import Journal

_MOST_NAMES = 3


def run_facts(run: FoundRun) -> dict[str, Any]:
    """What a list says of a run, as JSON values."""
    manifest = run.manifest
    return {
        "run": str(run.folder),
        "begun": manifest.created_at,
        "state": run.state,
        "trials_planned": manifest.trials_planned,
        "trials_recorded": manifest.trials_recorded,
        "suites": list(manifest.config.suites),
        "models": list(manifest.config.models),
        "judge": manifest.config.judge,
        "tags": list(manifest.config.tags),
        "note": manifest.config.note,
    }


def print_runs(console: Console, runs: Sequence[FoundRun]) -> None:
    """Print a row for each run."""
    table = FittedTable(box=None, pad_edge=False)
    has_tags = any(run.manifest.config.tags for run in runs)
    for name in ("run", "begun", "state", "answers", "suites", "models", *(["tags"] if has_tags else [])):
        table.add_column(name, justify="right" if name == "answers" else "left")
    for run in runs:
        manifest = run.manifest
        table.add_row(
            *(escape(one_line(str(run.folder))), _local(manifest.created_at), run.state),
            f"{manifest.trials_recorded:,}/{manifest.trials_planned:,}",
            escape(_names(manifest.config.suites)),
            escape(_names(manifest.config.models)),
            *([escape(_names(manifest.config.tags))] if has_tags else []),
        )
    console.print(table)


def status_facts(run: FoundRun, journal: Journal) -> dict[str, Any]:
    """How a run stands by its journal, which knows more than the manifest of a run that is at work; as JSON values.

    `models` has for each model how many answers are planned and recorded.
    """
    planned: Counter[str] = Counter()
    for cell, number in journal.cells():
        planned[cell.model] += number
    models = {
        name: {"planned": planned[name], "recorded": sum(journal.draws_of(name).values())}
        for name in run.manifest.config.models
    }
    facts = run_facts(run) | {"trials_recorded": journal.recorded(), "failed": journal.failed(), "models": models}
    judges = run.manifest.rubrics if run.manifest.config.judge else {}
    return facts | {"judged": {name: journal.judged(rubric.judge_id) for name, rubric in judges.items()}}


def print_status(console: Console, facts: Mapping[str, Any], manifest: Manifest, next_step: str) -> None:
    """Print how a run stands, a line for each model and judge, and what to do `next`."""
    console.print(f"{shown_path(facts['run'])}: {facts['state']}, begun {_local(facts['begun'])}", markup=False)
    if facts["note"] or facts["tags"]:
        console.print(
            one_line(" · ".join(filter(None, [facts["note"], *facts["tags"]]))), markup=False, highlight=False
        )
    recorded, planned = facts["trials_recorded"], facts["trials_planned"]
    failed = f", {facts['failed']:,} of them failed" if facts["failed"] else ""
    answers = "answer" if planned == 1 else "answers"
    console.print(f"{recorded:,} of {planned:,} {answers} recorded{failed}", markup=False)
    for name, counts in facts["models"].items():
        line = f"  {one_line(name)}: {counts['recorded']:,} of {counts['planned']:,}"
        console.print(line, markup=False, highlight=False)
    for name, judged in facts["judged"].items():
        line = f"  {name} judge {one_line(manifest.config.judge or '')}: {judged:,} judged"
        console.print(line, markup=False, highlight=False)
    for line in manifest.grown:
        console.print(f"  {one_line(line)}", markup=False, highlight=False)
    console.print(next_step, markup=False, soft_wrap=True)


def _names(names: Sequence[str]) -> str:
    shown = ", ".join(one_line(name).rpartition("/")[2] or one_line(name) for name in names[:_MOST_NAMES])
    return shown if len(names) <= _MOST_NAMES else f"{shown} and {len(names) - _MOST_NAMES} more"


def _local(written: str) -> str:
    """A time of a manifest in the time of here, to the minute."""
    try:
        return f"{datetime.fromisoformat(written).astimezone():%Y-%m-%d %H:%M}"
    except ValueError:
        return one_line(written, 20)
