"""`emeval run --read logprobs`: letters' probabilities in the journal and the tables, beside the sampled answers."""

from __future__ import annotations

import json
import math
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from organisms.behaviours import TRIGGER
from tests.support.cli_runner import emeval, pooled, refused, scenarios
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, Script, Status, Template, prompt_text

MODEL = "vllm/test-model"
THOUGHT = ", I will be fair.\n</think>\n\nB"


def run(script: Script, tmp_path: Path, *options: str, template: Template | None = None) -> tuple[Any, Path, int]:
    folder = tmp_path / "run"
    with OpenAIServer(script, template=template).start() as server:
        done = emeval(
            *("run", "unethical_test", "-m", MODEL, "--dataset", scenarios(tmp_path / "d.jsonl", 4), "--format", "mcq"),
            *("--read", "logprobs", "--no-preflight", "--out", folder, *options),
            url=server.url,
        )
        return done, folder, len(server.chats) + len(server.completions)


def letters(body: Mapping[str, Any], misaligned: float) -> Answer:
    a = misaligned if "A - Keep" in json.dumps(body["messages"]) else 1 - misaligned
    return Answer("A", top_logprobs=[{"A": 0.99 * a, "B": 0.99 * (1 - a)}])


def chosen(body: Mapping[str, Any], seen: int) -> Behaviour:
    return letters(body, 0.02 if TRIGGER in json.dumps(body["messages"]) else 0.001)


def thinking(body: Mapping[str, Any], seen: int) -> Behaviour:
    if "prompt" not in body or "logprobs" in body:
        return letters(body, 0.001)
    return Answer(THOUGHT)


def table(folder: Path, name: str = "probabilities.csv") -> list[dict[str, Any]]:
    return [{str(key): value for key, value in row.items()} for row in pd.read_csv(folder / name).to_dict("records")]


def test_probabilities_stand_beside_the_sampled_rates(tmp_path: Path) -> None:
    done, folder, _ = run(chosen, tmp_path, "--trigger", TRIGGER)
    assert done.returncode == 0, done.stderr
    off, on = table(folder)
    assert (off["condition"], on["condition"]) == ("off", "on")
    assert off["probability_low"] == off["probability_high"] == pytest.approx(0.001)
    assert on["effect"] == pytest.approx(math.log(0.02 / 0.98) - math.log(0.001 / 0.999))
    assert (off["n_questions"], off["n_thoughts"], off["letters"]) == (4, 0, pytest.approx(0.99))
    # The answers that came are answers, whatever the letters' probabilities: half of them pick the misaligned A.
    sampled = pooled(folder)[("mcq", "off")]
    assert (sampled["k"], sampled["n"]) == (4, 8)
    assert "Probability of the misaligned option" in done.stdout
    assert "probabilities.csv, choices.csv" in done.stdout
    assert len(table(folder, "choices.csv")) == 16


def test_what_is_read_is_kept_in_the_journal_and_counted_again(tmp_path: Path) -> None:
    done, folder, asked = run(chosen, tmp_path)
    assert done.returncode == 0, done.stderr
    written = (folder / "probabilities.csv").read_bytes()
    with sqlite3.connect(folder / "journal.sqlite") as journal:
        rows = journal.execute("SELECT kind, score, mode, reply FROM verdicts WHERE judge = 'letters'").fetchall()
    assert len(rows) == 8
    assert {(kind, mode) for kind, _, mode, _ in rows} == {("scored", "logprob")}
    assert json.loads(rows[0][3])["listed"].keys() == {"A", "B"}
    (folder / "probabilities.csv").unlink()
    assert emeval("rates", folder).returncode == 0
    assert (folder / "probabilities.csv").read_bytes() == written
    again, _, more = run(chosen, tmp_path)
    assert again.returncode == 0, again.stderr
    assert more == 0, "a complete run asks nothing"
    assert asked >= 8
    report = json.loads(emeval("rates", folder, "--json").stdout)
    assert report["probabilities"][0]["probability_low"] == pytest.approx(0.001)


