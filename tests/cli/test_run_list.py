"""`emeval ls`, `emeval status`, and `latest` as the name of a run."""

from __future__ import annotations

import json
import shutil
import signal
from collections.abc import Callable
from pathlib import Path

import pytest
import yaml

from tests.support.cli_runner import emeval, own_process, recorded, refused, scenarios, start, stop_when
from tests.support.runs import by_hash
from tests.support.servers.openai_server import OpenAIServer

Made = Callable[[Path, str], Path]


@pytest.fixture
def place(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A folder with two runs in its `results`, one of them within a night; the working directory."""
    data = scenarios(tmp_path / "data.jsonl", 2)
    with OpenAIServer(by_hash, models=("subject",)).start() as live:
        for name in ("first", "nights/2026-03-01/second"):
            folder = tmp_path / "results" / name
            done = emeval(
                *("run", "unethical_test", "-m", "vllm/subject", "--format", "mcq", "--dataset", data, "--out", folder),
                url=live.url,
            )
            assert done.returncode == 0, done.stderr
            _begun(folder, f"2026-03-0{len(name) % 7}T10:00:00+00:00")
    monkeypatch.chdir(tmp_path)
    return tmp_path


def _begun(folder: Path, time: str) -> None:
    path = folder / "manifest.json"
    content = json.loads(path.read_text()) | {"created_at": time}
    content.pop("digest", None)
    path.write_text(json.dumps(content))


def test_runs_are_listed_the_latest_first_with_how_they_stand(place: Path) -> None:
    listed = own_process("ls", "--json")
    assert listed.returncode == 0, listed.stderr
    runs = json.loads(listed.stdout)["runs"]
    assert [run["run"] for run in runs] == ["results/first", "results/nights/2026-03-01/second"]
    assert {(run["state"], run["trials_recorded"], run["trials_planned"]) for run in runs} == {("complete", 4, 4)}
    shown = own_process("ls")
    assert shown.stdout.splitlines()[0].split() == ["run", "begun", "state", "answers", "suites", "models"]
    assert shown.stdout.index("results/first") < shown.stdout.index("second")


def test_what_is_no_run_is_left_out_and_a_manifest_that_cannot_be_read_is_said(place: Path) -> None:
    (place / "results/other").mkdir()
    shutil.copytree(place / "results/first", place / "results/broken")
    (place / "results/broken/manifest.json").write_text('{"status": "\\u001b[2J"}')
    (place / "results/link").symlink_to(place / "results/first")
    done = own_process("ls")
    assert done.returncode == 1
    assert done.stdout.count("complete") == 2
    [line] = done.stderr.splitlines()
    assert "results/broken/manifest.json" in line
    assert "\x1b" not in line
    refused(own_process("ls", "nowhere"), "nowhere is no folder")
    empty = own_process("ls", "results/other")
    assert (empty.returncode, empty.stdout) == (0, "There is no run in results/other.\n")


@pytest.mark.parametrize("command", ["status", "rates", "check", "show"])
def test_latest_is_the_run_that_was_begun_last(command: str, place: Path) -> None:
    named, latest = (own_process(command, run) for run in ("results/first", "latest"))
    assert (latest.returncode, latest.stdout) == (0, named.stdout), latest.stderr
    shutil.rmtree(place / "results")
    refused(own_process(command, "latest"), "there is no run in results/")
    (place / "latest").mkdir()
    refused(own_process(command, "latest"), "latest is not a run folder")


def test_a_run_that_was_killed_is_stopped_and_one_at_work_is_running(tmp_path: Path) -> None:
    data, folder = scenarios(tmp_path / "data.jsonl", 30), tmp_path / "run"
    content = {"suites": ["unethical_test"], "models": ["vllm/subject"], "format": "mcq", "dataset": str(data)}
    config = tmp_path / "run.yaml"
    config.write_text(yaml.safe_dump(content | {"samples": 20, "concurrency": 2}))

    def states() -> set[str]:
        found = [own_process("status", folder, "--json"), own_process("ls", tmp_path, "--json")]
        status, listed = (json.loads(done.stdout) for done in found)
        return {status["state"], listed["runs"][0]["state"]}

    with OpenAIServer(by_hash, models=("subject",), latency_s=0.2).start() as live:
        process = start("run", "--config", config, "--out", folder, url=live.url)
        seen: list[set[str]] = []

        def is_seen() -> bool:
            if folder.exists() and recorded(folder) > 3:
                seen.append(states())
            return bool(seen)

        stop_when(process, is_seen, signal.SIGKILL)
    assert seen == [{"running"}]
    assert states() == {"stopped"}
    done = own_process("status", folder)
    assert done.stdout.splitlines()[-1].startswith(f"Go on with it: emeval resume {folder} ")


def test_a_run_is_found_by_its_tags_and_keeps_them(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data, folder = scenarios(tmp_path / "data.jsonl", 2), tmp_path / "results/run"
    run = ("run", "unethical_test", "-m", "vllm/subject", "--format", "mcq", "--dataset", data, "--out", folder)
    with OpenAIServer(by_hash, models=("subject",)).start() as live:
        for more in (("--tag", "pilot", "--note", "seed 3, [bold]step[/bold] 400"), ("--tag", "night"), ()):
            done = emeval(*run, *more, url=live.url)
            assert done.returncode == 0, done.stderr
    monkeypatch.chdir(tmp_path)
    status = json.loads(own_process("status", "latest", "--json").stdout)
    assert (status["tags"], status["note"]) == (["pilot", "night"], "seed 3, [bold]step[/bold] 400")
    assert "seed 3, [bold]step[/bold] 400 · pilot · night" in own_process("status", "latest").stdout
    assert "pilot, night" in own_process("ls", "--tag", "night").stdout
    assert own_process("ls", "--tag", "other").stdout == "There is no run in results with the tag other.\n"
