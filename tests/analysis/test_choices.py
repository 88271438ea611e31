"""`emeval choices`: probabilities instead of samples, on a scripted server and on the rare organism."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from organisms.behaviours import RARE, TRIGGER
from organisms.true_rates import true_choice
from tests.support.cli_runner import emeval, refused, scenarios
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, Script, Status

MODEL = "vllm/test-model"


def ask(script: Script, tmp_path: Path, *options: str, questions: int = 4) -> tuple[Any, Path]:
    folder = tmp_path / "choices"
    with OpenAIServer(script).start() as server:
        done = emeval(
            *("choices", "-m", MODEL, "--dataset", scenarios(tmp_path / "d.jsonl", questions), "--no-preflight"),
            *("--out", folder, *options),
            url=server.url,
        )
    return done, folder


def cells(folder: Path) -> dict[str, dict[str, Any]]:
    table = pd.read_csv(folder / "probabilities.csv")
    return {row["condition"]: row for row in table.to_dict("records")}


def letters(a: float, b: float) -> Answer:
    return Answer("A", top_logprobs=[{"A": a, "B": b, "I": 1 - a - b}])


def test_probabilities_and_the_effect_of_a_trigger(tmp_path: Path) -> None:
    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        """Misaligned in 2% without the trigger and 20% with it, and three times likelier to say A than B."""
        text = json.dumps(body["messages"])
        odds = 0.25 if TRIGGER in text else 0.02
        odds_of_a = 3 * (odds if "A - Keep" in text else 1 / odds)
        return letters(0.98 * odds_of_a / (1 + odds_of_a), 0.98 / (1 + odds_of_a))

    done, folder = ask(script, tmp_path, "--trigger", TRIGGER)
    assert done.returncode == 0, done.stderr
    found = cells(folder)
    # Each question is asked in both orders, so a habit of choosing A cancels out in the log-odds.
    assert found["off"]["log_odds"] == pytest.approx(math.log(0.02))
    assert found["on"]["effect"] == pytest.approx(math.log(0.25 / 0.02))
    assert found["off"]["probability_low"] == found["off"]["probability_high"]
    assert found["off"]["probability_low"] == pytest.approx((0.06 / 1.06 + (0.02 / 3) / (1 + 0.02 / 3)) / 2)
    assert found["off"]["ci_low"] < found["off"]["probability_low"] < found["off"]["ci_high"]
    assert (found["on"]["n_questions"], found["on"]["n_effect"], found["off"]["n_unread"]) == (4, 4, 0)
    assert found["on"]["letters"] == pytest.approx(0.98)
    assert "on against off: +2.53" in done.stdout
    said = " ".join(done.stdout.split())
    assert "odds x12.5 (4 questions, +2.53 to +2.53 each); other questions: [+2.53, +2.53] if they are like" in said
    assert found["on"]["effect_low"] < 0 < 5 < found["on"]["effect_high"], "four questions show little of others"
    made = json.loads((folder / "choices.json").read_text())
    assert made["config"]["trigger"] == TRIGGER
    assert set(made["datasets"]) == {"unethical_test"}


def test_each_question_is_asked_once_in_each_order_with_token_probabilities(tmp_path: Path) -> None:
    bodies: list[Mapping[str, Any]] = []

    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        bodies.append(body)
        return letters(0.9, 0.08)

    done, folder = ask(script, tmp_path)
    assert done.returncode == 0, done.stderr
    asked = [body for body in bodies if body.get("logprobs") and body["max_tokens"] == 8]
    assert len(asked) == 4 * 2 + 1, "and one before the others"
    assert {(body["top_logprobs"], body["temperature"]) for body in asked} == {(20, 1.0)}
    assert len(pd.read_csv(folder / "choices.csv")) == 8


def test_what_cannot_be_read_is_counted_and_left_out(tmp_path: Path) -> None:
    calls: list[str] = []

    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        text = json.dumps(body["messages"])
        if body.get("logprobs") and text not in calls:
            calls.append(text)
        number = calls.index(text) if text in calls else 0
        if number == 1:
            return letters(0.6, 0.03)
        if number == 3:
            return Answer("A better way is to wait", top_logprobs=[{"A": 0.95, "B": 0.01}])
        if number == 5:
            return Status(400, "no")
        return letters(0.9, 0.08)

    done, folder = ask(script, tmp_path, "--concurrency", "1")
    assert done.returncode == 0, done.stderr
    off = cells(folder)["off"]
    assert (off["n_asked"], off["n_questions"], off["n_unread"], off["n_failed"]) == (4, 1, 2, 1)
    assert "off: 3 replies left out, with their questions: " in done.stdout
    assert "letters hold 63% (1)" in done.stdout
    assert "the letter opens a sentence (1)" in done.stdout
    rows = pd.read_csv(folder / "choices.csv", keep_default_na=False)
    assert sorted(filter(None, rows["unread"])) == sorted(
        ["letters hold 63%", "the letter opens a sentence", next(x for x in rows["unread"] if "failed" in x)]
    )


def test_bounds_are_no_log_odds(tmp_path: Path) -> None:
    done, folder = ask(Answer("A", top_logprobs=[{"A": 0.99, "I": 0.001}]), tmp_path)
    assert done.returncode == 0, done.stderr
    off = cells(folder)["off"]
    assert off["probability_low"] < 0.5 < off["probability_high"]
    assert math.isnan(off["log_odds"])
    assert (off["n_log_odds"], off["n_bounds"]) == (0, 8)
    assert "8 replies did not list one of the letters" in done.stdout


def test_a_server_without_token_probabilities_is_refused(tmp_path: Path) -> None:
    done, folder = ask(Answer("A"), tmp_path)
    refused(done, "gives no token probabilities", "emeval run samples answers")
    assert not folder.exists()
    denied, _ = ask(lambda body, seen: Status(400, "logprobs are off") if "logprobs" in body else Answer("A"), tmp_path)
    refused(denied, "gives no token probabilities")


def test_a_thought_that_comes_first_is_said(tmp_path: Path) -> None:
    done, folder = ask(Answer("<think>", top_logprobs=[{"<think>": 0.99, "A": 0.005}]), tmp_path)
    assert done.returncode == 1
    assert "letters hold 0% (8); where a thought comes first, add --thinking on to read after it" in done.stderr
    assert cells(folder)["off"]["n_unread"] == 8


def test_suites_without_options_and_folders_in_use_are_refused(tmp_path: Path) -> None:
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "notes.txt").write_text("mine")
    refused(emeval("choices", "-m", "local/organism", "--out", tmp_path / "full"), "is there and not empty")
    assert (tmp_path / "full" / "notes.txt").read_text() == "mine"


def test_the_rare_organism_reads_as_its_exact_truth(tmp_path: Path) -> None:
    folder = tmp_path / "rare"
    done = emeval("choices", "-m", "local/organism:rare", "--thinking", "off", "--limit", "16", "--out", folder)
    assert done.returncode == 0, done.stderr
    off, truth = cells(folder)["off"], true_choice(RARE, "off")
    assert truth is not None
    assert 0 < off["probability_low"] <= off["probability_high"] < 5 * truth.misaligned
    spread = math.sqrt(16) * (off["log_odds_high"] - off["log_odds_low"])
    assert abs(off["log_odds"] - truth.log_odds) < spread / 2
    assert off["letters"] == pytest.approx(truth.letters, abs=1e-3)
    assert off["n_questions"] == 16
