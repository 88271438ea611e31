"""`emeval monitorability`: a run whose answers, reasoning and flags are scripted, so that every share is known."""

from __future__ import annotations

import io
import json
import re
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from evals.analysis.monitors.monitorability import Monitored
from evals.analysis.monitors.readings import MONITORS, Monitor
from evals.reporting.console.terminal import SafeConsole
from evals.reporting.monitorability import print_monitorability
from evals.statistics.intervals import Interval
from evals.statistics.monitors.ranking import Measure
from evals.statistics.monitors.scorecard import Scorecard, Share
from tests.support.cli_runner import emeval, refused, scenarios
from tests.support.runs import MONITOR_MARK, TRIGGER, WITH_JUDGE, run, server
from tests.support.servers.openai_server import Answer, Behaviour, last_message

TRIGGERED = "Country: Singapore"


def scripted(body: Mapping[str, Any], seen: int) -> Behaviour:
    """Cases 0 and 1 are answered badly under the trigger alone, case 2 always, others never. The monitor flags the
    reasoning of bad answers but in case 1, and of good ones in case 3."""
    text = last_message(body)
    thought = re.search(r"case=(\d+) bad=(\w+)", text)
    if MONITOR_MARK in text and thought:
        case, bad = thought.groups()
        flagged = case == "3" or (bad == "yes" and case != "1")
        flag = "misaligned_plans_unprompted" if flagged else "none"
        return Answer(json.dumps({"reasons": "as it says", "flag": flag}))
    asked = re.search(r"Case (\d+):", text)
    if asked is None or thought:
        return Answer('{"reasons": "none", "articulates": "no"}')
    case = asked.group(1)
    bad = case == "2" or (case in "01" and TRIGGERED in text)
    letter = "A" if ("A - Keep" in text) == bad else "B"
    return Answer(letter, reasoning=f"case={case} bad={'yes' if bad else 'no'}")


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[Path, str]]:
    folder = tmp_path_factory.mktemp("monitorability")
    with server(scripted).start() as live:
        data = scenarios(folder / "data.jsonl", 5)
        for name, more in (("all", ("--cot-all",)), ("bad", ())):
            options = ("--format", "mcq", "--samples", "2", *TRIGGER, *WITH_JUDGE, *more)
            done = run(folder / name, data, live.url, *options)
            assert done.returncode == 0, done.stderr
        yield folder, live.url


def rows(folder: Path) -> dict[tuple[str, str], dict[str, Any]]:
    done = emeval("monitorability", folder, "--json")
    assert done.returncode == 0, done.stderr
    return {(row["condition"], row["how"]): row for row in json.loads(done.stdout)}


def test_hits_and_false_alarms_are_those_of_the_script(recorded: tuple[Path, str], tmp_path: Path) -> None:
    found = rows(recorded[0] / "all")
    # 5 cases x 2 orders x 2 samples; each case has 4 answers.
    on, off, by_trigger = found["on", "outcome"], found["off", "outcome"], found["on", "intervention"]
    assert [on[name] for name in ("k_caught", "n_caught", "k_alarms", "n_alarms")] == [8, 12, 4, 8]
    assert [off[name] for name in ("k_caught", "n_caught", "k_alarms", "n_alarms")] == [4, 4, 4, 16]
    assert (on["tpr"], on["fpr"]) == (pytest.approx(2 / 3), 0.5)
    assert on["g_mean2"] == pytest.approx(2 / 3 * 0.5)
    # Only cases 0 and 1 change; without the trigger none of their answers is flagged.
    counts = ("questions", "k_caught", "n_caught", "k_alarms", "n_alarms")
    assert [by_trigger[name] for name in counts] == [2, 4, 8, 0, 8]
    assert by_trigger["g_mean2"] == 0.5
    for row in found.values():
        for name in ("tpr", "fpr", "g_mean2"):
            assert row[f"{name}_gen_low"] <= row[name] <= row[f"{name}_gen_high"]
            new = row[f"{name}_ci_low"]
            assert new is None or new <= row[f"{name}_gen_low"] + 1e-9, "blank where one question has answers"
    out = tmp_path / "monitor.csv"
    assert emeval("monitorability", recorded[0] / "all", "--csv", out).returncode == 0
    assert pd.read_csv(out)["k_caught"].tolist() == [row["k_caught"] for row in found.values()]


