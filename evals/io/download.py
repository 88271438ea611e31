"""One file from a server or a folder into a part file: resumed, bounded, and with a token for one host only.

What arrives is hostile until its sha256 says otherwise: every redirect is judged here, sizes are enforced while bytes
arrive, and nothing but the part file is written. `evals.questions.official.fetch` checks the content and puts it in its
place.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Generator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import httpx2
from tenacity import RetryCallState, Retrying, retry_if_exception_type, stop_after_attempt
from tenacity.wait import wait_random_exponential

from evals import __version__
from evals.errors import BadInput, FetchStopped
from evals.io.retry_after import is_transient_status, retry_after_s
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

Arrived = Callable[[int, int | None], None]
"""Told how many bytes of the file are here, and how many it has where that is known."""


@dataclass(frozen=True, slots=True)
class Patience:
    """Attempts at one file, and the first and longest wait between two, in seconds."""

    max_attempts: int = 5
    first_wait_s: float = 0.5
    longest_wait_s: float = 60.0


@dataclass(frozen=True, slots=True)
class Access:
    """A token, and the only place that it may be sent to. `variable`, `terms`, `tokens`: what to say where it lacks."""

    variable: str
    terms: str
    tokens: str
    origin: str
    value: str | None = field(repr=False)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What to bring. `size` and `sha256` are None where unknown; `max_bytes` bounds it then."""

    what: str
    url: str
    max_bytes: int
    size: int | None = None
    sha256: str | None = None
    access: Access | None = None
    commit_header: str = ""


class _Passing(Exception):
    """One attempt failed in a way that may pass. `wait_s` is what the server asked for."""

    def __init__(self, reason: str, wait_s: float | None = None) -> None:
        super().__init__(reason)
        self.wait_s = wait_s


def origin(url: str) -> str:
    """Scheme, host and port of a URL."""
    parsed = httpx2.URL(url)
    return f"{parsed.scheme}://{parsed.host}:{parsed.port or {'https': 443, 'http': 80}.get(parsed.scheme)}"


def shown(url: httpx2.URL | str) -> str:
    """A URL for people: without a password, and without the query, where servers put signatures."""
    try:
        parsed = httpx2.URL(str(url))
    except (httpx2.InvalidURL, ValueError):
        return one_line(str(url), 60)
    return one_line(str(parsed.copy_with(query=None, fragment=None, username=None, password=None)), 200)


def download(
    wanted: Wanted, part: Path, arrived: Arrived, say: Callable[[str], None], patience: Patience
) -> str | None:
    """Bring `wanted` into `part`, continuing from what is already there. The commit that the server names, if it does.

    Raises BadInput for what a person has to change, and FetchStopped where trying again later may help; what arrived is
    then kept in `part`. After a full disk it is not.
    """
    growing = wait_random_exponential(multiplier=patience.first_wait_s, max=patience.longest_wait_s)

    def asked_s(state: RetryCallState) -> float | None:
        error = state.outcome.exception() if state.outcome else None
        return error.wait_s if isinstance(error, _Passing) else None

    def wait(state: RetryCallState) -> float:
        return max(growing(state), asked_s(state) or 0.0)

    def asks_too_much(state: RetryCallState) -> bool:
        return (asked_s(state) or 0.0) > patience.longest_wait_s

    def tell(state: RetryCallState) -> None:
        say(f"{wanted.what}: {state.outcome.exception() if state.outcome else ''}; trying again")

    retrying = Retrying(
        retry=retry_if_exception_type(_Passing),
        wait=wait,
        stop=lambda state: stop_after_attempt(patience.max_attempts)(state) or asks_too_much(state),
        before_sleep=tell,
        reraise=True,
    )
    headers = {"User-Agent": f"emeval/{__version__}", "Accept": "*/*", "Accept-Encoding": "identity"}
    try:
        with httpx2.Client(follow_redirects=False, timeout=_TIMEOUT, headers=headers) as client:
            return retrying(_attempt, client, wanted, part, arrived)
    except _Passing as error:
        kept = "it can be tried again later, or fetched --from a copy"
        if part.exists():
            kept = f"{part.stat().st_size:,} bytes are kept, and the same command goes on from there"
        raise FetchStopped(f"{wanted.what}: {error}; {kept}") from None


def copy(wanted: Wanted, path: Path, part: Path, arrived: Arrived) -> None:
    """Copy `wanted` from a folder into `part`. Raises BadInput, or FetchStopped on a full disk."""
    if not path.is_file():
        raise BadInput(f"{wanted.what}: there is no file {path}")
    total = path.stat().st_size
    with _reading(wanted, path) as source:
        _check_announced(wanted, str(path), total, lambda: source.read(_SMALL))
        with _PartFile(wanted, part, 0) as file:
            while chunk := source.read(_CHUNK):
                arrived(file.write(chunk), total)


# One attempt


