"""The Batch API through a server that is not of this project: LiteLLM's proxy, before the tests' server.

Skipped unless EMEVAL_LITELLM names a `litellm` program, of `litellm[proxy]` in an environment of its own.
"""

from __future__ import annotations

import contextlib
import http.client
import os
import shutil
import socket
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml

from tests.support.cli_runner import emeval
from tests.support.runs_by_batch import VIA, arguments, ask, server, table
from tests.support.servers.batch_server import BatchServer, Ending
from tests.support.waiting import looks

KEY, UPSTREAM_KEY = "sk-proxy-0123456789abcdef", "sk-upstream-0123456789abcdef"
_PROGRAM = os.environ.get("EMEVAL_LITELLM", "")
pytestmark = pytest.mark.skipif(not shutil.which(_PROGRAM), reason="EMEVAL_LITELLM names no litellm program")


def free_port() -> int:
    with socket.create_server(("127.0.0.1", 0)) as listening:
        return int(listening.getsockname()[1])


@contextlib.contextmanager
def proxy(folder: Path, upstream: BatchServer) -> Iterator[str]:
    """LiteLLM's proxy in front of a server; its URL."""
    behind = {"api_base": upstream.url, "api_key": UPSTREAM_KEY}
    config = {
        "model_list": [
            {"model_name": name, "litellm_params": {"model": f"openai/{name}", **behind}}
            for name in ("subject", "judge")
        ],
        "files_settings": [{"custom_llm_provider": "openai", **behind}],
        "general_settings": {"master_key": KEY},
    }
    file, port = folder / "litellm.yaml", free_port()
    file.write_text(yaml.safe_dump(config), encoding="utf-8")
    quiet = {"LITELLM_LOCAL_MODEL_COST_MAP": "True", "LITELLM_TELEMETRY": "False", "HOME": str(folder)}
    with (folder / "litellm.log").open("w") as log:
        process = subprocess.Popen(
            [_PROGRAM, "--config", str(file), "--host", "127.0.0.1", "--port", str(port)],
            stdout=log,
            stderr=subprocess.STDOUT,
            env={"PATH": os.environ["PATH"], **quiet},
        )
    try:
        wait_for(port, process, folder / "litellm.log")
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(timeout=30)


def wait_for(port: int, process: subprocess.Popen[bytes], log: Path) -> None:
    for _ in looks(180.0, 0.2):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=5)
        with contextlib.suppress(OSError), contextlib.closing(connection):
            connection.request("GET", "/health/liveliness")
            if connection.getresponse().status == 200:
                return
        assert process.poll() is None, log.read_text()
    raise AssertionError(log.read_text())


def test_a_run_by_batch_through_litellm_ends_as_the_run_online(tmp_path: Path) -> None:
    folders = {name: tmp_path / name / "run" for name in ("online", "batch")}
    for folder in folders.values():
        folder.parent.mkdir()
    with server().start() as live:
        done = ask(live, arguments(folders["online"]))
    assert done.returncode == 0, done.stderr
    endings = [Ending("expired", share=0.5), Ending()]
    with server(key=UPSTREAM_KEY, endings=endings).start() as live, proxy(tmp_path, live) as url:
        env = {"OPENAI_BASE_URL": url, "OPENAI_API_KEY": KEY}
        done = emeval(*arguments(folders["batch"], *VIA), env=env)
        assert done.returncode == 0, done.stderr
    pd.testing.assert_frame_equal(table(folders["batch"]), table(folders["online"]))
    assert len(live.batches) == 3
    assert set(live.asked.values()) == {1}
    assert live.batches[0]["metadata"]["emeval_stage"] == "answers"
