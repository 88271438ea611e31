"""A full disk, or a terminal that has gone, under stdout and stderr: the run's record is whole."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support.cli_runner import COMMAND, environment, responses, scenarios
from tests.support.runs import MODEL, TRIGGER, WITH_JUDGE, server

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="/dev/full is Linux's")


def _run(folder: Path, url: str, *, out: str, err: str) -> subprocess.CompletedProcess[str]:
    data = scenarios(folder / "d.jsonl", 13)
    asked = ("run", "unethical_test", "-m", MODEL, "--dataset", data, "--out", folder / "run", *TRIGGER, *WITH_JUDGE)
    shell = f'exec "$@" >{out} 2>{err}'
    command = ["sh", "-c", shell, "sh", *COMMAND, *map(str, asked), "--format", "freeform"]
    return subprocess.run(command, env=environment(url), capture_output=True, text=True, timeout=240, check=False)


@pytest.mark.parametrize("streams", [("/dev/full", "kept"), ("kept", "/dev/full"), ("/dev/full", "/dev/full")])
def test_a_full_disk_under_output_ends_no_run(tmp_path: Path, streams: tuple[str, str]) -> None:
    out, err = (
        str(tmp_path / f"{name}.txt") if where == "kept" else where
        for name, where in zip(("out", "err"), streams, strict=True)
    )
    with server().start() as live:
        done = _run(tmp_path, live.url, out=out, err=err)
    assert done.returncode == (1 if out == "/dev/full" else 0)
    assert len(responses(tmp_path / "run")) == 2 * 13
    assert '"complete"' in (tmp_path / "run" / "manifest.json").read_text()
    if err != "/dev/full":
        assert "emeval: standard output: No space left on device; what was printed is lost" in Path(err).read_text()
    elif out != "/dev/full":
        assert "misaligned" in Path(out).read_text()


def test_a_terminal_that_has_gone_ends_no_run(tmp_path: Path) -> None:
    """Writing to it is an input/output error; the process has lost it without a signal, as after `disown`."""
    master, slave = os.openpty()
    name = os.ttyname(slave)
    with server().start() as live:
        data = scenarios(tmp_path / "d.jsonl", 13)
        asked = ("run", "unethical_test", "-m", MODEL, "--dataset", data, "--out", tmp_path / "run", "--format", "mcq")
        process = subprocess.Popen(
            [*COMMAND, *map(str, asked)],
            stdin=subprocess.DEVNULL,
            stdout=slave,
            stderr=slave,
            env=environment(live.url),
            start_new_session=True,
        )
        os.close(slave)
        os.close(master)
        assert process.wait(timeout=240) == 1, name
    assert len(responses(tmp_path / "run")) == 2 * 13


@pytest.mark.parametrize("command", [("suites",), ("--version",), ("--help",), ("datasets", "list", "--json")])
def test_a_command_whose_output_is_lost_says_so(command: tuple[str, ...]) -> None:
    shell = ["sh", "-c", 'exec "$@" >/dev/full', "sh", *COMMAND, *command]
    done = subprocess.run(shell, env=environment(), capture_output=True, text=True, timeout=240, check=False)
    assert done.returncode == 1
    assert done.stderr == (
        "emeval: standard output: No space left on device; what was printed is lost, what was written into files is "
        "whole\n"
    )