def _attempt(client: httpx2.Client, wanted: Wanted, part: Path, arrived: Arrived) -> str | None:
    offset, validator = _resumable(wanted, part)
    headers: dict[str, str] = {}
    if offset:
        headers["Range"] = f"bytes={offset}-"
        if validator:
            headers["If-Range"] = validator
    commits: list[str] = []
    try:
        with _followed(client, wanted, headers, commits) as response:
            offset = _judge_answer(wanted, response, part, offset)
            _take(wanted, response, part, offset, arrived)
    except httpx2.TransportError as error:
        raise _Passing(f"{shown(wanted.url)}: {_reason(error)}") from None
    return commits[0] if commits else None


def _resumable(wanted: Wanted, part: Path) -> tuple[int, str | None]:
    """How much of the file can be gone on from, and the validator under which it was sent.

    Without a sha256 to catch a mixture of two versions, only under a strong validator of the same address.
    """
    try:
        size = part.stat().st_size
    except OSError:
        return 0, None
    validator = None
    try:
        note = json.loads(_note(part).read_text(encoding="utf-8"))
        if note["url"] == shown(wanted.url):
            validator = str(note["etag"]) or None
    except (OSError, ValueError, KeyError, TypeError):
        pass
    if wanted.size is not None and size >= wanted.size:
        return 0, None
    return (size, validator) if size and (wanted.sha256 or validator) else (0, None)


def _note(part: Path) -> Path:
    return part.with_name(f"{part.name}.from")


def forget(part: Path) -> None:
    """Remove a part file and what is noted of it."""
    part.unlink(missing_ok=True)
    _note(part).unlink(missing_ok=True)


@contextmanager
def _followed(
    client: httpx2.Client, wanted: Wanted, headers: dict[str, str], commits: list[str]
) -> Generator[httpx2.Response]:
    """The answer at the end of the redirects. `commits` gets what the origin names as the commit."""
    url = first = _first_url(wanted)
    home = origin(wanted.url)
    for _ in range(_MAX_REDIRECTS + 1):
        sent = dict(headers)
        access = wanted.access
        if access is not None and access.value and origin(str(url)) == access.origin and _is_private(url):
            sent["Authorization"] = f"Bearer {access.value}"
        with client.stream("GET", url, headers=sent) as response:
            named = response.headers.get(wanted.commit_header, "") if wanted.commit_header else ""
            if origin(str(url)) == home and _COMMIT.fullmatch(named):
                commits.append(named)
            if response.status_code not in _REDIRECTS:
                yield response
                return
            url = _next_url(wanted, first, url, response.headers.get("Location", ""))
    raise BadInput(f"{wanted.what}: {shown(wanted.url)} redirects more than {_MAX_REDIRECTS} times")


def _is_private(url: httpx2.URL) -> bool:
    return url.scheme == "https" or url.host in _LOOPBACK


def _first_url(wanted: Wanted) -> httpx2.URL:
    try:
        url = httpx2.URL(wanted.url)
    except (httpx2.InvalidURL, ValueError) as error:
        raise BadInput(f"{wanted.what}: {one_line(wanted.url, 80)} is no URL: {one_line(str(error), 80)}") from None
    if url.scheme not in ("https", "http") or not url.host:
        raise BadInput(f"{wanted.what}: {shown(url)} is no http or https URL")
    return url


def _next_url(wanted: Wanted, first: httpx2.URL, url: httpx2.URL, location: str) -> httpx2.URL:
    try:
        target = url.join(location)
    except (httpx2.InvalidURL, ValueError):
        target = httpx2.URL("")
    # Without encryption only to where a person pointed, or to this machine.
    plain = target.scheme == "http" and first.scheme == "http" and target.host in (first.host, *_LOOPBACK)
    if target.host and (plain or target.scheme == "https"):
        return target
    to = shown(location) or "nowhere"
    raise BadInput(f"{wanted.what}: {shown(url)} redirects to {to}, which is not followed: only https is")


def _judge_answer(wanted: Wanted, response: httpx2.Response, part: Path, offset: int) -> int:
    """From where the body goes on: `offset`, or 0 for a whole file."""
    status = response.status_code
    where = shown(response.url)
    if status in (401, 403):
        raise BadInput(_denied(wanted, where, status))
    if status in (404, 410):
        raise BadInput(f"{wanted.what}: {where} answers {status}: it is not there")
    if status == 416 and offset:
        forget(part)
        raise _Passing(f"{where} has nothing after byte {offset}; started again")
    if is_transient_status(status):
        raise _Passing(f"{where} answers {status}", retry_after_s(response.headers))
    if status not in (200, 206):
        raise BadInput(f"{wanted.what}: {where} answers {status}")
    if response.headers.get("Content-Encoding", "identity") != "identity":
        raise BadInput(f"{wanted.what}: {where} sends it compressed, though asked for the file as it is")
    if status == 206:
        span = _CONTENT_RANGE.fullmatch(response.headers.get("Content-Range", ""))
        if span is None or int(span[1]) != offset or not offset:
            forget(part)
            raise _Passing(f"{where} sends another piece than asked for; started again")
        return offset
    return 0


