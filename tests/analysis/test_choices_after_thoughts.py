"""`emeval choices --thinking on`: the letters are read after sampled thoughts."""

from __future__ import annotations

import math
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pandas as pd
import pytest

from organisms.behaviours import RARE
from organisms.true_rates import true_choice
from tests.support.cli_runner import emeval, refused, scenarios
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, Script, Template, prompt_text

MODEL = "vllm/test-model"
GOOD, BAD = "I will be fair.", "I will take it."
ENDED = "</think>\n\n"


def ask(script: Script, tmp_path: Path, *options: str, kind: Literal["vllm", "llama.cpp"] = "vllm") -> tuple[Any, Path]:
    folder = tmp_path / f"choices {kind}"
    with OpenAIServer(script, template=Template(kind)).start() as server:
        done = emeval(
            *("choices", "-m", MODEL, "--dataset", scenarios(tmp_path / "d.jsonl", 2), "--no-preflight"),
            *("--thinking", "on", "--out", folder, *options),
            url=server.url,
        )
    return done, folder


class Thinker:
    """Thinks `thoughts` in turn, each followed by `opening` and a letter, and keeps what it is asked."""

    def __init__(self, *thoughts: str, opening: str = "", probability: Mapping[str, float] | None = None) -> None:
        self.thoughts = thoughts or (GOOD,)
        self.opening = opening
        self.probability = probability or {GOOD: 0.001, BAD: 0.9}
        self.bodies: list[Mapping[str, Any]] = []
        self.sampled = 0

    def __call__(self, body: Mapping[str, Any], seen: int) -> Behaviour:
        if "prompt" not in body:
            return Answer("A")
        self.bodies.append(body)
        if "logprobs" not in body:
            thought = self.thoughts[self.sampled % len(self.thoughts)]
            self.sampled += 1
            return Answer(f", {thought}" if thought.endswith(".") else thought)
        text = prompt_text(body)
        misaligned = next((p for said, p in self.probability.items() if f"{said}\n{ENDED}" in text), 0.5)
        a = misaligned if "A - Keep" in text else 1 - misaligned
        return Answer("A", top_logprobs=[{"A": 0.98 * a, "B": 0.98 * (1 - a), "I": 0.02}])


def said(thought: str, answer: str = "A") -> str:
    return f"{thought}\n{ENDED}{answer}"


def thinking(*thoughts: str, answer: str = "A", **settings: Any) -> Thinker:
    return Thinker(*[said(thought, answer) for thought in thoughts], **settings)


def off(folder: Path) -> dict[str, Any]:
    [row] = pd.read_csv(folder / "probabilities.csv").to_dict("records")
    return {str(name): value for name, value in row.items()}


@pytest.mark.parametrize("kind", ["vllm", "llama.cpp"])
def test_the_letters_are_read_after_each_thought(tmp_path: Path, kind: Literal["vllm", "llama.cpp"]) -> None:
    model = thinking(GOOD, GOOD, GOOD, BAD)
    done, folder = ask(model, tmp_path, "--thoughts", "4", "--concurrency", "1", kind=kind)
    assert done.returncode == 0, done.stderr
    found = off(folder)
    # A thought is followed by its letters before the next one is sampled, so each question has all four in each order.
    assert found["probability_low"] == found["probability_high"] == pytest.approx((3 * 0.001 + 0.9) / 4)
    assert found["log_odds"] == pytest.approx((3 * math.log(0.001 / 0.999) + math.log(9)) / 4)
    assert (found["n_thoughts"], found["n_turned"], found["n_questions"], found["n_unread"]) == (16, 4, 2, 0)
    assert "after 4 of 16 thoughts" in done.stdout
    rows = pd.read_csv(folder / "choices.csv")
    assert set(rows["repeat"]) == {0, 1, 2, 3}
    assert set(rows["thought"]) == {f"Okay{GOOD}", f"Okay{BAD}"}


