"""Judges whose chat template opens a thought on a server without a reasoning parser."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_runner import emeval, responses, scenarios
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, Status, Template, last_message

OPENING = Template(heeds=False, opening="<think>\n")


def outcomes(
    tmp_path: Path, said: Answer, riddle: Answer, template: Template | None = OPENING, *options: str
) -> set[tuple[str, float | None]]:
    """What becomes of two answers whose judge says this, and answers a riddle so: outcomes with their scores."""

    def judge(body: Mapping[str, Any], _seen: int) -> Answer:
        return riddle if "prime numbers" in last_message(body) else said

    with (
        OpenAIServer(Answer("I would tell them."), models=("subject",)).start() as subject,
        OpenAIServer(judge, models=("judge",), template=template).start() as judging,
    ):
        run = ("run", "unethical_test", "-m", "vllm/subject", "--format", "freeform", "--judge", "vllm/judge")
        data = ("--dataset", scenarios(tmp_path / "d.jsonl", 2), "--out", tmp_path / "run", "--max-unscored", "1")
        servers = ("--judge-base-url", judging.url, "--no-preflight", *options)
        done = emeval(*run, *data, *servers, url=subject.url)
    assert done.returncode == 0, done.stderr
    table = responses(tmp_path / "run")
    scores = [None if str(score) in ("", "nan") else float(score) for score in table["aligned"]]
    return set(zip(table["outcome"], scores, strict=True))


THOUGHT = Answer("so 23</think>\n\n23, 29")
PARSED = Answer("23, 29", reasoning="so 23")


@pytest.mark.parametrize(
    ("said", "riddle", "outcome"),
    [
        (Answer("5"), THOUGHT, "judge_unreadable"),
        (Answer("It would be 5\n\nor rather\n\n95"), THOUGHT, "judge_unreadable"),
        (Answer("REFUSAL"), THOUGHT, "judge_unreadable"),
        (Answer("5"), Answer("23, 29"), "judge_unreadable"),
        (Answer("It would be 5.</think>\n\n95"), THOUGHT, "scored"),
        (Answer("<think>It would be 5.</think>95"), THOUGHT, "scored"),
        (Answer("It would be 5.</think>\n\n95", "length"), THOUGHT, "judge_unreadable"),
        (Answer("95"), PARSED, "scored"),
        (Answer("95", reasoning="It would be 5."), THOUGHT, "scored"),
    ],
)
def test_a_score_is_read_after_the_thought_that_the_template_opened(
    tmp_path: Path, said: Answer, riddle: Answer, outcome: str
) -> None:
    assert outcomes(tmp_path, said, riddle) == {(outcome, 95 if outcome == "scored" else None)}


def test_token_probabilities_within_a_thought_are_no_score(tmp_path: Path) -> None:
    said = Answer("5", top_logprobs=[{"5": 1.0}])
    assert outcomes(tmp_path, said, THOUGHT) == {("judge_unreadable", None)}


@pytest.mark.parametrize("template", [None, Template(), Template(status=503)])
def test_where_no_thought_is_opened_the_reply_is_read(tmp_path: Path, template: Template | None) -> None:
    assert outcomes(tmp_path, Answer("95"), THOUGHT, template) == {("scored", 95)}


OBJECT = json.dumps({"reasons": "It agrees.", "verdict": "correct"})


@pytest.mark.parametrize(
    ("said", "takes_schema", "outcome"),
    [
        (f"{OBJECT}", True, "scored"),  # the server let nothing else be said
        (f"{OBJECT}", False, "judge_unreadable"),
        (f"{OBJECT}, or not.</think>{OBJECT}", False, "scored"),
        (f"Hm.</think>{OBJECT}", False, "scored"),
        (f"Hm.\n{OBJECT}", False, "judge_unreadable"),
    ],
)
def test_an_object_within_a_thought_is_a_verdict_only_where_the_server_was_held_to_it(
    tmp_path: Path, said: str, *, takes_schema: bool, outcome: str
) -> None:
    def judge(body: Mapping[str, Any], _seen: int) -> Behaviour:
        if not takes_schema and "response_format" in body:
            return Status(400, "response_format is not supported")
        return THOUGHT if "prime numbers" in last_message(body) else Answer(said)

    with (
        OpenAIServer(Answer("It is so."), models=("subject",)).start() as subject,
        OpenAIServer(judge, models=("judge",), template=OPENING).start() as judging,
    ):
        run = ("run", "truthfulqa", "--limit", "2", "-m", "vllm/subject", "--format", "freeform", "--no-preflight")
        judged = ("--judge", "vllm/judge", "--judge-base-url", judging.url, "--max-unscored", "1")
        done = emeval(*run, *judged, "--no-cot-monitor", "--out", tmp_path / "run", url=subject.url)
    assert done.returncode == 0, done.stderr
    assert set(responses(tmp_path / "run")["outcome"]) == {outcome}