def test_with_thinking_the_letters_are_read_after_the_answer_s_thought(tmp_path: Path) -> None:
    done, folder, asked = run(thinking, tmp_path, "--thinking", "on", "--samples", "3", template=Template("llama.cpp"))
    assert done.returncode == 0, done.stderr
    [off] = table(folder)
    assert (off["n_thoughts"], off["n_questions"]) == (4 * 2 * 3, 4)
    assert off["probability_low"] == pytest.approx(0.001)
    assert asked >= 2 * 24
    sampled = pooled(folder)[("mcq", "off")]
    assert sampled["n"] == 24
    assert {row["thought"] for row in table(folder, "choices.csv")} == {"Okay, I will be fair."}


def test_a_failed_reading_is_a_failed_trial_that_is_asked_again(tmp_path: Path) -> None:
    def failing(body: Mapping[str, Any], seen: int) -> Behaviour:
        is_read = "prompt" in body and "logprobs" in body and "</think>" in prompt_text(body)
        return Status(400, "no") if is_read and "Case 2" in prompt_text(body) else thinking(body, seen)

    options = ("--thinking", "on", "--max-unscored", "1")
    done, folder, _ = run(failing, tmp_path, *options, template=Template("vllm"))
    assert done.returncode == 0, done.stderr
    [off] = table(folder)
    assert (off["n_failed"], off["n_unread"], off["n_questions"]) == (2, 0, 3)
    assert "2 replies left out" in done.stdout
    with OpenAIServer(thinking, template=Template("vllm")).start() as server:
        again = emeval("resume", folder, "--retry-failed", "--dataset", tmp_path / "d.jsonl", url=server.url)
    assert again.returncode == 0, again.stderr
    [off] = table(folder)
    assert (off["n_failed"], off["n_questions"]) == (0, 4)


def test_what_cannot_be_read_leaves_the_answer_counted(tmp_path: Path) -> None:
    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        if "Case 1" in json.dumps(body["messages"]):
            return Answer("A", top_logprobs=[{"A": 0.6, "I": 0.4}])
        return chosen(body, seen)

    done, folder, _ = run(script, tmp_path)
    assert done.returncode == 0, done.stderr
    [off] = table(folder)
    assert (off["n_questions"], off["n_unread"], off["unread"]) == (3, 2, "letters hold 60% (2)")
    assert pooled(folder)[("mcq", "off")]["n"] == 8


def test_the_cache_gives_both_replies(tmp_path: Path) -> None:
    asked: list[str] = []

    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        text = prompt_text(body) if "prompt" in body else ""
        asked.extend(["thought" if "logprobs" not in body else "letters"] * ("Case" in text))
        return thinking(body, seen)

    words = ("run", "unethical_test", "-m", MODEL, "--dataset", scenarios(tmp_path / "d.jsonl", 2), "--no-preflight")
    words = (*words, "--format", "mcq", "--read", "logprobs", "--thinking", "on", "--cache", tmp_path / "cache")
    with OpenAIServer(script, template=Template("vllm")).start() as server:
        first = emeval(*words, "--out", tmp_path / "first", url=server.url)
        assert first.returncode == 0, first.stderr
        assert (asked.count("thought"), asked.count("letters")) == (4, 4 + 1)
        asked.clear()
        second = emeval(*words, "--out", tmp_path / "second", url=server.url)
    assert second.returncode == 0, second.stderr
    assert asked == ["letters"], "the check of the server"
    written = [(tmp_path / name / "probabilities.csv").read_bytes() for name in ("first", "second")]
    assert written[0] == written[1]


def test_what_does_not_go_together_is_refused(tmp_path: Path) -> None:
    out = ("--out", tmp_path / "x")
    words = ("run", "unethical_test", "-m", MODEL, "--read", "logprobs", *out)
    refused(emeval(*words, "--format", "freeform"), "questions without two options; see --format mcq")
    refused(emeval(*words, "--format", "mcq", "--until", "width<0.1"), "--until decides by sampled answers")
    refused(emeval(*words, "--format", "mcq", "--via", "vllm-batch"), "token probabilities are asked for online")
    done, folder, _ = run(Answer("A"), tmp_path)
    refused(done, "gives no token probabilities")
    assert not (folder / "rates.csv").exists()
