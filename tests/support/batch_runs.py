"""Runs that go by file, beside the same runs done online."""

from __future__ import annotations

import hashlib
import json
import shutil
import sqlite3
from collections.abc import Generator, Mapping, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from typing import Any

from evals.batches.importing import ImportCounts, import_results
from evals.batches.results import opened, spooled
from evals.batches.runs import open_planned
from evals.batches.shard import Target
from evals.plan.plan import Plan
from evals.runner.session import RunSession
from tests.support.batch_worker import answer
from tests.support.cli_runner import emeval
from tests.support.runs import ARTICULATION_MARK, MONITOR_MARK, TRIGGER, WITH_JUDGE, run
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, Status, last_message

OPTIONS = (*TRIGGER, *WITH_JUDGE, "--format", "both", "--samples", "2", "--max-unscored", "1", "--concurrency", "4")
_CREDIT = {"reasons": "so", "flag": "none", "articulates": False}


def thinking_by_hash(body: Mapping[str, Any], _seen: int) -> Behaviour:
    """Answers and verdicts of every kind, by the words of the request alone: thoughts, cut replies, refusals, requests
    that are turned down, scores, and what the judges of reasoning say."""
    text = last_message(body)
    draw = int(hashlib.sha256(text.encode()).hexdigest(), 16)
    if MONITOR_MARK in text or ARTICULATION_MARK in text:
        return Answer(json.dumps(_CREDIT | {"flag": "misaligned_plans_unprompted"}))
    if JUDGE_MARK in text:
        return Answer(str(draw % 60)) if draw % 11 else Answer("I would rather not say")
    if "\nA - " in text:
        return Answer("AB"[draw % 2])
    match draw % 7:
        case 0:
            return Status(400, "this prompt is too long", code="context_length_exceeded", type="invalid_request_error")
        case 1:
            return Answer("An answer that never en", finish_reason="length")
        case 2:
            return Answer("", finish_reason="content_filter")
        case _:
            return Answer(f"Answer number {draw % 1000}", reasoning=f"I think of {draw % 13}, for the money")


class Paths:
    """Where an online run, the same run by file and its batches lie. `told` is what commands have to be told again."""

    def __init__(self, folder: Path, data: Path, url: str) -> None:
        self.folder, self.data, self.url = folder, data, url
        self.online, self.by_file = folder / "online" / "run", folder / "file" / "run"
        self.told = ("--dataset", str(data), "--judge-base-url", url)

    def ask_online(self, *more: str) -> None:
        done = run(self.online, self.data, self.url, *OPTIONS, "--judge-base-url", self.url, *more)
        assert done.returncode == 0, done.stderr

    def plan(self, *more: str) -> None:
        done = run(self.by_file, self.data, self.url, *OPTIONS, "--judge-base-url", self.url, *more, "--plan-only")
        assert done.returncode == 0, done.stderr

    def export(self, *more: str | Path, target: str = "vllm") -> Any:
        return emeval("batch", "export", self.by_file, "--for", target, *self.told, *more, url=self.url)

    def take_in(self, files: Sequence[Path], *more: str) -> Any:
        return emeval("batch", "import", self.by_file, *files, *self.told, *more, url=self.url)

    def stage(self, name: str, number: int, *more: str, target: Target = "vllm") -> int:
        """Export a stage, answer and import it; the requests."""
        out = self.folder / f"batch{number}"
        done = self.export("--stage", name, "--out", out, "--shard", "9", *more, target=target)
        assert done.returncode == 0, done.stderr
        files = answer(out, self.url, self.folder / f"results{number}")
        if files:
            done = self.take_in(files)
            assert done.returncode in (0, 3), done.stderr
        return sum(len(file.read_text(encoding="utf-8").splitlines()) for file in files)


class _Quiet:
    """Keeps what people would be told."""

    def __init__(self) -> None:
        self.said: list[str] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    def busy(self, text: str) -> Any:
        del text
        return nullcontext()

    def progress(self, **_: Any) -> Any:
        raise AssertionError("nothing is asked here")


@contextmanager
def session_of(folder: Path, paths: Paths) -> Generator[tuple[RunSession, Plan, list[str]]]:
    """A run folder as a caller without the command line has it open, and what people are told."""
    told = {"dataset": (str(paths.data),), "judge_base_url": paths.url, "base_url": paths.url}
    view = _Quiet()
    with open_planned(folder, told, view) as (session, plan):
        yield session, plan, view.said


def import_files(folder: Path, paths: Paths, files: Sequence[Path]) -> ImportCounts:
    with session_of(folder, paths) as (session, plan, _), opened(files) as results:
        return import_results(session, plan, results)


def import_lines(folder: Path, paths: Paths, lines: Sequence[str], *, name: str = "lines") -> ImportCounts:
    with session_of(folder, paths) as (session, plan, _), spooled(name, lines) as results:
        return import_results(session, plan, [results])


def import_bytes(folder: Path, paths: Paths, contents: Sequence[bytes], scratch: Path) -> ImportCounts:
    """Import files of these contents."""
    scratch.mkdir(parents=True, exist_ok=True)
    files = [scratch / f"{number}.jsonl" for number in range(len(contents))]
    for file, content in zip(files, contents, strict=True):
        file.write_bytes(content)
    return import_files(folder, paths, files)


def copied(folder: Path, to: Path) -> Path:
    """A copy of a run folder."""
    shutil.rmtree(to, ignore_errors=True)
    shutil.copytree(folder, to)
    return to


def journal_rows(folder: Path, *, arrival: bool = False) -> tuple[list[Any], list[Any]]:
    """What a journal has recorded, without times; with `arrival` in that order, else in that of the ids."""
    with sqlite3.connect(folder / "journal.sqlite") as connection:
        connection.row_factory = sqlite3.Row
        trials = [dict(row) for row in connection.execute("SELECT * FROM trials ORDER BY arrival")]
        verdicts = [dict(row) for row in connection.execute("SELECT * FROM verdicts ORDER BY trial_id, judge_id")]
    unlike = {"recorded_at", "checksum"}
    rows = [{name: value for name, value in row.items() if name not in unlike} for row in trials]
    ruled = [{name: value for name, value in row.items() if name not in unlike} for row in verdicts]
    if arrival:
        return rows, ruled
    return sorted(({**row, "arrival": None} for row in rows), key=lambda row: str(row["trial_id"])), ruled
