"""`--via ray` with a real Ray on this machine: its results are those of the run online, whatever is killed."""

from __future__ import annotations

import hashlib
import json
import os
import signal
from collections import Counter
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evals.io.folders.leftovers import remove_left_folders
from tests.support.cli_runner import (
    KEY,
    own_process,
    rates,
    recorded,
    responses,
    scenarios,
    start,
    still_runs,
    told_again,
)
from tests.support.runs import TRIGGER, WITH_JUDGE, by_hash, server
from tests.support.runs_by_batch import rays, table
from tests.support.servers.openai_server import (
    HTML,
    JUDGE_MARK,
    TRUNCATED_JSON,
    Answer,
    Behaviour,
    OpenAIServer,
    Reset,
    Status,
    last_message,
)
from tests.support.waiting import until

pytest.importorskip("ray", reason="Ray is not installed: make .venv/.ready")

FAULTS: tuple[Behaviour, ...] = (
    *(Status(429, headers={"retry-after": "0"}), Status(500), Status(503), HTML, TRUNCATED_JSON),
    *(Reset(), Answer("cut by an er", finish_reason="error")),
)
TRIALS = 96


def draw_of(body: Mapping[str, Any]) -> int:
    return int(hashlib.sha256(json.dumps(body, sort_keys=True).encode()).hexdigest(), 16)


def faulty(body: Mapping[str, Any], seen: int) -> Behaviour:
    """Each kind of fault, for many requests at the first attempt, for some at each; texts that JSON has to escape, ends
    of every kind, and another model."""
    if "ase " not in (text := last_message(body)) or JUDGE_MARK in text:
        return by_hash(body, seen)
    draw = draw_of(body)
    fault = FAULTS[draw // 64 % len(FAULTS)]
    match draw % 16:
        case 0:
            return fault
        case 1:
            return Status(400, "this prompt is too long", code="context_length_exceeded", type="invalid_request_error")
        case 2:
            return Answer("An answer that never en", finish_reason="length")
        case 3:
            return Answer("B", model="another-model")
        case 4:
            return Answer(f'"A"\n{KEY}\u2028 \x00 é \U0001f642', reasoning="for the money")
        case 5 | 6 | 7 | 8 if seen == 1:
            return fault
        case _:
            return by_hash(body, 1)


def words(run: Path, live: OpenAIServer, *more: str | Path) -> list[str | Path]:
    data = run.parent / "d.jsonl"
    if not data.exists():
        scenarios(data, TRIALS // 6)
    fixed = ["run", "unethical_test", "-m", "vllm/subject", "--dataset", data, "--out", run, "--no-preflight"]
    return [*fixed, *TRIGGER, *WITH_JUDGE, "--judge-base-url", live.url, "--max-unscored", "1", *more]


def over_ray(run: Path, live: OpenAIServer, *more: str | Path) -> list[str | Path]:
    return words(run, live, "--format", "both", "--via", "ray", "--concurrency", "8", "--max-attempts", "3", *more)


def trials_asked(live: OpenAIServer) -> Counter[str]:
    """How often each request for an answer has come."""
    bodies = (chat.body for chat in live.chats)
    found = (body for body in bodies if "ase " in last_message(body) and JUDGE_MARK not in last_message(body))
    return Counter(json.dumps(body, sort_keys=True) for body in found)


def test_a_run_over_ray_ends_as_the_same_run_online_whatever_the_server_does(tmp_path: Path) -> None:
    online, run = tmp_path / "online", tmp_path / "run"
    with server(faulty).start() as live:
        done = own_process(*words(online, live, "--format", "both", "--max-attempts", "3"), url=live.url)
        assert done.returncode == 0, done.stderr
    with server(faulty).start() as live:
        done = own_process(*over_ray(run, live), url=live.url)
        assert done.returncode == 0, done.stderr
    for read in (table, rates):
        found, wanted = (read(folder).drop(columns="run_id", errors="ignore") for folder in (run, online))
        pd.testing.assert_frame_equal(found, wanted)
    assert set(responses(run)["outcome"]) >= {"failed", "truncated"}
    assert not (run / "ray").exists()
    assert not [path for path in run.rglob("*") if path.is_file() and KEY.encode() in path.read_bytes()]


def slow(body: Mapping[str, Any], seen: int) -> Behaviour:
    answer = by_hash(body, 1)
    assert isinstance(answer, Answer)
    return Answer(answer.content, delay_s=0.4)


def test_a_killed_worker_of_two_servers_costs_no_trial(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with server(slow).start() as live, server(slow).start() as other:
        process = start(*over_ray(run, live), url=f"{live.url},{other.url}")
        until(lambda: len(trials_asked(live)) >= 24, seconds=240.0, meanwhile=lambda: still_runs(process))
        victim = next(pid for pid, command in rays(process.pid).items() if command.startswith(b"ray::MapWorker"))
        os.kill(victim, signal.SIGKILL)
        _, said = process.communicate(timeout=240)
    assert process.returncode == 0, said
    assert len(responses(run)) == recorded(run) == TRIALS
    assert "failed" not in set(responses(run)["outcome"])
    assert len(trials_asked(live) + trials_asked(other)) == TRIALS
    assert trials_asked(other)


def test_a_killed_run_goes_on_with_what_was_written(tmp_path: Path) -> None:
    run = tmp_path / "run"
    with server(slow).start() as live:
        process = start(*over_ray(run, live), url=live.url)
        until(lambda: recorded(run) or list(run.glob("ray/block-*")), meanwhile=lambda: still_runs(process))
        process.kill()
        process.communicate()
        written = sum(len(path.read_text().splitlines()) for path in run.glob("ray/block-*"))
        known = recorded(run) + written
        assert 0 < known < TRIALS
        until(lambda: not rays(process.pid))
        before = trials_asked(live)
        # A Ray of its own takes longer to start than all the rest takes to be asked.
        done = own_process("resume", run, *told_again(run), "--via", "online", url=live.url)
        assert done.returncode == 0, done.stderr
        assert (trials_asked(live) - before).total() == TRIALS - known
    assert ("of results that an earlier session left" in done.stderr) == bool(written)
    assert not (run / "ray").exists()
    assert len(responses(run)) == recorded(run) == TRIALS
    (left,) = Path("/tmp").glob(f".eray.{process.pid}-*")  # noqa: S108
    files = [path for path in left.rglob("*") if path.is_file() and not path.is_symlink()]
    assert files
    assert not [path for path in files if KEY.encode() in path.read_bytes()]
    remove_left_folders(left.with_name("eray"))  # as a later run over Ray does
    assert not left.exists()
