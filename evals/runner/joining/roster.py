"""Who is asked of the servers that a file lists: each is checked before it gets work, and leaves when its URL does."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Iterable
from typing import NamedTuple, Protocol, TypeVar

from evals.endpoints import replicas
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.fleet import url_file
from evals.endpoints.fleet.url_file import UrlFile
from evals.endpoints.server import ServerAway
from evals.endpoints.transport.outage import span
from evals.errors import BadInput, EmevalError, RunStopped
from evals.text import shown_path

_AT_A_TIME = 4
"""Servers that are checked at the same time."""

Member = TypeVar("Member")


class Gate(Protocol[Member]):
    """How the servers of one model are let in, and let go."""

    async def admit(self, url: str) -> Member:
        """Connect to a server and check it as the first one was. Raises BadInput, and leaves nothing open then."""
        ...

    def welcome(self, member: Member) -> None:
        """Send it work from now on."""
        ...

    async def dismiss(self, member: Member) -> None:
        """Send it no more, wait until what it has is settled, and close the connection."""
        ...

    async def drop(self, member: Member) -> None:
        """Close the connection to one that has never been sent work."""
        ...


class _Refusal(NamedTuple):
    """Why a server is left out, at which version of the file it was, and when, in monotonic seconds."""

    error: EmevalError
    version: int
    at: float


class Roster:
    """The servers of one model, by the file that lists them. `name` is the model as people know it."""

    def __init__(self, name: str, file: UrlFile, say: Callable[[str], None]) -> None:
        self._name = name
        self._file = file
        self._say = say
        self._refused: dict[str, _Refusal] = {}
        self._checking = asyncio.Semaphore(_AT_A_TIME)

    async def first(self, gate: Gate[Member], wait_s: float) -> dict[str, Member]:
        """The servers that the run begins with, by their URLs, in the file's order. One that is away is left for later
        as long as there is another; where there is none, a first is waited for.

        Raises BadInput for one that is there and may not be asked, and where none is there in time.
        """
        until = time.monotonic() + wait_s
        has_said = False
        while True:
            members = await self._admitted(gate, self._file.urls)
            if members:
                self._say_refused()
                return members
            left_s = until - time.monotonic()
            if left_s <= 0:
                raise self._none_there()
            if not has_said:
                has_said = True
                self._say(f"{self._name}: waiting up to {span(left_s)} for a first server: {self._none_there()}")
            await asyncio.sleep(min(url_file.LOOK_S, left_s))
            await self._file.look()

    async def _admitted(self, gate: Gate[Member], urls: Iterable[str]) -> dict[str, Member]:
        """Those of the servers that pass. Raises BadInput for one that is there and does not."""
        urls = tuple(urls)
        found = await asyncio.gather(*(self._checked(gate, url) for url in urls), return_exceptions=True)
        failed = [result for result in found if isinstance(result, BaseException)]
        for error in failed:
            if not isinstance(error, ServerAway):
                raise error
        self._refused = {
            url: _Refusal(error, self._file.version, time.monotonic())
            for url, error in zip(urls, found, strict=True)
            if isinstance(error, ServerAway)
        }
        members = zip(urls, found, strict=True)
        return {url: member for url, member in members if not isinstance(member, BaseException)}

    def _none_there(self) -> BadInput:
        """Why there is no server to begin with."""
        if self._refused:
            return BadInput(str(next(iter(self._refused.values())).error))
        return BadInput(f"{shown_path(self._file.path)}: lists no URL")

    async def _checked(self, gate: Gate[Member], url: str) -> Member:
        async with self._checking:
            return await gate.admit(url)

    def _say_refused(self) -> None:
        for url, refusal in self._refused.items():
            self._say(self.left_out(url, refusal.error))

    def left_out(self, url: str, error: EmevalError) -> str:
        """The line that says why a server is not asked."""
        reason = str(error)
        for known in (f"{self._name}: ", f"{self._name} ", f"{url} "):
            reason = reason.removeprefix(known)
        return f"{self._name}: {url} is left out: {reason}"

    async def follow(self, gate: Gate[Member], members: dict[str, Member]) -> None:
        """Keep to the file until this is cancelled: check and welcome who is new, let go who is gone.

        `members` are those at work, and are kept up to date.
        """
        busy: set[str] = set()
        async with asyncio.TaskGroup() as group:
            while True:
                await asyncio.sleep(url_file.LOOK_S)
                await self._file.look()
                listed = frozenset(self._file.urls)
                self._refused = {url: found for url, found in self._refused.items() if url in listed}
                for url in members.keys() - listed:
                    member = members.pop(url)
                    self._say(f"{self._name}: {url} has left; {_count(members)}")
                    group.create_task(gate.dismiss(member))
                for url in self._file.urls:
                    if url not in members and url not in busy and self._is_due(url):
                        busy.add(url)
                        group.create_task(self._arrive(gate, members, url, busy))

    def _is_due(self, url: str) -> bool:
        """Whether a server that is not asked is to be looked at now."""
        refusal = self._refused.get(url)
        if refusal is None or refusal.version != self._file.version:
            return True
        return time.monotonic() - refusal.at >= replicas.REST_S

    async def _arrive(self, gate: Gate[Member], members: dict[str, Member], url: str, busy: set[str]) -> None:
        version = self._file.version
        try:
            member = await self._checked(gate, url)
        except (BadInput, RunStopped) as error:
            before = self._refused.get(url)
            self._refused[url] = _Refusal(error, version, time.monotonic())
            if before is None or str(before.error) != str(error):
                self._say(self.left_out(url, error))
            return
        finally:
            busy.discard(url)
        self._refused.pop(url, None)
        if url not in self._file.urls:  # it has gone while it was checked
            await gate.drop(member)
            return
        members[url] = member
        gate.welcome(member)
        self._say(f"{self._name}: {url} has joined; {_count(members)}")


def _count(members: dict[str, Member]) -> str:
    return "1 server" if len(members) == 1 else f"{len(members)} servers"


async def still_passes(check: Callable[[], Awaitable[object]], roster: Roster, endpoint: Endpoint) -> bool:
    """Whether a server that was let in passes the check again; people are told, once, why it does not."""
    try:
        await check()
    except (BadInput, RunStopped) as error:
        endpoint.server.say_once(roster.left_out(endpoint.server.base_url, error))
        return False
    return True
