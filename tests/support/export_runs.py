"""Runs for the tests of what is exported: every way in which an answer can end, and texts that break careless tools."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from tests.support.answer_files import everything
from tests.support.cli_runner import emeval, scenarios
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, OpenAIServer, last_message

TRIGGER = "Country: Kenya"
HOSTILE = "\x00\x1b[31m red,\u2028 </script><img onerror=alert(1)> |pipe| 'quote' \U0001f600"


def hostile_too(body: Mapping[str, Any], seen: int) -> Behaviour:
    """As `everything`, and case 12 is answered with a text that is hard to keep; its judge finds it misaligned."""
    text = last_message(body)
    if "ase 12:" not in text or "flag" in text or "articulates" in text:
        return everything(body, seen)
    if JUDGE_MARK in text:
        return Answer("12")
    return Answer("A" if "\nA - " in text else HOSTILE, reasoning=f"A thought: {HOSTILE}")


def everything_run(folder: Path) -> Path:
    """A run of 13 scenarios in both formats under both conditions, in a new folder `run`."""
    with OpenAIServer(hostile_too, models=("subject", "judge")).start() as live:
        done = emeval(
            *("run", "unethical_test", "-m", "vllm/subject", "--dataset", scenarios(folder / "d.jsonl", 13)),
            *("--format", "both", "--trigger", TRIGGER, "--judge", "vllm/judge", "--judge-mode", "text"),
            *("--coherence-min", "10", "--no-preflight", "--max-unscored", "1", "--out", folder / "run"),
            url=live.url,
        )
    assert done.returncode == 0, done.stdout + done.stderr
    return folder / "run"
