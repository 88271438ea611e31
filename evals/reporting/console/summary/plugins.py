"""What the judges and metrics of other packages found, which no matrix shows."""

from __future__ import annotations

from collections.abc import Iterator

from evals.plan.manifest import Manifest
from evals.plan.plugins import plugin_metrics
from evals.reporting.console.layout.words import server_of_all
from evals.reporting.console.markup import plain
from evals.reporting.console.rates import cell_name, rate_in_words
from evals.scoring.rates.tables import Tables
from evals.trials.prompt import ALL

_MOST_LINES = 12


def plugin_lines(manifest: Manifest, tables: Tables) -> Iterator[str]:
    """A line of markup for each rate of a metric that a package has added."""
    added = plugin_metrics(manifest.plugins)
    rows = [row for row in tables.rate_rows if row["prompt_id"] == ALL and row["metric"] in added]
    order = list(dict.fromkeys(row["metric"] for row in rows))
    rows.sort(key=lambda row: order.index(row["metric"]))
    server = server_of_all([row["model"] for row in rows])
    suites = {row["suite"] for row in rows}
    for row in rows[:_MOST_LINES]:
        place = [row["model"].removeprefix(server), row["suite"] if len(suites) > 1 else "", row["format"]]
        where = plain(" ".join(filter(None, place)))
        what = plain(f"{row['metric']} (of {row['denominator']})")
        yield f"{what}: {where} {cell_name(row)} {rate_in_words(row)}"
    if len(rows) > _MOST_LINES:
        yield f"{len(rows) - _MOST_LINES} more rates of packages are in rates.csv; --detail prints them."
