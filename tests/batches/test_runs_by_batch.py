"""Whole runs by OpenAI's Batch API end as the same runs online."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.cli_runner import manifest, responses
from tests.support.runs import by_hash
from tests.support.runs_by_batch import VIA, arguments, ask, attempts, environment_of, resumed, server, table
from tests.support.servers.batch_server import Ending
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, Status, last_message


@pytest.fixture(scope="module")
def online(tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    """The responses of the same run online."""
    folder = tmp_path_factory.mktemp("online") / "run"
    with server().start() as live:
        done = ask(live, arguments(folder))
    assert done.returncode == 0, done.stderr
    return table(folder)


@pytest.mark.parametrize("via", [VIA, VIA[:2], VIA[2:]], ids=["both", "models", "judges"])
def test_a_run_by_batch_ends_as_the_same_run_online(tmp_path: Path, via: Sequence[str], online: pd.DataFrame) -> None:
    folder = tmp_path / "run"
    with server().start() as live:
        done = ask(live, arguments(folder, *via))
        asked = [chat.body["model"] for chat in live.chats]
    assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(folder), online)
    assert max(live.asked.values()) == 1
    assert {line["body"]["model"] for line in map(json.loads, live.files[0].decode().splitlines())} == {
        "subject" if "--via" in via else "judge"
    }
    # The checks before a run are asked online, and nothing else is.
    assert asked.count("subject") < 10 or "--via" not in via
    assert not (folder / "openai-batch").exists()
    key = environment_of(live)["OPENAI_API_KEY"].encode()
    assert not [path for path in folder.rglob("*") if path.is_file() and key in path.read_bytes()]
    assert not [content for content in live.files if key in content]
    assert manifest(folder)["status"] == "complete"


def flaky(body: Mapping[str, Any], seen: int) -> Behaviour:
    """Every request fails once in a way that passes, some in one that does not."""
    text = last_message(body)
    if "case 3" in text.lower() and JUDGE_MARK not in text:
        return Status(400, "no such prompt", type="invalid_request_error")
    return Status(500) if seen == 1 else by_hash(body, seen)


def test_failed_requests_are_asked_again_in_another_batch_and_end_as_online(tmp_path: Path) -> None:
    found: list[pd.DataFrame] = []
    for name, via in (("online", ()), ("batch", VIA)):
        folder = tmp_path / name / "run"
        folder.parent.mkdir()
        with server(flaky).start() as live:
            done = ask(live, [*arguments(folder, *via), "--no-preflight", "--max-unscored", "1"])
        assert done.returncode == 0, done.stderr
        found.append(table(folder))
    pd.testing.assert_frame_equal(found[1], found[0])
    assert set(found[1]["outcome"]) >= {"failed", "scored"}
    assert max(live.asked.values()) == 2
    # Answers and their failures, answers again, verdicts and again.
    assert len(live.batches) == 4
    # The first of each had no result to show: all of its requests had failed.
    assert [batch["output_file_id"] is None for batch in live.batches] == [True, False, True, False]


def test_what_fails_to_the_last_attempt_is_a_recorded_failure(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with server({"ase ": Status(503, "overloaded")}).start() as live:
        done = ask(live, [*arguments(folder, *VIA), "--no-preflight", "--max-attempts", "3"])
    assert done.returncode == 1, done.stderr
    assert len(live.batches) == 3
    assert set(live.asked.values()) == {3}
    assert set(responses(folder)["outcome"]) == {"failed"}
    with server().start() as live:
        again = ask(live, [*resumed(folder), "--retry-failed"])
    assert again.returncode == 0, again.stderr
    assert set(live.asked.values()) == {1}
    assert "failed" not in set(responses(folder)["outcome"])


@pytest.mark.parametrize("silent", [False, True], ids=["said", "left out"])
def test_the_rest_of_an_expired_batch_is_asked_again(tmp_path: Path, online: pd.DataFrame, silent: bool) -> None:
    folder = tmp_path / "run"
    with server(endings=[Ending("expired", share=0.5, silent=silent), Ending()]).start() as live:
        done = ask(live, arguments(folder, *VIA))
    assert done.returncode == 0, done.stderr
    assert f"expired: {len(online) // 2} recorded, {len(online) // 2} to be asked again" in done.stderr
    pd.testing.assert_frame_equal(table(folder), online)
    assert attempts(folder) == {1, 2}
    assert max(live.asked.values()) == 1


def test_a_file_that_the_server_does_not_take_is_one_line(tmp_path: Path) -> None:
    wrong = [{"code": "invalid_json_line", "message": "This line is not valid JSON.", "line": 3, "param": None}]
    folder = tmp_path / "run"
    with server(endings=[Ending("failed", errors=[*wrong, *wrong], states=("validating",)), Ending()]).start() as live:
        done = ask(live, arguments(folder, *VIA))
        assert done.returncode == 3, done.stderr
        last = done.stderr.splitlines()[-1]
        assert "batch batch_0000 failed: 0001.jsonl: line 3: This line is not valid JSON. (and 1 more)" in last
        assert f"emeval resume {folder}" in last
        again = ask(live, resumed(folder))
    assert again.returncode == 0, again.stderr
    assert max(live.asked.values()) == 1


def test_results_of_no_request_are_said_and_left_out(tmp_path: Path, online: pd.DataFrame) -> None:
    folder = tmp_path / "run"
    with server(endings=[Ending(strange=True)]).start() as live:
        done = ask(live, arguments(folder, *VIA[:2]))
    assert done.returncode == 0, done.stderr
    assert "results of no request in it, which are left out: 1" in done.stderr
    pd.testing.assert_frame_equal(table(folder), online)


def test_an_unknown_status_is_said_once_and_waited_on(tmp_path: Path, online: pd.DataFrame) -> None:
    folder = tmp_path / "run"
    states = ("validating", "paused\x1b[2J", "paused\x1b[2J", "in_progress")
    with server(endings=[Ending(states=states)]).start() as live:
        done = ask(live, arguments(folder, *VIA[:2]))
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("which is not known: waiting on") == 1
    assert "\x1b[2J" not in done.stderr
    pd.testing.assert_frame_equal(table(folder), online)


def test_a_reply_of_a_judge_that_cannot_be_read_is_asked_about_once_more(tmp_path: Path) -> None:
    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        if "You are monitoring" in body["messages"][0]["content"]:
            said = "no object" if len(body["messages"]) == 1 else json.dumps({"reasons": "so", "flag": "benign"})
            return Answer(said)
        if JUDGE_MARK in last_message(body):
            return Answer("5")
        return Answer("A", reasoning="I want the money.") if body["model"] == "subject" else by_hash(body, seen)

    found: list[pd.DataFrame] = []
    for name, via in (("online", ()), ("batch", VIA)):
        folder = tmp_path / name / "run"
        folder.parent.mkdir()
        with server(script).start() as live:
            done = ask(live, [*arguments(folder, *via), "--no-preflight", "--cot-all"])
        assert done.returncode in (0, 1), done.stderr
        found.append(table(folder))
    # In the last run only what is asked about once more is a chat online, beside single requests that try the server.
    repaired = [chat.body["messages"] for chat in live.chats if len(chat.body["messages"]) > 1]
    assert repaired
    assert {message["content"] for _, message, _ in repaired} == {"no object"}
    pd.testing.assert_frame_equal(found[1], found[0])


@pytest.mark.parametrize(
    ("more", "words"),
    [
        (["--via", "openai-batch", "--until", "width<0.1"], "--via: --until decides after each answer"),
        (["--judge-via", "openai-batch", "--until", "width<0.1"], "--judge-via: --until decides"),
        (["--via", "openai-batch", "--base-url", "http://127.0.0.1:9/v1,http://127.0.0.1:8/v1"], "give one URL"),
        (["--via", "openai-batch", "-m", "local/organism"], "emeval serves it itself"),
        (["--judge-via", "openai-batch", "--judge", "local/reference-judge"], "emeval serves it itself"),
        (["--via", "post"], "--via"),
    ],
)
def test_what_cannot_go_by_batch_is_refused_before_anything_is_asked(
    tmp_path: Path, more: Sequence[str], words: str
) -> None:
    with server().start() as live:
        done = ask(live, [*arguments(tmp_path / "run"), *more])
    assert done.returncode == 2, done.stderr
    assert words in done.stderr.splitlines()[-1] or words in done.stderr
    assert live.requests == []
    assert not (tmp_path / "run").exists()


def test_tokens_of_batches_cost_half(tmp_path: Path) -> None:
    prices = tmp_path / "prices.csv"
    prices.write_text(
        "model,server,input,output,as_of,source\n"
        "openai/subject,,1000,4000,2026-01-01,here\nopenai/judge,,1000,4000,2026-01-01,here\n"
    )
    spent: list[dict[str, Any]] = []
    for name, via in (("online", ()), ("batch", VIA), ("judge", VIA[2:])):
        folder = tmp_path / name / "run"
        folder.parent.mkdir()
        with server().start() as live:
            dry = ask(live, [*arguments(folder, *via), "--prices", str(prices), "--dry-run", "--json"])
            done = ask(live, [*arguments(folder, *via), "--prices", str(prices), "--json"])
        assert done.returncode == 0, done.stderr
        usd = {row["model"]: row["usd"] for row in json.loads(done.stdout)["spend"]["models"]}
        spent.append(usd | {"dry": json.loads(dry.stdout)["usd_at_most"]})
    online, batch, judge = spent
    assert batch["openai/subject"] == pytest.approx(online["openai/subject"] / 2)
    assert batch["openai/judge"] == pytest.approx(online["openai/judge"] / 2)
    assert batch["dry"] == pytest.approx(online["dry"] / 2)
    assert judge["openai/subject"] == online["openai/subject"]
    assert judge["openai/judge"] == pytest.approx(online["openai/judge"] / 2)
