"""URLs that people give: which server each stands for, what must not stand in them, and how they are shown."""

from __future__ import annotations

from typing import NamedTuple
from urllib.parse import urlsplit

_PORTS = {"http": 80, "https": 443}


class Origin(NamedTuple):
    """The server that a URL stands for. Two URLs with the same beginning may have different ones."""

    scheme: str
    host: str
    port: int


def origin(url: str) -> Origin | None:
    """The server of an http(s) URL, None for any other text."""
    try:
        parts = urlsplit(url.strip())
        scheme, host, port = parts.scheme.lower(), parts.hostname, parts.port
    except ValueError:  # half an IPv6 address, a port that is no number
        return None
    if scheme not in _PORTS or not host or port == 0:
        return None
    return Origin(scheme, host.rstrip("."), port or _PORTS[scheme])


def url_problem(url: str) -> str | None:
    """What is wrong with a URL that will stand in files and messages, None for nothing. It does not quote the URL: a
    user name, a password or a query may be a secret."""
    if "@" in url:
        return "holds a user name or password; put the key into the environment"
    if "?" in url or "#" in url:
        return "holds a query or a fragment (? or #), which would stand in the run's files; leave it out"
    return None if origin(url) is not None else "is not an http(s) URL"


def stripped_url(url: str) -> str:
    """A URL as it may stand in a file or a message: without user name, password, query and fragment."""
    found = origin(url)
    if found is None:
        return "[no http(s) URL]"
    host = f"[{found.host}]" if ":" in found.host else found.host
    port = "" if found.port == _PORTS[found.scheme] else f":{found.port}"
    return f"{found.scheme}://{host}{port}{urlsplit(url.strip()).path}"


def stripped_urls(urls: str) -> str:
    """The same for several URLs with commas between."""
    return ",".join(map(stripped_url, urls.split(",")))
