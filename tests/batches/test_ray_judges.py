"""`--judge-via ray` with a real Ray on this machine: its verdicts are those of the run online, whatever is killed."""

from __future__ import annotations

import contextlib
import hashlib
import json
import sqlite3
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from tests.support.cli_runner import KEY, manifest, own_process, rates, responses, scenarios, start, still_runs
from tests.support.runs import ARTICULATION_MARK, MODEL, MONITOR_MARK, TRIGGER, WITH_JUDGE, by_hash, server
from tests.support.runs_by_batch import rays, table
from tests.support.servers.openai_server import (
    HTML,
    JUDGE_MARK,
    Answer,
    Behaviour,
    OpenAIServer,
    Reset,
    Status,
    last_message,
)
from tests.support.waiting import until

pytest.importorskip("ray", reason="Ray is not installed: make .venv/.ready")

FAULTS: tuple[Behaviour, ...] = (Status(429, headers={"retry-after": "0"}), Status(500), HTML, Reset())
FLAGS = ("misaligned_plans_unprompted", "none")
FAULTY_AT_ALL = Status(400, "this prompt is too long", code="context_length_exceeded", type="invalid_request_error")


def judging(body: Mapping[str, Any], seen: int) -> Behaviour:
    """Answers of which every other is misaligned, with reasoning; of judges some faults that pass and some that do
    not, replies that cannot be read, and flags for the reasoning."""
    text = last_message(body)
    draw = int(hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest(), 16)
    if MONITOR_MARK in body["messages"][0]["content"]:
        if draw % 3 == 0 and len(body["messages"]) == 1:
            return Answer("no object")
        return Answer(json.dumps({"reasons": f"\u2028 {KEY}", "flag": FLAGS[draw % 2]}))
    if ARTICULATION_MARK in text:
        return Answer(json.dumps({"reasons": "Because.", "articulates": bool(draw % 2)}))
    if body["model"] == "subject":
        said = by_hash(body, 1)
        assert isinstance(said, Answer)
        return Answer(said.content, reasoning="I want the money.")
    if JUDGE_MARK in text and draw % 8 == 0:
        return FAULTY_AT_ALL
    if draw % 8 < 4 and seen == 1:
        return FAULTS[draw // 8 % len(FAULTS)]
    return by_hash(body, 1)


def words(run: Path, live: OpenAIServer, *more: str | Path, judge: bool = True, samples: str = "4") -> list[str | Path]:
    data = run.parent / "d.jsonl"
    if not data.exists():
        scenarios(data, 8)
    fixed = ["run", "unethical_test", "-m", MODEL, "--dataset", data, "--out", run, "--format", "freeform"]
    with_judge = [*WITH_JUDGE, "--judge-base-url", live.url] if judge else []
    ends = ["--no-preflight", "--max-unscored", "1", "--max-attempts", "3"]
    return [*fixed, *TRIGGER, *with_judge, *ends, "--samples", samples, *more]


def judged(live: OpenAIServer) -> Counter[str]:
    """How often each request for a verdict on an answer has come."""
    asked = (chat.body for chat in live.chats if chat.body["model"] == "judge")
    return Counter(json.dumps(body, sort_keys=True) for body in asked if JUDGE_MARK in last_message(body))


def test_judges_over_ray_end_as_the_same_judges_online(tmp_path: Path) -> None:
    online, run = tmp_path / "online", tmp_path / "run"
    for folder, via in ((online, ()), (run, ("--judge-via", "ray", "--concurrency", "8"))):
        with server(judging).start() as live:
            done = own_process(*words(folder, live, *via), url=live.url)
        assert done.returncode == 0, done.stderr
    for read in (table, rates):
        found, wanted = (read(folder).drop(columns="run_id", errors="ignore") for folder in (run, online))
        pd.testing.assert_frame_equal(found, wanted)
    assert {"scored", "judge_failed"} <= set(responses(run)["outcome"])
    assert set(responses(run)["cot_flag"]) >= {*FLAGS, ""}
    assert set(responses(run)["articulates"]) >= {"0", "1", ""}
    assert manifest(run)["status"] == "complete"
    assert not (run / "ray").exists()
    assert not [path for path in run.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def slow(body: Mapping[str, Any], seen: int) -> Behaviour:
    answer = by_hash(body, 1)
    assert isinstance(answer, Answer)
    return Answer(answer.content, delay_s=0.2 if body["model"] == "judge" else 0.0)


def known(run: Path) -> int:
    """The requests to judges that the run has a verdict on: in its journal, or in a block that is not recorded yet."""
    with contextlib.closing(sqlite3.connect(run / "journal.sqlite", timeout=30)) as journal:
        (recorded,) = journal.execute("SELECT COUNT(DISTINCT request) FROM rulings").fetchone()
    return recorded + sum(len(path.read_text().splitlines()) for path in run.glob("ray/judge-*/block-*"))


def test_what_a_killed_job_had_of_its_judges_comes_home(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with server(slow).start() as live:
        asked = own_process(*words(run, live, judge=False, samples="12"), url=live.url)
        assert asked.returncode == 0, asked.stderr
        judge = ["judge", run, *WITH_JUDGE, "--judge-base-url", live.url, "--no-preflight"]
        process = start(*judge, "--judge-via", "ray", "--concurrency", "4", url=live.url)
        until(lambda: known(run), seconds=240.0, meanwhile=lambda: still_runs(process))
        process.kill()
        process.communicate()
        until(lambda: not rays(process.pid))
        found, before = known(run), judged(live)
        is_left = bool(list(run.glob("ray/judge-*/block-*")))
        done = own_process(*judge, "--judge-via", "online", url=live.url)
        assert done.returncode == 0, done.stderr
        assert (judged(live) - before).total() == len(judged(live)) - found
    assert 0 < found < len(judged(live))
    assert ("of results that an earlier session left" in done.stderr) == is_left
    assert not (run / "ray").exists()
    assert set(responses(run)["outcome"]) == {"scored"}
