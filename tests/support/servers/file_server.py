"""A real HTTP server on loopback that hands out a few files, as well or as badly as a test wants it to."""

from __future__ import annotations

import contextlib
import re
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


class _Server(ThreadingHTTPServer):
    def handle_error(self, request: Any, client_address: Any) -> None:
        """Say nothing: clients that go away in mid-reply are a part of the tests."""


@dataclass
class Reply:
    """How one request is answered. The body is a file's unless `body` is set; `cut`: the line drops after so
    many bytes; `stall`: nothing more comes until it is set."""

    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes | None = None
    cut: int | None = None
    ranges: bool = True
    length: bool = True
    before: Callable[[], object] | None = None
    stall: threading.Event | None = None


@dataclass
class FileServer:
    """`files` by path; `script` holds replies for a path, used up one by one; `requests` is what was asked."""

    files: dict[str, bytes] = field(default_factory=dict)
    etags: dict[str, str] = field(default_factory=dict)
    script: dict[str, list[Reply]] = field(default_factory=dict)
    requests: list[tuple[str, dict[str, str]]] = field(default_factory=list)
    port: int = 0

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.port}"

    def asked(self, path: str) -> list[dict[str, str]]:
        """The headers of the requests for a path, names in small letters."""
        return [headers for asked, headers in self.requests if asked == path]


@contextmanager
def serving(server: FileServer) -> Iterator[FileServer]:
    lock = threading.Lock()

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def log_message(self, *_: Any) -> None:
            pass

        def do_GET(self) -> None:
            path = self.path
            with lock:
                server.requests.append((path, {name.lower(): value for name, value in self.headers.items()}))
                scripted = server.script.get(path)
                reply = scripted.pop(0) if scripted else Reply()
            if reply.before:
                reply.before()
            body = server.files.get(path) if reply.body is None else reply.body
            if body is None and reply.status == 200:
                reply = Reply(status=404, body=b"not here")
                body = b"not here"
            body = body or b""
            etag = server.etags.get(path)
            status, headers = reply.status, dict(reply.headers)
            asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
            same = self.headers.get("If-Range") in (None, etag)
            if asked and reply.ranges and same and status == 200:
                start = int(asked[1])
                if start >= len(body):
                    status, body = 416, b""
                else:
                    headers["Content-Range"] = f"bytes {start}-{len(body) - 1}/{len(body)}"
                    status, body = 206, body[start:]
            self.send_response(status)
            if etag:
                headers.setdefault("ETag", etag)
            if reply.length:
                headers.setdefault("Content-Length", str(len(body)))
            else:
                self.close_connection = True
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            with contextlib.suppress(OSError):
                self.wfile.write(body if reply.cut is None else body[: reply.cut])
                self.wfile.flush()
            if reply.stall:
                reply.stall.wait(120)
            if reply.cut is not None or reply.stall:
                self.close_connection = True

    http = _Server(("127.0.0.1", 0), Handler)
    http.daemon_threads = True
    server.port = http.server_address[1]
    thread = threading.Thread(target=http.serve_forever, kwargs={"poll_interval": 0.01}, daemon=True)
    thread.start()
    try:
        yield server
    finally:
        http.shutdown()
        http.server_close()
        thread.join()
