"""The tests' OpenAI-compatible server in a separate process on its own core, counting its requests."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Generator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from typing import Any, NamedTuple

from tests.support.servers.openai_server import (
    JUDGE_MARK,
    Answer,
    Behaviour,
    OpenAIServer,
    Request,
    default_script,
    last_message,
)

MODEL = "test-model"
_CORES = sorted(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else []
"""The first is for the client, the last for the server. Read before any pinning."""


class _Counts(NamedTuple):
    """Requests of any kind, and those whose last message has the mark."""

    all: Synchronized[int]
    marked: Synchronized[int]
    mark: str


class _Counted(list[Request]):
    """Counts requests without keeping them, which would fill the memory."""

    def __init__(self, counts: _Counts) -> None:
        super().__init__()
        self._counts = counts

    def append(self, request: Request, /) -> None:
        self._counts.all.value += 1
        if self._counts.mark and "messages" in request.body and self._counts.mark in last_message(request.body):
            self._counts.marked.value += 1


class RunningServer:
    """`urls` has one for each port, `url` is the first."""

    def __init__(self, urls: Sequence[str], counts: _Counts) -> None:
        self.urls = urls
        self.url = urls[0]
        self._counts = counts

    @property
    def requests(self) -> int:
        """The number of requests since the start, of any kind."""
        return self._counts.all.value

    @property
    def marked_requests(self) -> int:
        """The number of those whose last message has the mark: none of the checks that a run makes beforehand has."""
        return self._counts.marked.value


def pin_client() -> bool:
    """Keep this process and its children off the server's core. False if there is only one core or no such call."""
    if len(_CORES) > 1:
        os.sched_setaffinity(0, {_CORES[0]})
    return len(_CORES) > 1


@contextmanager
def serving(
    *, latency_s: float = 0.0, distinct: bool = False, ports: int = 1, mark: str = ""
) -> Generator[RunningServer]:
    """A server for the block, on as many ports. `distinct` varies the answer by seed, so that judge requests differ.
    Requests whose last message has the `mark` are counted apart."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    counts = _Counts(context.Value("L", 0, lock=False), context.Value("L", 0, lock=False), mark)
    core = _CORES[-1] if len(_CORES) > 1 else None
    process = context.Process(target=_serve, args=(there, counts, latency_s, distinct, ports, core), daemon=True)
    process.start()
    there.close()
    try:
        yield RunningServer(here.recv(), counts)  # type: ignore[arg-type]
    finally:
        process.terminate()
        process.join()


def _serve(ready: Connection, counts: _Counts, latency_s: float, distinct: bool, ports: int, core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})

    async def forever() -> None:
        async with AsyncExitStack() as stack:
            urls: list[str] = []
            for _ in range(ports):
                server = OpenAIServer(_distinct if distinct else None, models=[MODEL], latency_s=latency_s)
                server.requests = _Counted(counts)
                urls.append(await stack.enter_async_context(server.serving()))
            ready.send(urls)
            await asyncio.Event().wait()

    with suppress(KeyboardInterrupt):
        asyncio.run(forever())


def _distinct(body: Mapping[str, Any], seen: int) -> Behaviour:
    if JUDGE_MARK in last_message(body):
        return default_script(body, seen)
    return Answer(
        f"Answer {body.get('seed')}: talk it over with those concerned, and put down in writing what you agree."
    )
