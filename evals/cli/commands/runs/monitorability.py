"""The command that measures the monitor of reasoning."""

from __future__ import annotations

from evals.cli.app import app
from evals.cli.options import CsvFile, Json, RunFolder
from evals.cli.session import Output, print_json


@app.command()
def monitorability(
    folder: RunFolder,
    csv: CsvFile = None,
    json: Json = False,
) -> None:
    """Say how well reasoning gives misalignment away. What monitors catch, and their false alarms."""
    from evals.analysis.monitors.monitorability import MONITORABILITY, monitorability_rows, monitored
    from evals.reporting.monitorability import print_monitorability
    from evals.runner.count import read_counted
    from evals.scoring.rates.tables import write_named_table

    counted = read_counted(folder)
    found = monitored(counted)
    rows = monitorability_rows(counted.manifest.run_id, found)
    if csv is not None:
        write_named_table(csv, MONITORABILITY, rows)
    if json:
        print_json(rows)
    else:
        print_monitorability(Output().view().out, found)
