"""A `vllm serve` that a user has started: emeval knows no more of it than its URL."""

from __future__ import annotations

import contextlib
import os
import signal
import subprocess
import urllib.error
import urllib.request
from collections.abc import Iterator, Mapping
from pathlib import Path

from evals.endpoints.servers.vllm_launch import free_port
from tests.support.servers.vllm_cpu import ENVIRONMENT
from tests.support.waiting import looks

START_S = 1200.0


@contextlib.contextmanager
def vllm_server(
    vllm: Path, model: Path, name: str, arguments: str, place: Path, variables: Mapping[str, str] | None = None
) -> Iterator[str]:
    """The URL of a server of `model` under this name, for as long as the block lasts. Its log is `place / "log"`."""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("VLLM_")}
    environment |= ENVIRONMENT | {
        "PATH": f"{vllm.parent}{os.pathsep}{environment['PATH']}",
        "VLLM_TARGET_DEVICE": "cpu",  # the renamed distribution does not say so
        "VLLM_NO_USAGE_STATS": "1",
    }
    root, log = f"http://127.0.0.1:{(port := free_port())}", place / "log"
    words = [vllm, "serve", model, "--served-model-name", name, "--host", "127.0.0.1", "--port", str(port)]
    with log.open("wb") as file:
        process = subprocess.Popen(
            [*words, *arguments.split()],
            env=environment | dict(variables or {}),
            cwd=place,
            stdout=file,
            stderr=subprocess.STDOUT,
            start_new_session=True,
        )
    try:
        _wait_until_ready(process, f"{root}/health", log)
        yield f"{root}/v1"
    finally:
        os.killpg(process.pid, signal.SIGTERM)
        try:
            process.wait(timeout=30)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def _wait_until_ready(process: subprocess.Popen[bytes], url: str, log: Path) -> None:
    for _ in looks(START_S, 0.5):
        assert process.poll() is None, log.read_text()[-3000:]
        try:
            with urllib.request.urlopen(url, timeout=5):  # noqa: S310  our own loopback URL
                return
        except (urllib.error.URLError, OSError):
            continue
    raise AssertionError(log.read_text()[-3000:])