def _take(wanted: Wanted, response: httpx2.Response, part: Path, offset: int, arrived: Arrived) -> None:
    where = shown(response.url)
    announced = response.headers.get("Content-Length", "")
    total = offset + int(announced) if announced.isascii() and announced.isdigit() and len(announced) < 16 else None
    if total is not None:
        _check_announced(wanted, where, total, lambda: b"".join(response.iter_raw()))
    elif wanted.sha256 is None and response.headers.get("Transfer-Encoding", "").lower() != "chunked":
        raise BadInput(
            f"{wanted.what}: {where} does not say how long it is, so nobody could tell a piece from the whole"
        )
    with _PartFile(wanted, part, offset) as file:
        file.note(response.headers.get("ETag", ""))
        for chunk in response.iter_raw():
            arrived(file.write(chunk), total or wanted.size)


def _check_announced(wanted: Wanted, where: str, total: int, small_body: Callable[[], bytes]) -> None:
    """Raises BadInput where the length alone says that it is not the file."""
    if wanted.size is not None and total != wanted.size:
        if total <= _SMALL and small_body().startswith(LFS_POINTER):
            raise BadInput(pointer(wanted.what, where))
        raise BadInput(
            f"{wanted.what}: {where} has {total:,} bytes where the file has {wanted.size:,}; not the original"
        )
    if total > (wanted.size or wanted.max_bytes):
        raise BadInput(_too_long(wanted, where))


def pointer(what: str, where: str) -> str:
    return (
        f"{what}: {where} is a git-lfs pointer, not the data: the mirror is a checkout without its git-lfs objects "
        "(run `git lfs pull` there)"
    )


def _too_long(wanted: Wanted, where: str) -> str:
    return f"{wanted.what}: {where} is longer than the {wanted.size or wanted.max_bytes:,} bytes that are taken at most"


def _denied(wanted: Wanted, where: str, status: int) -> str:
    access = wanted.access
    if access is None:
        return f"{wanted.what}: {where} answers {status}: it may not be read, or the repository is over its quota"
    if origin(wanted.url) != access.origin:
        return f"{wanted.what}: {where} answers {status}; no token is sent to a mirror"
    terms = f"accept the terms at {access.terms}"
    if access.value:
        return f"{wanted.what}: {where} answers {status} to the token in {access.variable}: {terms} with its account"
    return (
        f"{wanted.what}: {where} answers {status}: it needs a token; {terms}, make a token at {access.tokens}, "
        f"and set {access.variable} to it"
    )


def _reason(error: httpx2.TransportError) -> str:
    if isinstance(error, httpx2.TimeoutException):
        return "no answer in time"
    return one_line(str(error), 120) or type(error).__name__


# Writing


@contextmanager
def _reading(wanted: Wanted, path: Path) -> Generator[BinaryIO]:
    try:
        with path.open("rb") as file:
            yield file
    except OSError as error:
        raise BadInput(f"{wanted.what}: {path} cannot be read: {error.strerror}") from None


class _PartFile:
    """The part file, open from `offset` on. Too much, or a disk that takes no more, leaves no part behind."""

    def __init__(self, wanted: Wanted, path: Path, offset: int) -> None:
        self._wanted, self._path = wanted, path
        self._limit = wanted.size or wanted.max_bytes
        self._length = offset
        with self._disk():
            self._file = path.open("r+b" if offset else "wb", buffering=0)
            self._file.seek(offset)
            self._file.truncate()

    def write(self, chunk: bytes) -> int:
        """Append `chunk`; the length of the whole."""
        if self._length + len(chunk) > self._limit:
            self._file.close()
            forget(self._path)
            raise BadInput(_too_long(self._wanted, shown(self._wanted.url)))
        with self._disk():
            left = memoryview(chunk)
            while left:  # unbuffered, a nearly full disk takes a piece and says so only the next time
                left = left[self._file.write(left) :]
        self._length += len(chunk)
        return self._length

    def note(self, etag: str) -> None:
        """Note the address and the strong validator that what follows was sent under."""
        with self._disk():
            note = {"url": shown(self._wanted.url), "etag": "" if etag.startswith("W/") else etag}
            _note(self._path).write_text(json.dumps(note), encoding="utf-8")

    @contextmanager
    def _disk(self) -> Generator[None]:
        try:
            yield
        except OSError as error:
            forget(self._path)
            where = f"{self._path.parent} takes no more: {error.strerror}"
            raise FetchStopped(f"{self._wanted.what}: {where}; nothing of it is kept") from None

    def __enter__(self) -> _PartFile:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.close()