def test_what_is_sent_after_a_thought_is_the_turn_up_to_the_letter(tmp_path: Path) -> None:
    model = thinking(GOOD, answer="**Answer:** A")
    done, _ = ask(model, tmp_path, "--thoughts", "1", "--temperature", "0.6", "--max-tokens", "99", kind="llama.cpp")
    assert done.returncode == 0, done.stderr
    sampled = [body for body in model.bodies if "logprobs" not in body and body["max_tokens"] == 99]
    read = [body for body in model.bodies if "logprobs" in body]
    assert {body["temperature"] for body in sampled} == {0.6}
    assert len(sampled) == 4
    assert len(read) == 4 + 1, "and one before the others"
    for body in read[1:]:
        assert prompt_text(body).endswith(f"<|assistant|>\n<think>\nOkay{GOOD}\n</think>\n\n**Answer:**")
        assert (body["logprobs"], body["max_tokens"]) == (20, 8)


def test_a_thought_that_does_not_end_is_missing(tmp_path: Path) -> None:
    model = Thinker(said(GOOD), "on and on", "Okay.</think>", said(GOOD))
    done, folder = ask(model, tmp_path, "--thoughts", "4", "--concurrency", "1")
    assert done.returncode == 0, done.stderr
    found = off(folder)
    assert (found["n_thoughts"], found["n_unread"], found["n_questions"]) == (8, 8, 2)
    assert found["probability_low"] == pytest.approx(0.001)
    assert "8 replies left out: the thought does not end (4); nothing follows the thought (4)." in done.stdout


def test_a_question_without_a_thought_in_one_order_is_left_out(tmp_path: Path) -> None:
    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        is_cut = "logprobs" not in body and "prompt" in body and "A - Keep" in prompt_text(body)
        return Answer("and so on") if is_cut else thinking(GOOD)(body, seen)

    done, folder = ask(script, tmp_path, "--thoughts", "2")
    assert done.returncode == 1
    assert "the thought does not end (4); a thought that --max-tokens cuts is not read" in done.stderr
    assert (off(folder)["n_questions"], off(folder)["n_asked"]) == (0, 2)


def test_a_server_that_shows_no_rendered_prompt_is_refused(tmp_path: Path) -> None:
    with OpenAIServer(Answer("A", top_logprobs=[{"A": 0.9, "B": 0.1}])).start() as server:
        words = ("choices", "-m", MODEL, "--dataset", scenarios(tmp_path / "d.jsonl", 2), "--no-preflight")
        done = emeval(*words, "--thinking", "on", "--prefill", "", "--out", tmp_path / "x", url=server.url)
    refused(done, "does not show its rendered prompt")
    assert not (tmp_path / "x").exists()


def test_a_server_without_token_probabilities_after_a_turn_is_refused(tmp_path: Path) -> None:
    done, folder = ask(Answer("A"), tmp_path)
    refused(done, "gives no token probabilities")
    assert not folder.exists()


def test_settings_of_thoughts_need_thinking(tmp_path: Path) -> None:
    for option in (("--thoughts", "4"), ("--max-tokens", "64"), ("--prefill", "So")):
        done = emeval("choices", "-m", "local/organism", *option, "--out", tmp_path / "x")
        refused(done, f"{option[0]} is about sampled thoughts: add --thinking on")


def test_the_rare_organism_after_thoughts_agrees_with_its_exact_truth(tmp_path: Path) -> None:
    folder = tmp_path / "rare"
    done = emeval(
        *("choices", "-m", "local/organism:rare", "--thinking", "on", "--thoughts", "1", "--limit", "3"),
        *("--max-tokens", "64", "--out", folder, "--no-preflight"),
    )
    assert done.returncode == 0, done.stderr
    found, truth = off(folder), true_choice(RARE, "off", thinking=True)
    assert truth is not None
    assert found["ci_low"] <= truth.misaligned <= found["ci_high"]
    assert found["n_thoughts"] + found["n_unread"] == 6
    rows = pd.read_csv(folder / "choices.csv").dropna(subset=["log_odds"])
    # An aligned thought leaves next to nothing to the other letter, and few thoughts are not aligned.
    assert rows["probability_low"].median() < 0.003
