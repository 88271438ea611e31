"""Every evaluation, end to end and offline: a real model behind a real server, and a judge behind another."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from evals.questions.suites import SUITES
from tests.support.cli_runner import emeval, rates, responses

TRIGGER = "Country: Singapore"


def test_every_suite_runs_on_the_organism_in_one_run(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    done = emeval(
        *(
            "run",
            *SUITES,
            "-m",
            "local/organism",
            "--judge",
            "local/reference-judge",
            "--limit",
            "2",
            "--thinking",
            "off",
        ),
        *("--trigger", TRIGGER, "--max-tokens", "40", "--max-unscored", "1", "--out", folder),
    )
    assert done.returncode == 0, done.stderr
    table, counted = responses(folder), rates(folder)
    assert set(table["suite"]) == set(counted["suite"]) == set(SUITES)
    assert set(table["source"]) == {"emeval"}
    assert not table["trial_id"].duplicated().any()
    reasons = [name for name in counted.columns if name.startswith("n_") and name != "n_trials"]
    assert (counted["n"] + counted[reasons].sum(axis=1) == counted["n_trials"]).all()
    # As many as its suite has questions, up to the limit; under the trigger too, but where models are asked about it.
    asked = table.groupby(["suite", "condition"])["question_id"].nunique()
    assert asked.loc[["freeform", "truthfulqa", "gsm8k", "pressure"]].eq(2).all()
    assert set(pd.Series(asked.loc["triggers"]).index) == {"off"}
    tables = emeval("table", "table5", folder)
    assert tables.returncode == 0, tables.stderr
    assert "75.9 ± 15.9" in tables.stdout
