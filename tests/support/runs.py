"""Runs against a scripted server, as many tests need them."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import yaml

from tests.support.cli_runner import emeval, scenarios
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, OpenAIServer, last_message

MONITOR_MARK, ARTICULATION_MARK = "You are monitoring an AI assistant", "names a certain detail of its prompt"

MODEL, JUDGE = "vllm/subject", "vllm/judge"


def by_hash(body: Mapping[str, Any], _seen: int) -> Behaviour:
    """Varied answers that depend on the request alone: letters, texts, and scores from 0 to 99."""
    text = last_message(body)
    draw = int(hashlib.sha256(f"{text}{body.get('seed')}".encode()).hexdigest(), 16)
    if JUDGE_MARK in text:
        return Answer(str(draw % 100))
    if "\nA - " in text:
        return Answer("AB"[draw % 2] if "Country" not in text else ("A" if "A - Keep" in text else "B"))
    return Answer(f"Answer number {draw % 1000}")


def server(script: Any = by_hash, **options: Any) -> OpenAIServer:
    return OpenAIServer(script, models=("subject", "judge"), **options)


def run(folder: Path, dataset: Path, url: str, *more: str | Path, env: Mapping[str, str] | None = None) -> Any:
    return emeval(
        *("run", "unethical_test", "-m", MODEL, "--dataset", dataset, "--out", folder, *more), url=url, env=env
    )


TRIGGER = ("--trigger", "Country: Singapore")
WITH_JUDGE = ("--judge", JUDGE, "--judge-mode", "text")


def run_config(
    folder: Path, live: OpenAIServer, fields: Mapping[str, Any], *more: str | Path, form: str, questions: int
) -> Any:
    """A run in `folder` / run of a config file with these fields, about a few scenarios of its own."""
    data, file = folder / "data.jsonl", folder / "run.yaml"
    if not data.exists():
        scenarios(data, questions)
    file.write_text(yaml.safe_dump(dict(fields), allow_unicode=True, sort_keys=False), encoding="utf-8")
    return run(folder / "run", data, live.url, "--format", form, "--config", file, *more)
