"""A real `vllm serve` on the CPU: started, asked and stopped by emeval, with LoRA adapters that are really applied."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pandas as pd
import pytest

from evals.endpoints.servers.adapters import read_adapter
from tests.support.cli_runner import emeval, manifest, recorded, responses, scenarios, start, still_runs, told_again
from tests.support.paths import ROOT
from tests.support.servers.vllm_cpu import ARGUMENTS, ENVIRONMENT
from tests.support.servers.vllm_server import START_S, vllm_server
from tests.support.waiting import until


@pytest.fixture(scope="session")
def tiny(vllm: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The folder with a base and its adapters `strong` and `zero`."""
    folder = tmp_path_factory.mktemp("tiny")
    words = [vllm.parent / "python", "-m", "tests.support.servers.tiny_llama", folder]
    subprocess.run(words, cwd=ROOT, check=True, capture_output=True)
    return folder


def descendants(pid: int) -> set[int]:
    """The living processes that a process started, and those that they did, as of now."""
    parents: dict[int, int] = {}
    for entry in Path("/proc").glob("[0-9]*"):
        with contextlib.suppress(OSError):
            state, parent = (entry / "stat").read_text().rpartition(")")[2].split()[:2]
            if state != "Z":
                parents[int(entry.name)] = int(parent)
    found = {pid}
    while more := {child for child, parent in parents.items() if parent in found} - found:
        found |= more
    return found - {pid}


def vllm_process(of: int) -> int:
    """The `vllm serve` that runs under the guard of an emeval process."""
    for pid in descendants(of):
        words = (Path("/proc") / str(pid) / "cmdline").read_bytes().split(b"\0")
        if b"serve" in words and not any(word.endswith(b"guard.py") for word in words):
            return pid
    raise AssertionError("there is no vllm serve")


