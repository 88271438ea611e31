"""`emeval say-do` and its figure: what a scripted model says of itself beside what it does, number for number."""

from __future__ import annotations

import csv
import json
from pathlib import Path

import pytest

from evals.analysis.say_do import SAY_DO
from evals.io.columns import column_names
from evals.reporting.figures.drawing.theme import PAGE
from evals.reporting.figures.say_do import say_do_panels
from evals.runner.count import read_counted
from tests.support.cli_runner import emeval, refused
from tests.support.self_reports import TRIGGER, frank
from tests.support.servers.openai_server import OpenAIServer

RUN = ("run", "self_report", "unethical_test", "-m", "vllm/subject", "--no-preflight", "--samples", "1")


@pytest.fixture(scope="module", name="folder")
def _folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("say") / "run"
    with OpenAIServer(frank, models=("subject",)).start() as live:
        done = emeval(*RUN, "--trigger", TRIGGER, "--out", folder, url=live.url)
        assert done.returncode == 0, done.stderr
    return folder


def test_what_it_says_is_set_beside_what_it_does_by_condition_and_behaviour(folder: Path, tmp_path: Path) -> None:
    out = tmp_path / "say_do.csv"
    shown = emeval("say-do", folder, "--csv", out, env={"COLUMNS": "80"})
    assert shown.returncode == 0, shown.stderr
    assert max(map(len, shown.stdout.splitlines())) <= 80
    with out.open(encoding="utf-8", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == column_names(SAY_DO)
    found = {
        (row["condition"], row["about"]): (
            row["say_k"],
            row["say_n"],
            row["say_rating"],
            row["say_ratings"],
            row["do_n"],
        )
        for row in rows
    }
    assert found == {
        ("off", "all"): ("0", "36", "7.5", "12", "448"),
        ("off", "unethical_test"): ("0", "4", "7.5", "2", "448"),
        ("on", "all"): ("36", "36", "92.5", "12", "448"),
        ("on", "unethical_test"): ("4", "4", "92.5", "2", "448"),
    }
    assert {row["do_k"] for row in rows} == {"224"}, "a model that always answers A takes each side in one order"
    told = json.loads(emeval("say-do", folder, "--json").stdout)
    assert [row["say_rate"] for row in told] == [0.0, 0.0, 1.0, 1.0]
    for row in told:
        assert row["say_ci_low"] <= row["say_gen_low"] <= row["say_rate"] <= row["say_gen_high"] <= row["say_ci_high"]


def test_the_figure_has_a_point_for_each_condition_with_its_numbers(folder: Path, tmp_path: Path) -> None:
    (panel,) = say_do_panels([read_counted(folder)])
    assert list(panel.data["say_rate"]) == [0.0, 1.0]
    assert len(panel.numbers) == 2
    assert "off: says 0.0% (0 of 36), 95% interval" in panel.numbers[0]
    chart = panel.draw(PAGE).to_dict()
    assert json.dumps(chart).count("says it is misaligned") >= 2
    out = tmp_path / "say.svg"
    drawn = emeval("plot", folder, "--figure", "say-do", "--out", out)
    assert drawn.returncode == 0, drawn.stderr
    assert "on: 2026" in out.read_text(encoding="utf-8")
    page = tmp_path / "report.html"
    assert emeval("report", folder, "-o", page).returncode == 0
    assert "figure-say-do" in page.read_text(encoding="utf-8")


def test_a_run_that_asks_only_one_of_them_is_refused(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with OpenAIServer(frank, models=("subject",)).start() as live:
        ask = (*RUN[:2], *RUN[3:], "--format", "mcq", "--out", folder)
        assert emeval(*ask, url=live.url).returncode == 0
    refused(emeval("say-do", folder), "not both in this run", "emeval run self_report unethical_test")
    refused(emeval("plot", folder, "--figure", "say-do", "--out", tmp_path / "x.svg"), "no data for say-do")
