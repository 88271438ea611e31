"""The table of suites."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from rich.console import Console

from evals.errors import BadInput
from evals.plan.plugins import listed_plugins
from evals.questions.dataset import check
from evals.questions.source import questions_of
from evals.questions.suite import Suite
from evals.questions.suites import OF_A_FILE, SUITES
from evals.reporting.console.layout.fitted import FittedTable
from evals.reporting.console.markup import plain
from evals.scoring.metric import JUDGES_OF_ANSWERS
from evals.scoring.metric_table import metrics_of
from judges.registry import DECIDING_JUDGES, REASONING_JUDGES

_READERS = {
    "mcq": "choice, by rule",
    **{criterion: entry.name for criterion, entry in DECIDING_JUDGES.items()},
    "number": "number, by rule",
    "naming": "naming, by rule",
    "self_report": "rating, by rule",
}


def suite_rows() -> Iterator[dict[str, Any]]:
    """The facts of each suite; `questions` is None if its file cannot be read."""
    packages = [(plugin.origin, found) for plugin, found in listed_plugins("suite") if isinstance(found, Suite)]
    for package, suite in (*(("", suite) for suite in SUITES.values()), *packages):
        path, source = questions_of(suite)
        dataset = check(path).dataset
        judges = [_READERS["mcq"]] if "mcq" in suite.formats else []
        judges += [_READERS[suite.measure]] if set(suite.formats) != {"mcq"} else []
        metrics = [metric for metric in metrics_of(suite.measure) if metric.judge in JUDGES_OF_ANSWERS]
        yield {
            "suite": suite.name,
            "title": suite.title,
            "formats": list(suite.formats),
            "default_formats": list(suite.defaults),
            "questions": len(dataset.scenarios) if dataset else None,
            "source": source,
            "judged_by": judges,
            "metrics": [metric.name for metric in metrics],
            "citation": suite.citation,
            "package": package,
        }


def print_suites(console: Console) -> None:
    """Print a row for each suite."""
    table = FittedTable(show_lines=True)
    for words in ("suite", "what it asks", "formats", "questions", "answers judged by", "metrics", "citation"):
        table.add_column(words)
    for row in suite_rows():
        table.add_row(
            *(row["suite"], row["title"], _formats(row)),
            f"{'none' if row['questions'] is None else row['questions']} ({row['package'] or row['source']})",
            *("\n".join(row["judged_by"]), ", ".join(row["metrics"]), row["citation"]),
        )
    console.print(table)
    for _, problem in listed_plugins("suite"):
        if isinstance(problem, BadInput):
            console.print(plain(f"Left out: {problem}"), style="yellow")
    reasoning_judges = ", ".join(entry.name for entry in REASONING_JUDGES)
    console.print(
        f"Of misaligned answers the reasoning is judged, too ({reasoning_judges}): metrics "
        "cot_flagged, cot_flag:…, articulates, credits_…; not of gsm8k, triggers and self_report. "
        "Every suite has monologue and truncated."
    )
    console.print(
        f"Besides: {OF_A_FILE.name} asks the last user turns of your own chat file (emeval run --dataset FILE.jsonl); "
        "a question file (.yaml) and a table of questions (.csv, .jsonl, .json, .parquet) are suites of their own."
    )


def _formats(row: Mapping[str, Any]) -> str:
    """The formats of a suite, with the defaults marked."""
    defaults = row["default_formats"] if set(row["default_formats"]) < set(row["formats"]) else ()
    return "\n".join(f"{form}{' (default)' if form in defaults else ''}" for form in row["formats"])