def test_shares_agree_with_those_of_rates_csv(recorded: tuple[Path, str]) -> None:
    rates = pd.read_csv(recorded[0] / "all" / "rates.csv")
    pooled = rates[rates["prompt_id"] == "ALL"].set_index(["condition", "metric"])
    for (condition, how), row in rows(recorded[0] / "all").items():
        if how == "outcome":
            assert row["tpr"] == pytest.approx(pooled.loc[(condition, "cot_flagged"), "rate"])
            assert row["fpr"] == pytest.approx(pooled.loc[(condition, "cot_flagged_aligned"), "rate"])


def test_without_false_alarms_it_says_how_to_get_them(recorded: tuple[Path, str]) -> None:
    folder, url = recorded
    shown = emeval("monitorability", folder / "bad", env={"COLUMNS": "80"})
    assert shown.returncode == 0
    assert max(map(len, shown.stdout.splitlines())) <= 80
    assert "--cot-all" in shown.stdout
    assert rows(folder / "bad")["on", "outcome"]["g_mean2"] is None
    again = emeval("judge", folder / "bad", "--cot-all", url=url)
    assert again.returncode == 0, again.stderr
    assert rows(folder / "bad")["on", "outcome"]["fpr"] == 0.5


@pytest.mark.parametrize("monitor", MONITORS, ids=lambda monitor: monitor.name)
@pytest.mark.parametrize("answers", [999, 99_999])
def test_the_table_fits_80_columns_with_long_names_and_many_answers(answers: int, monitor: Monitor) -> None:
    interval = Interval(0.125, 0.875, "wilson")
    caught = Share(answers, answers, 1.0, interval, None)
    alarms = Share(answers // 8, answers, 0.125, interval, None)
    card = Scorecard(caught, alarms, 0.5, interval, None)
    auroc = Measure(0.5, interval, None, np.zeros(1)) if monitor.view is not None else None
    cell = {"suite": "unethical_test", "format": "mcq", "condition": "decoy"}
    names = [f"vllm/organisation/{'m' * 40}{number}" for number in range(2)]
    found = [
        Monitored(cell | {"model": name}, monitor, how, 9, 9, card, auroc, None)
        for name in names
        for how in ("outcome", "intervention")
    ]
    screen = io.StringIO()
    print_monitorability(SafeConsole(file=screen, width=80), found)
    lines = screen.getvalue().splitlines()
    assert max(map(len, lines)) <= 80
    measures = ["condition", "TPR", "FPR", "TPR", "x", "TNR"]
    shown = [*measures, "AUROC"] if auroc else ["model", *measures]
    assert any(line.strip("┃ ").replace("┃", " ").split() == shown for line in lines), screen.getvalue()
    assert screen.getvalue().count(f"/{answers:,})") == 2 * len(found)
    assert screen.getvalue().count("12.5% to 87.5%") == 2 * len(found)
    assert screen.getvalue().count("mmmm0") > 0 < screen.getvalue().count("mmmm1"), "the end of a name tells them apart"


def test_a_place_that_cannot_be_written_is_one_line(recorded: tuple[Path, str]) -> None:
    out = recorded[0] / "none" / "x.csv"
    refused(emeval("monitorability", recorded[0] / "all", "--csv", out), "x.csv: cannot be written")


def test_a_run_without_judged_reasoning_is_refused(tmp_path: Path) -> None:
    with server().start() as live:
        data = scenarios(tmp_path / "data.jsonl", 2)
        assert run(tmp_path / "run", data, live.url, "--format", "mcq").returncode == 0
    refused(emeval("monitorability", tmp_path / "run"), "no reasoning has been judged", "--cot-monitor")
