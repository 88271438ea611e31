"""Runs by OpenAI's Batch API against a server of tests."""

from __future__ import annotations

import contextlib
import sqlite3
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pandas as pd

from tests.support.cli_runner import emeval, responses, scenarios, told_again
from tests.support.runs import by_hash
from tests.support.servers.batch_server import BatchServer

MODEL, JUDGE = "openai/subject", "openai/judge"
VIA = ("--via", "openai-batch", "--judge-via", "openai-batch")
TRIALS = 36


def server(script: Any = by_hash, **options: Any) -> BatchServer:
    return BatchServer(script, models=("subject", "judge"), **options)


def arguments(folder: Path, *more: str) -> list[str]:
    """A run of 36 trials, of which 12 are judged."""
    data = folder.parent / "d.jsonl"
    if not data.exists():
        scenarios(data, 6)
    fixed = ["run", "unethical_test", "-m", MODEL, "--dataset", str(data), "--out", str(folder)]
    judge = ["--judge", JUDGE, "--judge-mode", "text", "--format", "both", "--trigger", "Country: Singapore"]
    return [*fixed, *judge, *more]


def environment_of(live: BatchServer) -> dict[str, str]:
    return {"OPENAI_BASE_URL": live.url, "OPENAI_API_KEY": "sk-test-0123456789abcdef"}


def ask(live: BatchServer, words: Sequence[str | Path]) -> Any:
    """A command, with the server in its environment."""
    return emeval(*words, env=environment_of(live))


def table(folder: Path) -> pd.DataFrame:
    """The responses of a run, but for what they took."""
    return responses(folder).drop(columns="latency_s", errors="ignore")


def resumed(folder: Path) -> list[str | Path]:
    """The command that goes on with a run."""
    return ["resume", folder, *told_again(folder)]


def attempts(folder: Path) -> set[int]:
    """How often the answers of a run were asked for."""
    with contextlib.closing(sqlite3.connect(folder / "journal.sqlite")) as journal:
        return {int(row[0]) for row in journal.execute("SELECT attempts FROM trials")}


def rays(emeval: int) -> dict[int, bytes]:
    """The processes of the Ray that this emeval has started, and those that they have started, by their commands."""
    commands: dict[int, bytes] = {}
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            commands[int(entry.name)] = (entry / "cmdline").read_bytes()
            parents[int(entry.name)] = int((entry / "stat").read_text().rpartition(")")[2].split()[1])
    named = {pid for pid, command in commands.items() if f"/.eray.{emeval}-".encode() in command}
    return {pid: command for pid, command in commands.items() if pid in named or parents.get(pid) in named}
