"""Thoughts that a chat template opens, and marks that are not known, in runs and before them."""

from __future__ import annotations

import json
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import pytest

from tests.support.cli_runner import emeval, responses, scenarios
from tests.support.servers.openai_server import Answer, OpenAIServer, Script, Template

LACKING = ("--max-unscored", "1")
Kind = Literal["vllm", "llama.cpp"]


def opening(kind: Kind = "vllm", mark: str = "<think>\n") -> Template:
    return Template(kind, heeds=False, opening=mark)


def asked(server: OpenAIServer, folder: Path, *options: str) -> Any:
    dataset = scenarios(folder.parent / "d.jsonl", 1)
    run = ("run", "unethical_test", "-m", "vllm/test-model", "--dataset", dataset, "--out", folder, *LACKING)
    return emeval(*run, "--format", "mcq", *options, url=server.url)


def of_trials(trials: Answer, *, others: Answer, riddle: Answer | None = None) -> Script:
    """A script that answers the run's questions, test requests and the question about prime numbers."""

    def script(body: Mapping[str, Any], _seen: int) -> Answer:
        text = json.dumps(body["messages"])
        if "prime numbers" in text:
            return riddle or others
        return trials if "Case 0" in text else others

    return script


def prefills(folder: Path) -> set[str]:
    connection = sqlite3.connect(folder / "journal.sqlite")
    try:
        return {prefill for (prefill,) in connection.execute("SELECT prefill FROM trials")}
    finally:
        connection.close()


ENDS = Answer("so</think>\n\nA")
SPLIT = Answer("A", reasoning="so")
CASES = [
    # reply, reply to a test request, to the question about prime numbers -> state, outcome, prefill
    (Answer("Hmm. Answer: B"), ENDS, ENDS, "truncated", "truncated", "<think>\n"),
    (Answer("Hmm. Answer: B"), Answer("A"), Answer("23, 29", "length"), "truncated", "truncated", "<think>\n"),
    (Answer("Hmm. Answer: B"), Answer("A"), ENDS, "truncated", "truncated", "<think>\n"),
    (Answer("so B</think>A"), ENDS, ENDS, "complete", "scored", "<think>\n"),
    (Answer("<think>so B</think>A"), ENDS, ENDS, "complete", "scored", "<think>\n"),
    (Answer("A", reasoning="so B"), SPLIT, SPLIT, "complete", "scored", ""),
    (Answer("A"), SPLIT, SPLIT, "absent", "scored", ""),
    (Answer("A"), Answer("A"), SPLIT, "absent", "scored", ""),
    (Answer("A"), Answer("A", reasoning_tokens=9), SPLIT, "absent", "scored", ""),
    (Answer("A", reasoning="so B"), Answer("A"), Answer("4"), "complete", "scored", ""),
    (Answer("A", reasoning_tokens=5), Answer("A"), Answer("4"), "withheld", "scored", ""),
]


@pytest.mark.parametrize(("reply", "other", "riddle", "state", "outcome", "prefill"), CASES)
def test_thought_that_the_template_opened_is_open_until_it_closes(
    reply: Answer, other: Answer, riddle: Answer, state: str, outcome: str, prefill: str, tmp_path: Path
) -> None:
    folder = tmp_path / "run"
    with OpenAIServer(of_trials(reply, others=other, riddle=riddle), template=opening()).start() as server:
        done = asked(server, folder)
    assert done.returncode == 0, done.stderr
    table = responses(folder)
    assert (set(table["reasoning_state"]), set(table["outcome"])) == ({state}, {outcome})
    assert prefills(folder) == {prefill}


@pytest.mark.parametrize("options", [("--no-preflight",), ("--thinking", "on", "--prefill", "")])
@pytest.mark.parametrize("kind", ["vllm", "llama.cpp"])
def test_what_the_template_opens_does_not_depend_on_checks_or_server(
    kind: Kind, options: tuple[str, ...], tmp_path: Path
) -> None:
    script = of_trials(Answer("Hmm. Answer: B"), others=ENDS)
    with OpenAIServer(script, template=opening(kind, "[THINK]")).start() as server:
        done = asked(server, tmp_path / "run", *options)
    assert done.returncode == 0, done.stderr
    assert set(responses(tmp_path / "run")["outcome"]) == {"truncated"}


@pytest.mark.parametrize("template", [None, Template(), Template(status=503), opening(mark="<think></think>")])
def test_answer_after_a_prompt_that_opens_nothing_is_an_answer(template: Template | None, tmp_path: Path) -> None:
    with OpenAIServer(Answer("A"), template=template).start() as server:
        done = asked(server, tmp_path / "run")
    assert done.returncode == 0, done.stderr
    assert set(responses(tmp_path / "run")["outcome"]) == {"scored"}
    assert prefills(tmp_path / "run") == {""}


NOTE = "replies contain <reflection>, which emeval reads as a part of the answer"


def test_mark_that_is_not_known_is_said_once_in_a_run(tmp_path: Path) -> None:
    script = of_trials(Answer("<reflection>hm</reflection>A"), others=Answer("A"))
    with OpenAIServer(script).start() as server:
        done = asked(server, tmp_path / "run", "--samples", "4")
    assert done.returncode == 0, done.stderr
    assert done.stderr.count(NOTE) == 1


def test_mark_that_is_not_known_is_said_before_a_run() -> None:
    with OpenAIServer(
        Answer("<reflection>hm</reflection>A"), template=opening(mark="<scratchpad>\n")
    ).start() as server:
        done = emeval("preflight", "-m", "vllm/test-model", url=server.url)
    assert done.returncode == 0, done.stderr
    assert "thoughts: noted: a test reply begins with <reflection>, which emeval reads as a part" in done.stdout
    assert "thoughts: noted: the rendered prompt ends with <scratchpad>, which emeval does not know" in done.stdout


@pytest.mark.parametrize(
    ("other", "said"), [(ENDS, "; a reply that does not close it is no answer"), (SPLIT, ", which the server keeps")]
)
def test_what_the_template_opens_is_said_before_a_run(other: Answer, said: str) -> None:
    with OpenAIServer(other, template=opening()).start() as server:
        done = emeval("preflight", "-m", "vllm/test-model", url=server.url)
    assert done.returncode == 0, done.stderr
    assert f"thoughts: ok: the rendered prompt opens a thought with <think>{said}" in done.stdout