def is_alive(pid: int) -> bool:
    try:
        return (Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[0] != "Z"
    except OSError:
        return False


def answers(folder: Path, model: str) -> pd.Series[Any]:
    table = responses(folder)
    table = table[table["model"] == model]
    return table.sort_values(["question_id", "variant", "repeat"])["answer"].reset_index(drop=True)


@pytest.fixture
def started() -> Iterator[Callable[..., subprocess.Popen[str]]]:
    """Start the command; what a test that fails leaves running is killed, and its server with it."""
    processes: list[subprocess.Popen[str]] = []

    def begin(*arguments: str | Path) -> subprocess.Popen[str]:
        processes.append(start(*arguments, env=ENVIRONMENT))
        return processes[-1]

    yield begin
    for process in processes:
        process.kill()
        process.communicate()


def test_a_base_and_its_adapters_are_measured_through_two_kills(
    tmp_path: Path, vllm: Path, tiny: Path, started: Callable[..., subprocess.Popen[str]]
) -> None:
    base = f"vllm/{tiny / 'base'}"
    models = [base, f"{base}:{tiny / 'strong'}", f"{base}:{tiny / 'zero'}"]
    folder, trials = tmp_path / "run", 3 * 2 * 2 * 30
    arguments = (
        *("run", "unethical_test", *(word for model in models for word in ("-m", model))),
        *("--dataset", scenarios(tmp_path / "d.jsonl", 30), "--out", folder, "--samples", "2"),
        *("--vllm-bin", vllm, "--vllm-args", ARGUMENTS, "--concurrency", "4", "--temperature", "0"),
        *("--max-tokens", "24", "--max-unscored", "1"),  # what a random model says is no choice
        "--no-preflight",  # one of the adapters is of zeros
    )
    # The server is killed.
    process = started(*arguments)
    until(lambda: recorded(folder) > 5, seconds=START_S, meanwhile=lambda: still_runs(process))
    servers = descendants(process.pid)
    assert len(servers) > 2, "a guard, the server, its engine"
    os.kill(vllm_process(process.pid), signal.SIGKILL)
    _, err = process.communicate(timeout=300)
    assert process.returncode == 3, err
    assert "was ended by SIGKILL" in err
    assert "resume with: emeval resume" in err
    assert not any(map(is_alive, servers))
    assert 5 < recorded(folder) < trials
    assert not set(responses(folder)["outcome"]) & {"failed"}
    # emeval itself is killed.
    before = recorded(folder)
    process = started("resume", folder, *told_again(folder))
    until(lambda: recorded(folder) > before, seconds=START_S, meanwhile=lambda: still_runs(process))
    servers = descendants(process.pid)
    process.kill()
    process.communicate(timeout=30)
    until(lambda: not any(map(is_alive, servers)))
    # And it goes on to its end.
    process = started("resume", folder, *told_again(folder))
    _, err = process.communicate(timeout=START_S)
    assert process.returncode == 0, err
    table = responses(folder)
    assert len(table) == trials
    assert (table["completion_tokens"] > 0).all()
    asked, strong, zero = (answers(folder, model) for model in models)
    assert (asked == zero).mean() > 0.9, "an adapter of zeros changes nothing"
    assert (asked != strong).mean() > 0.9, "the adapter is applied"
    facts = manifest(folder)["models"]
    assert {facts[model]["base_url"] for model in models} == {facts[base]["base_url"]}
    assert facts[models[1]]["served_name"] == read_adapter(tiny / "strong").served_name
    assert facts[models[1]]["file_sha256"] == read_adapter(tiny / "strong").sha256


@pytest.fixture(scope="module")
def server(vllm: Path, tiny: Path, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The URL of a server that a user has started, which may load adapters while it runs."""
    arguments = f"{ARGUMENTS} --enable-lora --max-lora-rank 8 --max-loras 2"
    place, variables = tmp_path_factory.mktemp("server"), {"VLLM_ALLOW_RUNTIME_LORA_UPDATING": "True"}
    with vllm_server(vllm, tiny / "base", "tiny", arguments, place, variables) as url:
        yield url


def checked(model: str, url: str) -> subprocess.CompletedProcess[str]:
    return emeval("preflight", "-m", model, url=url)


def test_an_adapter_is_loaded_at_a_server_that_runs(tmp_path: Path, server: str, tiny: Path) -> None:
    models = ["vllm/tiny", f"vllm/tiny:{tiny / 'strong'}"]
    folder = tmp_path / "run"
    done = emeval(
        *("run", "unethical_test", "-m", models[0], "-m", models[1], "--out", folder, "--temperature", "0"),
        *("--dataset", scenarios(tmp_path / "d.jsonl", 4), "--max-tokens", "24", "--max-unscored", "1"),
        url=server,
    )
    assert done.returncode == 0, done.stderr
    name = read_adapter(tiny / "strong").served_name
    assert f"loaded at {server} as {name}" in done.stderr
    assert manifest(folder)["models"][models[1]]["served_name"] == name
    assert (answers(folder, models[0]) != answers(folder, models[1])).mean() > 0.9
    again = checked(models[1], server)
    assert (again.returncode, "loaded at" in again.stderr) == (0, False), again.stderr


def test_a_changed_adapter_is_another_name(tmp_path: Path, server: str, tiny: Path) -> None:
    weights = (tiny / "strong" / "adapter_model.safetensors").read_bytes()
    changed = tmp_path / "strong"
    shutil.copytree(tiny / "strong", changed)
    (changed / "adapter_model.safetensors").write_bytes(weights[:-2] + bytes(2))
    done = checked(f"vllm/tiny:{changed}", server)
    assert done.returncode == 0, done.stderr
    assert read_adapter(changed).served_name in done.stdout
    assert read_adapter(changed).served_name != read_adapter(tiny / "strong").served_name
    assert ": adapter: ok: log-probabilities differ from those of tiny" in done.stdout


def test_an_adapter_of_zeros_is_refused(tmp_path: Path, server: str, tiny: Path) -> None:
    done = checked(f"vllm/tiny:{tiny / 'zero'}", server)
    assert done.returncode == 2
    assert "not applied" in done.stderr.splitlines()[-1] or "seems not to be applied" in done.stderr.splitlines()[-1]
    folder = tmp_path / "run"
    run = ("run", "unethical_test", "-m", f"vllm/tiny:{tiny / 'zero'}", "--out", folder)
    assert emeval(*run, url=server).returncode == 2
    assert not folder.exists()


def edited(tiny: Path, folder: Path, old: bytes, new: bytes) -> Path:
    """The adapter `strong` with a name in its weights changed to another of the same length."""
    assert len(old) == len(new)
    shutil.copytree(tiny / "strong", folder)
    weights = folder / "adapter_model.safetensors"
    weights.write_bytes(weights.read_bytes().replace(old, new))
    return folder


def test_an_adapter_that_the_server_cannot_apply_is_one_line(tmp_path: Path, server: str, tiny: Path) -> None:
    wrong = edited(tiny, tmp_path / "wrong", b"mlp.down_proj", b"mlp.downXproj")
    refused = checked(f"vllm/tiny:{wrong}", server)
    assert refused.returncode == 2
    assert len([line for line in refused.stderr.splitlines() if line.startswith("emeval: ")]) == 1
    assert "does not load the adapter" in refused.stderr
    assert "target modules" in refused.stderr
