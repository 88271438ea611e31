"""Download or copy one file into a part file: resumable, bounded in size, with a token for one host only.

Content is untrusted until its sha256 is checked: every redirect is checked here, sizes are enforced while bytes arrive,
and only the part file is written. `evals.questions.official.fetch` checks the content and moves it to its place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.cookiejar import CookieJar, DefaultCookiePolicy
from pathlib import Path
from typing import BinaryIO

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from evals import __version__
from evals.errors import BadInput, FetchStopped
from evals.io.web.refusals import LfsPointer, NotAllowed, NotThere
from evals.io.web.retry_after import is_transient_status, retry_after_s
from evals.text import one_line

LFS_POINTER = b"version https://git-lfs.github.com/spec/"
_SMALL = 1024
_MAX_REDIRECTS = 8
_TIMEOUT = httpx2.Timeout(60.0, connect=20.0)
_REDIRECTS = frozenset({301, 302, 303, 307, 308})
_LOOPBACK = frozenset({"localhost", "127.0.0.1", "::1"})
_CONTENT_RANGE = re.compile(r"bytes (\d+)-(\d+)/(\d+|\*)")
_COMMIT = re.compile(r"[0-9a-f]{40}")
_CHUNK = 1 << 20

OnBytes = Callable[[int, int | None], None]
"""A progress callback: the bytes of the file received so far, and its size if known."""


@dataclass(frozen=True, slots=True)
class DownloadRetries:
    """Attempts per file, and the first and longest wait between two, in seconds."""

    max_attempts: int = 5
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Access:
    """A token, and the only origin it may be sent to. `variable`, `terms` and `tokens` are for errors without it."""

    variable: str
    terms: str
    tokens: str
    origin: str
    value: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class RemoteFile:
    """A file to download. `size` and `sha256` are None if unknown; `max_bytes` then limits the size."""

    what: str
    url: str
    max_bytes: int
    size: int | None = None
    sha256: str | None = None
    access: Access | None = None
    commit_header: str = ""


class _TransientFailure(Exception):
    """An attempt failed, and a retry may succeed. `wait_s` is the wait the server asked for."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def origin(url: str) -> str:
    """Scheme, host and port of a URL."""
    parsed = httpx2.URL(url)
    return f"{parsed.scheme}://{parsed.host}:{parsed.port or {'https': 443, 'http': 80}.get(parsed.scheme)}"


def shown_url(url: httpx2.URL | str) -> str:
    """A URL to print: without password, and without the query, which may contain signatures."""
    try:
        parsed = httpx2.URL(str(url))
    except (httpx2.InvalidURL, ValueError):
        return "[an invalid URL]"
    return one_line(str(parsed.copy_with(query=None, fragment=None, username=None, password=None)), 200)


