"""Files that never end, keep a reader waiting, or are huge, for every option that takes a file: one line at once."""

from __future__ import annotations

import json
import os
import resource
import signal
import socket
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from evals.errors import BadInput
from evals.io.csv_reader import csv_file
from evals.io.environment import read_dotenv
from evals.plan.anchors import read_anchors
from evals.questions.dataset import check
from tests.support.cli_runner import emeval, environment, refused

RUN = ("run", "unethical_test", "-m", "vllm/x", "--format", "freeform", "--dry-run")
JUDGED = (*RUN, "--judge", "openai/x")


class Use(NamedTuple):
    """A command that reads a file of this name; `{}` stands for the file, `{folder}` for its folder."""

    name: str
    arguments: tuple[str, ...]
    environment: tuple[str, ...] = ()


USES = {
    "suite": Use("q.yaml", ("run", "{}", "-m", "vllm/x", "--dry-run")),
    "config": Use("run.yaml", (*RUN, "--config", "{}")),
    "dataset": Use("d.jsonl", (*RUN, "--dataset", "{}")),
    "dataset as CSV": Use("d.csv", (*RUN, "--dataset", "{}")),
    "system": Use("system.txt", (*RUN, "--system", "{}")),
    "rubric": Use("rubric.txt", (*JUDGED, "--rubric", "alignment={}")),
    "anchors": Use("a.jsonl", (*JUDGED, "--anchors", "{}")),
    "prices": Use("prices.csv", (*JUDGED, "--prices", "{}")),
    "EMEVAL_PRICES": Use("prices.csv", JUDGED, ("EMEVAL_PRICES",)),
    ".env": Use(".env", RUN),
    "GGUF": Use("m.gguf", ("preflight", "unethical_test", "-m", "local/{}")),
    "GGUF adapter": Use("a.gguf", ("preflight", "unethical_test", "-m", "local/{folder}/base.gguf:{}")),
    "adapter's config": Use("adapter_config.json", ("adapter", "{folder}")),
    "adapter's weights": Use("adapter_model.safetensors", ("adapter", "{folder}")),
    "validate": Use("d.jsonl", ("datasets", "validate", "{}")),
    "validate a question file": Use("q.yaml", ("datasets", "validate", "{}")),
    "mix": Use("d.jsonl", ("mix", "--data", "{}", "--out", "{folder}/out.jsonl")),
    "import": Use("a.csv", ("import", "{}", "--out", "{folder}/run")),
    "import a log": Use("a.eval", ("import", "{}", "--out", "{folder}/run")),
    "import a log in JSON": Use("a.json", ("import", "{}", "--out", "{folder}/run")),
    "nightly": Use("night.yaml", ("nightly", "{}", "--dry-run")),
    "manifest": Use("manifest.json", ("rates", "{folder}")),
}


def pipe(path: Path) -> None:
    os.mkfifo(path)


def listening(path: Path) -> None:
    here = Path.cwd()
    os.chdir(path.parent)  # the path of a socket has at most 108 bytes
    try:
        with socket.socket(socket.AF_UNIX) as made:
            made.bind(path.name)
    finally:
        os.chdir(here)


def sparse(path: Path) -> None:
    with path.open("wb") as file:
        file.truncate(64 << 30)


def linked(target: str) -> Callable[[Path], None]:
    return lambda path: path.symlink_to(target)


ODD: dict[str, Callable[[Path], None]] = {
    "pipe": pipe,
    "zeros": linked("/dev/zero"),
    "stdin": linked("/dev/stdin"),
    "socket": listening,
    "folder": Path.mkdir,
    "sparse": sparse,
    "gone": linked("nowhere"),
}
EXPECTED_OTHERWISE = {(".env", "folder"), (".env", "gone")}
"""Ignored: a folder .env is a virtual environment."""


def prepared(folder: Path, use: Use, make: Callable[[Path], None]) -> tuple[list[str], dict[str, str]]:
    """The arguments and variables of a use whose file is an odd one."""
    folder.mkdir()
    path = folder / use.name
    make(path)
    (folder / "base.gguf").write_bytes(b"GGUF")
    if use.name == "adapter_model.safetensors":
        (folder / "adapter_config.json").write_text('{"r": 8}')
    arguments = [part.replace("{folder}", str(folder)).replace("{}", str(path)) for part in use.arguments]
    return arguments, dict.fromkeys(use.environment, str(path))


CASES = [(use, odd) for use in USES for odd in ODD if (use, odd) not in EXPECTED_OTHERWISE]


def run_all(root: Path) -> Iterator[dict[str, Any]]:
    """Every case in this process, one after the other, at most ten seconds each: what it said and how it ended."""

    def stop(_signal: int, _frame: object) -> None:
        raise TimeoutError("took ten seconds")

    signal.signal(signal.SIGALRM, stop)
    for number, (use, odd) in enumerate(CASES):
        folder = root / str(number)
        arguments, variables = prepared(folder, USES[use], ODD[odd])
        signal.alarm(10)
        try:
            if arguments[0] == "adapter":
                done = {"code": 2, "said": adapter_error(Path(arguments[1]))}
            else:
                finished = emeval(*arguments, cwd=folder, env=variables)
                done = {"code": finished.returncode, "said": finished.stderr + finished.stdout}
        except (MemoryError, TimeoutError) as error:
            done = {"code": 99, "said": repr(error)}
        finally:
            signal.alarm(0)
        peak = Path("/proc/self/status").read_text().partition("VmHWM:")[2].split()[0]
        yield done | {"use": use, "odd": odd, "folder": str(folder), "peak_kib": int(peak)}


