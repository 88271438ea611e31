"""A file of servers' URLs, one a line, that is read again while a run goes on: jobs that start and end keep it.

What is found in the middle of a run counts once two looks in a row have found the same, so that a file that is being
written is not taken for a shorter one; where its last line has no end yet, five looks.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path
from typing import NamedTuple

from evals.errors import BadInput
from evals.io.paths import MOST_TEXT, read_file
from evals.io.web.urls import url_problem
from evals.text import has_control_character, shown_path

LOOK_S = 2.0
"""Seconds between two looks at the file."""
_LOOKS, _LOOKS_UNENDED = 2, 5
MOST_URLS = 1000
_LONGEST_URL = 2000
MARK = "@"
"""Stands before the path of such a file where a URL is expected."""


class UrlList(NamedTuple):
    """The URLs in a file, in its order, and what is wrong with other lines, as `FILE:LINE: ...`."""

    urls: tuple[str, ...]
    problems: tuple[str, ...]


class Unreadable(NamedTuple):
    """Why a file cannot be read, for people."""

    reason: str


def file_in(given: str | None) -> Path | None:
    """The file that `@FILE` names, None for a URL or nothing."""
    return Path(given[1:]) if given is not None and given.startswith(MARK) else None


def parse_urls(content: bytes, path: Path) -> UrlList:
    """What is in the lines of a file: a URL each, without a slash at its end. Blank lines and # comments are left out,
    also comments after a URL and a space; a URL that is there twice counts once."""
    found: dict[str, int] = {}
    problems: list[str] = []
    for number, raw in enumerate(content.removeprefix(b"\xef\xbb\xbf").splitlines(), 1):
        url, problem = _read_line(raw)
        if not problem and not url:
            continue
        if not problem and url in found:
            problem = f"is the URL of line {found[url]} again"
        if not problem and len(found) == MOST_URLS:
            problem = f"is one URL too many; at most {MOST_URLS:,} are read"
            problems.append(f"{shown_path(path)}:{number}: {problem}")
            break
        if problem:
            problems.append(f"{shown_path(path)}:{number}: {problem}")
        else:
            found[url] = number
    return UrlList(tuple(found), tuple(problems))


def _read_line(raw: bytes) -> tuple[str, str]:
    """The URL of a line, "" for none, and what is wrong with the line, "" for nothing, which quotes none of it."""
    try:
        text = raw.decode()
    except UnicodeDecodeError:
        return "", "is not UTF-8 text"
    url, *rest = text.strip().split(maxsplit=1) or [""]
    if not url or url.startswith("#"):
        return "", ""
    if "," in url or (rest and not rest[0].startswith("#")):
        return "", "holds more than one URL; write each on a line of its own"
    if len(url) > _LONGEST_URL or has_control_character(url):
        return "", "is no URL"
    problem = url_problem(url)
    return ("", f"the URL {problem}") if problem else (url.rstrip("/"), "")


def read_content(path: Path) -> bytes | Unreadable:
    """What a file holds now. Never waits for a writer, and reads no more than a person would write."""
    try:
        return read_file(path, MOST_TEXT)
    except FileNotFoundError:
        return Unreadable("there is no such file")
    except OSError as error:
        return Unreadable(f"cannot be read: {error.strerror}")


def first_urls(path: Path, option: str, *, may_be_empty: bool) -> tuple[str, ...]:
    """The URLs of a file before a run begins. Raises BadInput for a line that is none, and for a file without any
    unless it `may_be_empty`, or missing, until then."""
    content = read_content(path)
    advice = "; --wait-for-servers SECONDS waits for a first one" if option.startswith("--") else ""
    if isinstance(content, Unreadable):
        if may_be_empty and not path.exists():
            return ()
        raise BadInput(f"{option}: {shown_path(path)}: {content.reason}{'' if path.exists() else advice}")
    found = parse_urls(content, path)
    if found.problems:
        raise BadInput(f"{option}: {found.problems[0]}")
    if not found.urls and not may_be_empty:
        raise BadInput(f"{option}: {shown_path(path)}: lists no URL{advice}")
    return found.urls


class UrlFile:
    """A file of URLs that is looked at again and again. `urls` are those that count now; `version` is another number
    each time that its content has changed. `say` tells people, once, of what is wrong with it."""

    def __init__(self, path: Path, urls: tuple[str, ...], say: Callable[[str], None]) -> None:
        self.path = path
        self.urls = urls
        self.version = 0
        self._say = say
        self._seen: bytes | Unreadable | None = None
        self._times_seen = 0
        self._counted: bytes | Unreadable | None = None
        self._said: frozenset[str] = frozenset()
        self._looking = asyncio.Lock()
        self._looked_at = -LOOK_S

    async def look(self) -> None:
        """Look at the file, unless somebody has a moment ago."""
        async with self._looking:
            if time.monotonic() - self._looked_at < LOOK_S / 2:
                return
            content = await asyncio.to_thread(read_content, self.path)
            self._looked_at = time.monotonic()
            self.note(content)

    def note(self, content: bytes | Unreadable) -> None:
        """Take what a look has found: it counts once enough looks in a row have found the same."""
        self._times_seen = self._times_seen + 1 if content == self._seen else 1
        self._seen = content
        is_ended = isinstance(content, Unreadable) or not content or content.endswith((b"\n", b"\r"))
        if self._times_seen < (_LOOKS if is_ended else _LOOKS_UNENDED) or content == self._counted:
            return
        self._counted = content
        found = content if isinstance(content, Unreadable) else parse_urls(content, self.path)
        self._tell(found)
        if isinstance(found, UrlList) and found.urls:
            self.urls = found.urls
            self.version += 1

    def _tell(self, found: UrlList | Unreadable) -> None:
        """Tell people what is wrong, and not again before it has been right."""
        if isinstance(found, UrlList) and (found.urls or found.problems):
            now = frozenset(f"{problem}; the line is left out" for problem in found.problems)
        elif self.urls:
            reason = found.reason if isinstance(found, Unreadable) else "lists no URL"
            goes_on = f"going on with what it listed before ({len(self.urls)})"
            now = frozenset({f"{shown_path(self.path)}: {reason}; {goes_on}"})
        else:  # it is waited for
            now = frozenset[str]()
        for line in sorted(now - self._said):
            self._say(line)
        self._said = now
