"""Mirrors of official data whose status lines, headers and bodies are malformed: one line, and nothing kept of them."""

from __future__ import annotations

from pathlib import Path

from hypothesis import HealthCheck, example, given, settings

from evals.errors import EmevalError
from evals.io.web.download import DownloadRetries, RemoteFile, download
from tests.support.servers.raw_server import RawServer
from tests.threats.test_malformed_replies import HEADERS, reply_bytes

ONCE = DownloadRetries(max_attempts=1)
MOVED = b"HTTP/1.1 301 Moved\r\nLocation: /else\r\nContent-Length: 0\r\n"
LIMIT = 1000


@example(reply=MOVED + HEADERS[0] + b"\r\n\r\n")
@example(reply=MOVED + HEADERS[1] + b"\r\n\r\n")
@example(reply=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n1000\r\n" + b"x" * 4096 + b"\r\n0\r\n\r\n")
@settings(max_examples=40, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(reply=reply_bytes())
def test_whatever_a_mirror_sends_is_one_line_or_a_small_file(reply: bytes, tmp_path: Path) -> None:
    part = tmp_path / "part"
    with RawServer(lambda _path: reply).start() as server:
        remote = RemoteFile("rows.jsonl", f"{server.url}/rows.jsonl", LIMIT, sha256="0" * 64)
        said = ""
        try:
            download(remote, part, lambda _done, _size: None, lambda _text: None, ONCE)
        except EmevalError as error:
            said = str(error)
    assert not said or said.isprintable()
    assert not part.exists() or part.stat().st_size <= LIMIT
    part.unlink(missing_ok=True)