def adapter_error(folder: Path) -> str:
    from evals.endpoints.servers.adapters import read_adapter

    with pytest.raises(BadInput) as refusal:
        read_adapter(folder)
    return f"emeval: {refusal.value}\n"


@pytest.fixture(scope="module")
def ended(tmp_path_factory: pytest.TempPathFactory) -> dict[tuple[str, str], dict[str, Any]]:
    """How every case ended, in a process of its own with a terminal's open stdin and little memory to have."""
    limit = 4 << 30

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    keeps_open, stdin = os.pipe()
    try:
        done = subprocess.run(
            [sys.executable, "-m", "tests.threats.test_input_files", str(tmp_path_factory.mktemp("odd"))],
            stdin=keeps_open,
            capture_output=True,
            text=True,
            env=environment(),
            preexec_fn=bounded,
            timeout=240,
            check=False,
        )
    finally:
        os.close(stdin)
        os.close(keeps_open)
    found = [json.loads(line) for line in done.stdout.splitlines()]
    assert done.returncode == 0, done.stderr
    return {(case["use"], case["odd"]): case for case in found}


@pytest.mark.parametrize(("use", "odd"), CASES)
def test_is_one_line_at_once(ended: dict[tuple[str, str], dict[str, Any]], use: str, odd: str) -> None:
    case = ended[use, odd]
    assert case["code"] == 2, case
    lines = [line for line in case["said"].splitlines() if not line.startswith("starting ")]
    assert len(lines) == 1, case
    assert USES[use].name in lines[0] or case["folder"] in lines[0], case
    assert len(lines[0]) < 600


def test_none_takes_much_memory(ended: dict[tuple[str, str], dict[str, Any]]) -> None:
    assert max(case["peak_kib"] for case in ended.values()) < 700 * 1024


# --- regular files that are larger than what they are for ---


@pytest.mark.parametrize(
    ("name", "first"),
    [("d.jsonl", b'{"prompt": "x"}\n'), ("d.csv", b"Question,Best Answer,Correct Answers,Incorrect Answers\n")],
)
def test_a_line_without_an_end_names_its_line(tmp_path: Path, name: str, first: bytes) -> None:
    path = tmp_path / name
    path.write_bytes(first + b"x" * (5 << 20))
    report = check(path)
    assert report.dataset is None
    assert str(report.problems[-1]).startswith(f"{path}:2: the line does not end within 4 MiB")


def test_a_line_of_anchors_without_an_end_names_its_line(tmp_path: Path) -> None:
    path = tmp_path / "a.jsonl"
    path.write_bytes(b"x" * (5 << 20))
    with pytest.raises(BadInput, match=r"a\.jsonl:1: the line does not end within 4 MiB"):
        read_anchors(path)


ROWS = {
    "a line": '"' + "x" * (17 << 20),
    "a cell of many lines": '"' + ("x" * 999 + "\n") * 18_000,
    "many cells of some lines": ('"' + ("x" * 999 + "\n") * 99 + '",') * 200,
}


@pytest.mark.parametrize("name", ROWS)
def test_a_row_of_a_csv_without_an_end_names_its_line(tmp_path: Path, name: str) -> None:
    path = tmp_path / "a.csv"
    path.write_text(f"question,answer\n{ROWS[name]}")
    said = r"a\.csv:\d+: the (line|row) does not end within 16 MiB"
    with pytest.raises(BadInput, match=said), csv_file(path) as file:
        list(file)


def test_problems_are_limited(tmp_path: Path) -> None:
    path = tmp_path / "d.jsonl"
    path.write_text("x\n" * 100_000)
    problems = check(path).problems
    assert len(problems) == 10_001
    assert str(problems[-1]) == f"{path}:10001: was not read any more, after so many problems"


@pytest.mark.parametrize(
    ("length", "header"),
    [
        (1 << 62, b"{}"),
        (200 << 20, b"{}"),
        (1 << 20, b'{"a": 1}'),
        (9, b'{"a": 1'),
        (2 << 20, b'{"a": ' + b"[" * (2 << 20)),
        (30 << 20, b"[" + b"[]," * (10 << 20)),
        (2, b"[]"),
        (0, b""),
        (40, b'{"base_model.model.a.lora_A.weight": 1} '),
    ],
)
def test_a_header_of_safetensors_is_bounded(tmp_path: Path, length: int, header: bytes) -> None:
    (tmp_path / "adapter_config.json").write_text('{"r": 8}')
    (tmp_path / "adapter_model.safetensors").write_bytes(length.to_bytes(8, "little") + header[:length])
    said = adapter_error(tmp_path) if length != 40 else "adapter_model.safetensors"
    assert "adapter_model.safetensors" in said
    assert said.count("\n") < 2


def test_a_large_file_for_settings_is_one_line(tmp_path: Path) -> None:
    for use in ("rubric", "prices", "system", ".env"):
        folder = tmp_path / use.strip(".")
        arguments, _ = prepared(folder, USES[use], lambda path: void(path.write_bytes(b"x" * (1 << 20) + b"x")))
        refused(emeval(*arguments, cwd=folder), USES[use].name, "larger than 1 MiB")


def void(_: object) -> None:
    pass


def test_a_folder_called_env_is_ignored(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / ".env").mkdir()
    monkeypatch.chdir(tmp_path)
    assert read_dotenv() == {}


if __name__ == "__main__":
    for found in run_all(Path(sys.argv[1])):
        print(json.dumps(found), flush=True)
