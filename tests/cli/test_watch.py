"""`emeval watch`: the report of a run that is at work, over HTTP, for this machine and who has the token alone."""

from __future__ import annotations

import http.client
import signal
import socket
import subprocess
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest

from evals.errors import BadInput
from evals.reporting.page.live import LivePage, LiveServer
from tests.support.cli_runner import emeval, recorded, refused, scenarios, start, still_runs
from tests.support.runs import by_hash
from tests.support.servers.openai_server import Behaviour, OpenAIServer, Stall
from tests.support.waiting import until

ASKED = ("run", "unethical_test", "-m", "vllm/subject", "--format", "mcq", "--no-preflight")


def got(url: str, *, host: str = "", method: str = "GET") -> tuple[int, Mapping[str, str], bytes]:
    """Status, headers and body; the path is sent as it is written."""
    place = urlsplit(url)
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=60)
    try:
        connection.request(method, place.path, headers={"Host": host} if host else {})
        reply = connection.getresponse()
        return reply.status, dict(reply.headers), reply.read()
    finally:
        connection.close()


@contextmanager
def watched(folder: Path, *options: str) -> Iterator[tuple[str, subprocess.Popen[str]]]:
    """The address of a page, and the process that serves it."""
    process = start("watch", folder, *options, env={"PYTHONUNBUFFERED": "1"})
    try:
        assert process.stdout is not None
        line = process.stdout.readline()
        assert line.startswith("Open http://127.0.0.1:"), (line, process.communicate())
        yield line.split()[1], process
    finally:
        process.kill()
        process.communicate()


def test_the_page_follows_the_run_to_its_end(tmp_path: Path) -> None:
    goes_on = threading.Event()

    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        if "ase 4" in str(body["messages"]) and not goes_on.is_set():
            return Stall(bare=True)
        return by_hash(body, seen)

    data, folder = scenarios(tmp_path / "d.jsonl", 6), tmp_path / "run"
    with OpenAIServer(script, models=("subject",)).start() as live:
        asking = start(*ASKED, "--dataset", data, "--out", folder, url=live.url)
        try:
            until(lambda: recorded(folder) >= 8, meanwhile=lambda: still_runs(asking))
            with watched(folder, "--every", "1") as (url, process):
                status, headers, body = got(url)
                assert (status, headers["Refresh"]) == (200, "1")
                assert b"is not complete" in body
                assert headers["Content-Type"] == "text/html; charset=utf-8"
                assert (headers["Cache-Control"], headers["Referrer-Policy"]) == ("no-store", "no-referrer")
                asking.send_signal(signal.SIGINT)
                asking.communicate(timeout=120)
                goes_on.set()
                assert emeval("resume", folder, "--dataset", data, "--no-preflight", url=live.url).returncode == 0
                until(lambda: "Refresh" not in got(url)[1] and b"is not complete" not in got(url)[2])
                process.send_signal(signal.SIGINT)
                out, err = process.communicate(timeout=60)
                assert (process.returncode, out, err) == (0, "Stopped watching.\n", "")
        finally:
            asking.kill()
            asking.communicate()
    assert not list(folder.glob("*.html")), "the run folder is not where the page lies"


@pytest.fixture(scope="module")
def run(tmp_path_factory: pytest.TempPathFactory) -> Path:
    at = tmp_path_factory.mktemp("watched")
    data, folder = scenarios(at / "d.jsonl", 2), at / "run"
    with OpenAIServer(by_hash, models=("subject",)).start() as live:
        assert emeval(*ASKED, "--dataset", data, "--out", folder, url=live.url).returncode == 0
    return folder


@pytest.fixture(name="served")
def _served(run: Path, tmp_path: Path) -> Iterator[LiveServer]:
    (tmp_path / "scratch").mkdir()
    with LiveServer(LivePage(run, tmp_path / "scratch", 1.0)) as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        yield server
        server.shutdown()


def test_nobody_else_gets_an_answer(served: LiveServer, tmp_path: Path) -> None:
    assert got(served.url)[0] == 200
    port, token = served.server_port, served.token
    (tmp_path / "secret.js").write_text("no")
    for path in ("", "report.html", f"{token}x/", f"{token[:-1]}/", token, "//", "%2e%2e/", "*"):
        assert got(f"http://127.0.0.1:{port}/{path}")[0] == 404, path
    for name in ("../secret.js", "..%2fsecret.js", "/etc/passwd", str(tmp_path / "secret.js"), "report.html/", "."):
        assert got(served.url + name)[0] == 404, name
    for host in (
        "evil.example",
        f"evil.example:{port}",
        "127.0.0.1",
        f"127.0.0.1:{port + 1}",
        f"127.0.0.1.evil:{port}",
    ):
        assert got(served.url, host=host)[0] == 404, host
    assert got(served.url, host=f"localhost:{port}")[0] == 200
    assert got(served.url, method="POST")[0] == 501
    with LiveServer(served.page) as other:
        assert other.token != token


def test_files_beside_a_large_page_are_served_by_their_names(served: LiveServer, tmp_path: Path) -> None:
    assert got(served.url)[0] == 200
    beside = tmp_path / "scratch" / "report-data-0123abcd"
    beside.mkdir()
    (beside / "0.js").write_text("emevalPart()")
    (beside / "odd.key").write_text("no")
    status, headers, body = got(f"{served.url}report-data-0123abcd/0.js")
    assert (status, headers["Content-Type"], body) == (200, "text/javascript; charset=utf-8", b"emevalPart()")
    assert got(f"{served.url}report-data-0123abcd/odd.key")[0] == 404


def test_a_run_that_can_no_longer_be_read_is_said_in_a_line(served: LiveServer, run: Path) -> None:
    moved = run.rename(run.with_name("moved"))
    try:
        status, headers, body = got(served.url)
        assert (status, headers["Refresh"]) == (503, "1")
        assert body.decode().count("\n") == 1
        assert str(run) in body.decode()
    finally:
        moved.rename(run)
    assert got(served.url)[0] == 200


def test_what_cannot_be_watched_is_one_line(run: Path, tmp_path: Path) -> None:
    refused(emeval("watch", tmp_path), "is not a run folder")
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        port = taken.getsockname()[1]
        refused(emeval("watch", run, "--port", str(port)), f"--port {port}: Address already in use")
        with pytest.raises(BadInput, match="leave it out for a free one"):
            LiveServer(LivePage(run, tmp_path / "scratch", 1.0), port)
