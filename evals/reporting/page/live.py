"""The report of a run that is at work, for the browser of this machine: written anew as the run goes on.

It listens on the loopback interface alone. Every address begins with a random token, and a request must name the server
as this machine does, so that neither other users' programs nor pages of other sites get an answer.
"""

from __future__ import annotations

import secrets
import sys
import threading
import time
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import cast

from evals.errors import BadInput, EmevalError
from evals.plan.manifest import FILE_NAME as MANIFEST_NAME
from evals.plan.recorded.listing import found_run
from evals.reporting.page.writer import write_report
from evals.runner.count import read_several
from evals.text import one_line
from evals.trials.journal import FILE_NAME as JOURNAL_NAME

_PAGE = "report.html"
_SHARE = 4.0
"""A page is made again after so many times what it took at the earliest: a large run must not pay for its page."""
_TYPES = {".html": "text/html; charset=utf-8", ".js": "text/javascript; charset=utf-8"}


class LivePage:
    """The report of a run in a folder `scratch`, made again when the run has changed, every `every_s` at most."""

    def __init__(self, run: Path, scratch: Path, every_s: float, base: str | None = None) -> None:
        self.every_s = every_s
        self._run, self._scratch, self._base = run, scratch, base
        self._made_of: object = None
        self._due = 0.0
        self._making = threading.Lock()

    def is_complete(self) -> bool:
        """Whether the run is: one that was stopped may be resumed."""
        return found_run(self._run).state == "complete"

    def update(self) -> None:
        """Make the page if the run has changed since, and it is time. Raises EmevalError where it cannot be made."""
        with self._making:
            seen = self._seen()
            if seen == self._made_of or (self._made_of is not None and time.monotonic() < self._due):
                return
            begun = time.monotonic()
            write_report(read_several([self._run], self._base), self._scratch / _PAGE)
            self._made_of = seen
            ended = time.monotonic()
            self._due = ended + max(self.every_s, _SHARE * (ended - begun))

    def file(self, name: str) -> bytes | None:
        """A file of the page by its name, "" for the page itself; None for what is no file of it."""
        with self._making:
            known = {str(path.relative_to(self._scratch)): path for path in self._scratch.rglob("*") if path.is_file()}
            path = known.get(name or _PAGE)
            return path.read_bytes() if path is not None and path.suffix in _TYPES else None

    def _seen(self) -> object:
        names = (MANIFEST_NAME, JOURNAL_NAME, f"{JOURNAL_NAME}-wal")
        return [_state(self._run / name) for name in names]


def _state(path: Path) -> tuple[int, int] | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_mtime_ns, found.st_size


class LiveServer(ThreadingHTTPServer):
    """Serves a LivePage at `url`. Raises BadInput where the port is taken."""

    daemon_threads = True

    def __init__(self, page: LivePage, port: int = 0) -> None:
        self.page = page
        self.token = secrets.token_urlsafe(24)
        try:
            super().__init__(("127.0.0.1", port), _Handler)
        except OSError as error:
            raise BadInput(f"--port {port}: {error.strerror}; leave it out for a free one") from None

    def handle_error(self, request: object, client_address: object) -> None:
        """A browser that has gone away is not an error."""
        if not isinstance(sys.exception(), ConnectionError | TimeoutError):
            super().handle_error(request, client_address)  # pyright: ignore[reportArgumentType]

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}/{self.token}/"


class _Handler(BaseHTTPRequestHandler):
    timeout = 30.0
    server_version, sys_version = "emeval", ""

    @property
    def _server(self) -> LiveServer:
        return cast("LiveServer", self.server)

    def do_GET(self) -> None:
        server = self._server
        token, _, name = self.path.split("?")[0].removeprefix("/").partition("/")
        hosts = {f"{host}:{server.server_port}" for host in ("127.0.0.1", "localhost")}
        is_ours = secrets.compare_digest(token.encode("utf-8", "surrogateescape"), server.token.encode())
        if self.headers.get("Host") not in hosts or not is_ours or "/" not in self.path[1:]:
            self._answer(HTTPStatus.NOT_FOUND, b"There is nothing here.\n")
            return
        page = server.page
        try:
            if not name:
                page.update()
            body = page.file(name)
            again = not name and not page.is_complete()
        except EmevalError as error:
            self._answer(HTTPStatus.SERVICE_UNAVAILABLE, f"{one_line(str(error))}\n".encode(), again=True)
            return
        if body is None:
            self._answer(HTTPStatus.NOT_FOUND, b"There is nothing here.\n")
        else:
            kind = _TYPES[Path(name or _PAGE).suffix]
            self._answer(HTTPStatus.OK, body, kind, again=again)

    def _answer(
        self, status: HTTPStatus, body: bytes, kind: str = "text/plain; charset=utf-8", *, again: bool = False
    ) -> None:
        """`again`: the browser asks for the page again by itself."""
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Cache-Control", "no-store")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("X-Content-Type-Options", "nosniff")
        if again:
            self.send_header("Refresh", f"{self._server.page.every_s:.0f}")
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, format: str, *args: object) -> None:
        """Requests are not worth a line."""
