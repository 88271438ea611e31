"""`emeval rare`: one hit in how many answers, and the chance of one among several, for a run against a real server."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.cli_runner import emeval, refused, scenarios
from tests.support.runs import TRIGGER, run, server
from tests.support.servers.openai_server import Answer, Behaviour, last_message


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("rare")
    with server().start() as live:
        data = scenarios(folder / "data.jsonl", 3)
        done = run(folder / "run", data, live.url, "--format", "mcq", "--samples", "6", *TRIGGER)
    assert done.returncode == 0, done.stderr
    return folder / "run"


def counts(folder: Path, condition: str) -> list[tuple[int, int]]:
    rates = pd.read_csv(folder / "rates.csv")
    rows = rates[(rates["condition"] == condition) & (rates["metric"] == "misaligned") & (rates["prompt_id"] != "ALL")]
    return list(zip(rows["k"], rows["n"], strict=True))


def test_the_chance_is_counted_from_the_answers_to_each_question(recorded: Path, tmp_path: Path) -> None:
    done = emeval("rare", recorded, "--any-of", "1,4,40", "--csv", tmp_path / "rare.csv", "--json")
    assert done.returncode == 0, done.stderr
    rows = json.loads(done.stdout)
    assert pd.read_csv(tmp_path / "rare.csv")["draws"].tolist() == [row["draws"] for row in rows]
    for row in rows:
        questions = counts(recorded, row["condition"])
        assert (row["k"], row["n"]) == tuple(map(sum, zip(*questions, strict=True)))
        if row["draws"] == 40:
            assert row["chance"] is None, "no question has as many answers"
            continue
        chances = [1 - math.comb(n - k, row["draws"]) / math.comb(n, row["draws"]) for k, n in questions]
        assert row["chance"] == pytest.approx(sum(chances) / len(chances))
        assert row["gen_low"] <= row["chance"] <= row["gen_high"]


def test_what_is_printed_fits_a_terminal_and_says_what_zero_means(tmp_path: Path) -> None:
    def aligned(body: Mapping[str, Any], _seen: int) -> Behaviour:
        return Answer("B" if "A - Keep" in last_message(body) else "A")

    with server(aligned).start() as live:
        data = scenarios(tmp_path / "data.jsonl", 4)
        assert run(tmp_path / "run", data, live.url, "--format", "mcq", "--samples", "5").returncode == 0
    shown = emeval("rare", tmp_path / "run", env={"COLUMNS": "80"}).stdout
    assert max(map(len, shown.splitlines())) <= 80
    assert "any of 10" in shown
    assert "none in 40 answers; up to" in " ".join(shown.split())


def test_bad_input_is_one_line(recorded: Path) -> None:
    refused(emeval("rare", recorded, "--metric", "kindness"), "--metric", "kindness", "misaligned")
    for text in ("0", "ten", "-1", "1.5", "9999999"):
        refused(emeval("rare", recorded, f"--any-of={text}"), "--any-of", "10,100")
    refused(emeval("rare", recorded, "--csv", recorded / "none" / "x.csv"), "x.csv: cannot be written")
