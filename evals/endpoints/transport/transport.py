"""The seam between emeval and HTTP: everything that is sent to a model's or judge's server passes a Transport.

TransportError           one request got no text of a success
├── StatusError          a reply with another status, and the first part of its body
│   └── Redirected       3xx: not followed, because the key and the prompts would go to an address nobody gave
├── ConnectionFailed     no reply, or one that is not well-formed HTTP
├── TimedOut             no complete reply in time
└── TooLarge             a reply above the limits

Messages may repeat what a server said, and so a key that it echoes: `Server.clean` them before they are shown.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Literal, Protocol, TypeAlias
from urllib.parse import urljoin, urlsplit, urlunsplit

TransportName: TypeAlias = Literal["aiohttp", "openai"]

MEGABYTE = 1_000_000
DEFAULT_MAX_REPLY_MB = 32.0
MAX_ERROR_BODY = 64_000
"""Bytes that are read of the body of an error."""

CONNECT_TIMEOUT_S = 10.0
UNBOUNDED = math.inf


class TransportError(Exception):
    pass


class StatusError(TransportError):
    """`headers` have lower-case names; `body` is the first part of the body, decoded."""

    def __init__(self, status: int, headers: Mapping[str, str], body: str) -> None:
        super().__init__(f"status {status}")
        self.status = status
        self.headers = headers
        self.body = body


class Redirected(StatusError):
    """`advice` says where to, and what to do."""

    def __init__(self, status: int, headers: Mapping[str, str], url: str) -> None:
        super().__init__(status, headers, "")
        self.advice = redirect_advice(url, headers.get("location", ""))


class ConnectionFailed(TransportError):
    """`refused`: not even a connection was made."""

    def __init__(self, reason: str, *, refused: bool = False) -> None:
        super().__init__(reason)
        self.refused = refused


class TimedOut(TransportError):
    pass


class TooLarge(TransportError):
    """`limit` is the one that the reply is above, in words."""

    def __init__(self, limit: str) -> None:
        super().__init__(f"the reply is larger than {limit}")


@dataclass(frozen=True, slots=True)
class TransportSettings:
    """How one server is reached. `headers` go with each request; `max_bytes` bounds the decoded body of a reply."""

    base_url: str
    headers: Mapping[str, str] = field(repr=False)
    timeout_s: float
    max_bytes: int = int(DEFAULT_MAX_REPLY_MB * MEGABYTE)

    @property
    def connect_s(self) -> float:
        return min(CONNECT_TIMEOUT_S, self.timeout_s)


class Transport(Protocol):
    """Sends to one server. Each method raises a TransportError, and nothing else, for whatever a server does."""

    async def post(self, url: str, body: bytes, timeout_s: float | None = None) -> str:
        """The text of the 2xx that answers a JSON body. `timeout_s` bounds each read in place of the settings' one;
        UNBOUNDED is for a caller that bounds the whole."""
        ...

    async def get(self, url: str) -> str:
        """The text of a 2xx."""
        ...

    async def close(self) -> None: ...


def is_success(status: int) -> bool:
    return 200 <= status < 300


def error_of(status: int, headers: Mapping[str, str], body: str, url: str) -> StatusError:
    """The error for a reply to `url` that is no success."""
    return Redirected(status, headers, url) if 300 <= status < 400 else StatusError(status, headers, body)


def too_large(max_bytes: int) -> TooLarge:
    return TooLarge(f"{max_bytes / MEGABYTE:g} MB (--max-reply-mb)")


def redirect_advice(url: str, location: str) -> str:
    """What a redirect of `url` to `location` says to people: the target without user, query and fragment."""
    try:
        target = urlsplit(urljoin(url, location.strip())) if location.strip() else None
        host = "" if target is None else target.netloc.rpartition("@")[2]
        path = urlsplit(url).path
    except ValueError:
        return "it redirects to an address that cannot be read; no redirect is followed"
    if target is None or not host:
        return "it redirects and names no address; no redirect is followed"
    shown = urlunsplit((target.scheme, host, target.path, "", ""))
    if target.scheme not in ("http", "https"):
        return f"it redirects to {shown}; no redirect is followed"
    route = next((route for route in _ROUTES if path.endswith(route) and target.path.endswith(route)), "")
    new_base = urlunsplit((target.scheme, host, target.path.removesuffix(route), "", ""))
    return f"it redirects to {shown}; no redirect is followed: if that is right, give {new_base} as --base-url"


_ROUTES = ("/chat/completions", "/completions", "/models")


def root_cause(error: BaseException) -> str:
    """The words of the first error in a chain of causes."""
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__
