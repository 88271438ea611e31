"""A run that is interrupted again and again, or loses its terminal, keeps its tables and says how it stands."""

from __future__ import annotations

import os
import pty
import signal
import subprocess
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_runner import COMMAND, environment, manifest, recorded, responses, scenarios, start, still_runs
from tests.support.runs import MODEL, server
from tests.support.servers.openai_server import Answer, Behaviour
from tests.support.waiting import until

TRIALS = 40


@pytest.fixture(autouse=True)
def _hangups_are_not_ignored() -> Iterator[None]:
    """Tests that were started with nohup would hand on that SIGHUP is ignored."""
    before = signal.signal(signal.SIGHUP, signal.SIG_DFL)
    yield
    signal.signal(signal.SIGHUP, before)


def slowly(_body: Mapping[str, Any], _seen: int) -> Behaviour:
    return Answer("A", delay_s=0.05)


def arguments(folder: Path) -> list[str]:
    dataset = scenarios(folder.parent / "d.jsonl", TRIALS // 2)
    words = ["run", "unethical_test", "-m", MODEL, "--dataset", str(dataset), "--format", "mcq", "--out", str(folder)]
    return [*words, "--concurrency", "2", "--no-preflight", "--max-unscored", "1"]


def until_recorded(process: subprocess.Popen[Any], folder: Path, count: int) -> None:
    until(lambda: recorded(folder) >= count, pause_s=0.01, meanwhile=lambda: still_runs(process))


def check(folder: Path, *statuses: str) -> None:
    assert manifest(folder)["status"] in statuses
    assert manifest(folder)["trials_recorded"] == recorded(folder)
    assert len(responses(folder)) == recorded(folder)
    assert (folder / "rates.csv").exists()


@pytest.mark.parametrize(
    "signals",
    [
        [signal.SIGHUP],
        [signal.SIGINT] * 2,
        [signal.SIGINT] * 30,
        [signal.SIGHUP, signal.SIGTERM, signal.SIGINT, signal.SIGTERM],
        [signal.SIGTERM, signal.SIGHUP] * 10,
    ],
    ids=lambda signals: "-".join(number.name for number in signals[:4]) + f"-{len(signals)}",
)
@pytest.mark.parametrize("gap_s", [0.0, 0.05])
def test_further_signals_cost_neither_tables_nor_status(
    tmp_path: Path, signals: list[signal.Signals], gap_s: float
) -> None:
    folder = tmp_path / "run"
    with server(slowly).start() as live:
        process = start(*arguments(folder), url=live.url)
        until_recorded(process, folder, 6)
        for number in signals:
            process.send_signal(number)
            time.sleep(gap_s)
        process.communicate(timeout=60)
    assert process.returncode != 0
    assert 6 <= recorded(folder) < TRIALS
    check(folder, "interrupted")


def test_an_interruption_while_all_is_counted_leaves_the_tables(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with server().start() as live:
        process = start(*arguments(folder), url=live.url)
        until_recorded(process, folder, TRIALS)
        process.send_signal(signal.SIGINT)
        time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        process.communicate(timeout=60)
    check(folder, "interrupted", "complete")


def test_a_run_whose_terminal_is_closed_keeps_its_tables(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    master, slave = pty.openpty()
    with server(slowly).start() as live:
        process = subprocess.Popen(
            [*COMMAND, *arguments(folder)],
            stdin=slave,
            stdout=slave,
            stderr=slave,
            env=environment(live.url, {"TERM": "xterm-256color"}),
            start_new_session=True,
        )
        os.close(slave)
        until_recorded(process, folder, 6)
        os.close(master)
        process.send_signal(signal.SIGHUP)
        process.wait(timeout=60)
    assert 6 <= recorded(folder) < TRIALS
    check(folder, "interrupted", "stopped")


def test_nohup_is_respected(tmp_path: Path) -> None:
    folder = tmp_path / "run"
    with server(slowly).start() as live:
        process = subprocess.Popen(
            ["nohup", *COMMAND, *arguments(folder)],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            env=environment(live.url),
        )
        until_recorded(process, folder, 4)
        process.send_signal(signal.SIGHUP)
        assert process.wait(timeout=120) == 0
    check(folder, "complete")