def download(
    remote: RemoteFile, part: Path, on_bytes: OnBytes, say: Callable[[str], None], retries: DownloadRetries
) -> str | None:
    """Download `remote` into `part`, resuming from what is there, and return the commit that the server names, if any.

    Raises BadInput for errors that a retry cannot fix, and FetchStopped if trying again later may help; received bytes
    are then kept in `part`, except after a full disk.
    """
    backoff = wait_random_exponential(multiplier=retries.first_wait_s, max=retries.longest_wait_s)

    def server_wait_s(state: RetryCallState) -> float | None:
        error = state.outcome.exception() if state.outcome else None
        return error.wait_s if isinstance(error, _TransientFailure) else None

    def wait(state: RetryCallState) -> float:
        return max(backoff(state), server_wait_s(state) or 0.0)

    def waits_too_long(state: RetryCallState) -> bool:
        return (server_wait_s(state) or 0.0) > retries.longest_wait_s

    def announce_retry(state: RetryCallState) -> None:
        say(f"{remote.what}: {state.outcome.exception() if state.outcome else ''}; trying again")

    retrying = Retrying(
        retry=retry_if_exception_type(_TransientFailure),
        wait=wait,
        stop=lambda state: stop_after_attempt(retries.max_attempts)(state) or waits_too_long(state),
        before_sleep=announce_retry,
        reraise=True,
    )
    headers = {"User-Agent": f"emeval/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
    try:
        no_cookies = CookieJar(DefaultCookiePolicy(allowed_domains=[]))  # neither kept nor sent, however malformed
        with httpx2.Client(timeout=_TIMEOUT, headers=headers, cookies=no_cookies) as client:
            return retrying(_attempt, client, remote, part, on_bytes)
    except _TransientFailure as error:
        hint = "it can be tried again later, or fetched --from a copy"
        if part.exists():
            hint = f"{part.stat().st_size:,} bytes are kept, and the same command goes on from there"
        raise FetchStopped(f"{remote.what}: {error}; {hint}") from None


def copy(remote: RemoteFile, path: Path, part: Path, on_bytes: OnBytes) -> None:
    """Copy `remote` from a folder into `part`. Raises BadInput, or FetchStopped on a full disk."""
    if not path.is_file():
        raise BadInput(f"{remote.what}: there is no file {path}")
    total = path.stat().st_size
    with _reading(remote, path) as source:
        _check_announced(remote, str(path), total, lambda: source.read(_SMALL))
        with _PartFile(remote, part, 0) as file:
            while chunk := source.read(_CHUNK):
                on_bytes(file.write(chunk), total)


# One attempt


def _attempt(client: httpx2.Client, remote: RemoteFile, part: Path, on_bytes: OnBytes) -> str | None:
    offset, validator = _resumable(remote, part)
    headers: dict[str, str] = {}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator:
            headers["If-Range"] = validator
    commits: list[str] = []
    try:
        with _follow_redirects(client, remote, headers, commits) as response:
            offset = _body_offset(remote, response, part, offset)
            _receive(remote, response, part, offset, on_bytes)
    except httpx2.TransportError as error:
        raise _TransientFailure(f"{shown_url(remote.url)}: {_reason(error)}") from None
    return commits[0] if commits else None


def _resumable(remote: RemoteFile, part: Path) -> tuple[int, str | None]:
    """The bytes from which the download can resume, and the validator they were sent with.

    Without a sha256 to detect a mix of two versions, resuming needs a strong validator of the same URL.
    """
    try:
        size = part.stat().st_size
    except OSError:
        return 0, None
    validator = None
    try:
        note = json.loads(_note(part).read_text(encoding="utf-8"))
        if note["url"] == shown_url(remote.url):
            validator = str(note["etag"]) or None
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if remote.size is not None and size >= remote.size:
        return 0, None
    return (size, validator) if size and (remote.sha256 or validator) else (0, None)


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.from")


def remove_part(part: Path) -> None:
    """Remove a part file and its note."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


@contextmanager
def _follow_redirects(
    client: httpx2.Client, remote: RemoteFile, headers: dict[str, str], commits: list[str]
) -> Generator[httpx2.Response]:
    """The response at the end of the redirects. The commit that the origin names is added to `commits`."""
    url = first = _first_url(remote)
    home = origin(remote.url)
    for _ in range(_MAX_REDIRECTS + 1):
        sent = dict(headers)
        access = remote.access
        if access is not None and access.value and origin(str(url)) == access.origin and _is_private(url):
            sent["Authorization"] = f"Bearer {access.value}"
        with client.stream("GET", url, headers=sent) as response:
            named = response.headers.get(remote.commit_header, "") if remote.commit_header else ""
            if origin(str(url)) == home and _COMMIT.fullmatch(named):
                commits.append(named)
            if response.status_code not in _REDIRECTS:
                yield response
                return
            url = _next_url(remote, first, url, response.headers.get("Location", ""))
    raise BadInput(f"{remote.what}: {shown_url(remote.url)} redirects more than {_MAX_REDIRECTS} times")


def _is_private(url: httpx2.URL) -> bool:
    return url.scheme == "https" or url.host in _LOOPBACK


def _first_url(remote: RemoteFile) -> httpx2.URL:
    try:
        url = httpx2.URL(remote.url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise BadInput(f"{remote.what}: {shown_url(remote.url)}: {type(error).__name__}") from None
    if url.scheme not in ("https", "http") or not url.host:
        raise BadInput(f"{remote.what}: {shown_url(url)} is no http or https URL")
    return url


def _next_url(remote: RemoteFile, first: httpx2.URL, url: httpx2.URL, location: str) -> httpx2.URL:
    try:
        target = url.join(location)
    except (httpx2.InvalidURL, ValueError):
        target = httpx2.URL("")
    # Plain http only to the host in the given URL, or to this machine.
    plain = target.scheme == "http" and first.scheme == "http" and target.host in (first.host, *_LOOPBACK)
    if target.host and (plain or target.scheme == "https"):
        return target
    to = shown_url(location) or "nowhere"
    raise BadInput(f"{remote.what}: {shown_url(url)} redirects to {to}, which is not followed: only https is")


def _body_offset(remote: RemoteFile, response: httpx2.Response, part: Path, offset: int) -> int:
    """The offset at which the body begins: `offset`, or 0 for a whole file."""
    status = response.status_code
    where = shown_url(response.url)
    if status in (401, 403):
        raise NotAllowed(_access_error(remote, where, status))
    if status in (404, 410):
        raise NotThere(f"{remote.what}: {where} answers {status}: it is not there")
    if status == 416 and offset:
        remove_part(part)
        raise _TransientFailure(f"{where} has nothing after byte {offset}; started again")
    if is_transient_status(status):
        raise _TransientFailure(f"{where} answers {status}", retry_after_s(response.headers))
    if status not in (200, 206):
        raise BadInput(f"{remote.what}: {where} answers {status}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise BadInput(f"{remote.what}: {where} sends it compressed, though asked for the file as it is")
    if status == 206:
        span = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != offset or not offset:
            remove_part(part)
            raise _TransientFailure(f"{where} sends another piece than asked for; started again")
        return offset
    return 0


def _receive(remote: RemoteFile, response: httpx2.Response, part: Path, offset: int, on_bytes: OnBytes) -> None:
    where = shown_url(response.url)
    announced = response.headers.get("Content-Length", "")
    total = offset + int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 16 else None
    if total is not None:
        _check_announced(remote, where, total, lambda: b"".join(response.iter_raw()))
    elif remote.sha256 is None and response.headers.get("Transfer-Encoding", "").lower() != "chunked":
        raise BadInput(
            f"{remote.what}: {where} does not say how long it is, so nobody could tell a piece from the whole"
        )
    with _PartFile(remote, part, offset) as file:
        file.note(response.headers.get("ETag", ""))
        for chunk in response.iter_raw():
            on_bytes(file.write(chunk), total or remote.size)


def _check_announced(remote: RemoteFile, where: str, total: int, small_body: Callable[[], bytes]) -> None:
    """Raise BadInput if the length alone shows that it is not the file."""
    if remote.size is not None and total != remote.size:
        if total <= _SMALL and small_body().startswith(LFS_POINTER):
            raise LfsPointer(pointer(remote.what, where))
        raise BadInput(
            f"{remote.what}: {where} has {total:,} bytes where the file has {remote.size:,}; not the original"
        )
    if total > (remote.size or remote.max_bytes):
        raise BadInput(_too_long(remote, where))


def pointer(what: str, where: str) -> str:
    return (
        f"{what}: {where} is a git-lfs pointer, not the data: the mirror is a checkout without its git-lfs objects "
        "(run `git lfs pull` there)"
    )


def _too_long(remote: RemoteFile, where: str) -> str:
    return f"{remote.what}: {where} is longer than the {remote.size or remote.max_bytes:,} bytes that are taken at most"


def _access_error(remote: RemoteFile, where: str, status: int) -> str:
    access = remote.access
    if access is None:
        return f"{remote.what}: {where} answers {status}: it may not be read, or the repository is over its quota"
    if origin(remote.url) != access.origin:
        return f"{remote.what}: {where} answers {status}; no token is sent to a mirror"
    terms = f"accept the terms at {access.terms}"
    if access.value:
        return f"{remote.what}: {where} answers {status} to the token in {access.variable}: {terms} with its account"
    return (
        f"{remote.what}: {where} answers {status}: it needs a token; {terms}, make a token at {access.tokens}, "
        f"and set {access.variable} to it"
    )


def _reason(error: httpx2.TransportError) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    return one_line(str(error), 120) or type(error).__name__


# Writing


@contextmanager
def _reading(remote: RemoteFile, path: Path) -> Generator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise BadInput(f"{remote.what}: {path} cannot be read: {error.strerror}") from None


class _PartFile:
    """The part file, open at `offset`. It is removed if it grows too long or the disk is full."""

    def __init__(self, remote: RemoteFile, path: Path, offset: int) -> None:
        self._remote, self._path = remote, path
        self._limit = remote.size or remote.max_bytes
        self._length = offset
        with self._disk():
            self._file = path.open("r+b" if offset else "wb", buffering=0)
            self._file.seek(offset)
            self._file.truncate()

    def write(self, chunk: bytes) -> int:
        """Append `chunk` and return the total length."""
        if self._length + len(chunk) > self._limit:
            self._file.close()
            remove_part(self._path)
            raise BadInput(_too_long(self._remote, shown_url(self._remote.url)))
        with self._disk():
            left = memoryview(chunk)
            while left:  # unbuffered: a nearly full disk takes a part and fails at the next write
                left = left[self._file.write(left) :]
        self._length += len(chunk)
        return self._length

    def note(self, etag: str) -> None:
        """Record the URL and the strong validator of the bytes that follow."""
        with self._disk():
            note = {"url": shown_url(self._remote.url), "etag": "" if etag.startswith("W/") else etag}
            _note(self._path).write_text(json.dumps(note), encoding="utf-8")

    @contextmanager
    def _disk(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            remove_part(self._path)
            where = f"{self._path.parent} takes no more: {error.strerror}"
            raise FetchStopped(f"{self._remote.what}: {where}; nothing of it is kept") from None

    def __enter__(self) -> _PartFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
