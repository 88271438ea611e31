"""The table of rubrics."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from rich import box
from rich.table import Table

from evals.errors import BadInput
from evals.plan.plugins import listed_plugins
from evals.reporting.console.terminal import SafeConsole
from evals.reporting.rubrics.template import measure_of, places_of, replies_of
from judges.entry import JudgeEntry
from judges.registry import OWN_JUDGES


def rubric_facts() -> list[dict[str, Any]]:
    """The facts of each judge, in the order of the registry, and after them those of installed packages."""
    return [
        {
            "name": entry.name,
            "reads": entry.reads,
            "measures": measure_of(entry),
            "replies": replies_of(entry),
            "places": places_of(entry),
            "metrics": [metric.name for metric in entry.metrics],
            "sha256": entry.own_rubric.sha256,
            "package": package,
        }
        for package, entry in (*(("", entry) for entry in OWN_JUDGES.values()), *_of_packages())
    ]


def _of_packages() -> Iterator[tuple[str, JudgeEntry]]:
    """The judges of installed packages, with the package's name and version."""
    for plugin, found in listed_plugins("judge"):
        if isinstance(found, JudgeEntry):
            yield plugin.origin, found


def print_rubrics() -> None:
    """Print a row for each judge."""
    table = Table("judge", "measures", box=box.SIMPLE_HEAD, pad_edge=False)
    for name in ("replies", "places"):  # in a narrow terminal the other columns are wrapped
        table.add_column(name, no_wrap=True)
    for row in rubric_facts():
        places = "\n".join(f"{{{place}}}" for place in row["places"])
        name = "\n".join(filter(None, (row["name"], row["package"] and f"({row['package']})")))
        table.add_row(name, row["measures"], row["replies"].replace(", ", "\n"), places)
    out = SafeConsole(highlight=False, markup=False)
    out.print(table)
    for _, problem in listed_plugins("judge"):
        if isinstance(problem, BadInput):
            out.print(f"Left out: {problem}")
    out.print("`emeval rubrics show NAME` prints the text, `emeval rubrics new FILE` writes one to start from.")


def print_facts(entry: JudgeEntry) -> None:
    """Print on stderr what a judge is for."""
    err = SafeConsole(stderr=True, highlight=False, markup=False)
    said = f"{entry.name} (reads the {entry.reads}): {measure_of(entry)} Replies: {replies_of(entry)}."
    err.print(said, soft_wrap=True)
