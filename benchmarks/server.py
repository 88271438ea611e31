"""The tests' OpenAI-compatible server in a separate process on its own core, counting its requests."""

from __future__ import annotations

import asyncio
import multiprocessing
import os
from collections.abc import Generator, Mapping
from contextlib import contextmanager, suppress
from multiprocessing.connection import Connection
from multiprocessing.sharedctypes import Synchronized
from typing import Any

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


class _Counted(list[Request]):
    """Counts requests without keeping them, which would fill the memory."""

    def __init__(self, count: Synchronized[int]) -> None:
        super().__init__()
        self._count = count

    def append(self, _request: Request, /) -> None:
        self._count.value += 1


class RunningServer:
    def __init__(self, url: str, count: Synchronized[int]) -> None:
        self.url = url
        self._count = count

    @property
    def requests(self) -> int:
        """The number of requests since the start, of any kind."""
        return self._count.value


def pin_client() -> bool:
    """Keep this process and its children off the server's core. False if there is only one core or no such call."""
    if len(_CORES) > 1:
        os.sched_setaffinity(0, {_CORES[0]})
    return len(_CORES) > 1


@contextmanager
def serving(*, latency_s: float = 0.0, distinct: bool = False) -> Generator[RunningServer]:
    """A server for the block. `distinct` varies the answer by seed, so that judge requests differ."""
    context = multiprocessing.get_context("spawn")
    here, there = context.Pipe(duplex=False)
    count = context.Value("L", 0, lock=False)
    core = _CORES[-1] if len(_CORES) > 1 else None
    process = context.Process(target=_serve, args=(there, count, latency_s, distinct, core), daemon=True)
    process.start()
    there.close()
    try:
        yield RunningServer(here.recv(), count)  # type: ignore[arg-type]
    finally:
        process.terminate()
        process.join()


def _serve(ready: Connection, count: Synchronized[int], latency_s: float, distinct: bool, core: int | None) -> None:
    if core is not None:
        os.sched_setaffinity(0, {core})
    server = OpenAIServer(_distinct if distinct else None, models=[MODEL], latency_s=latency_s)
    server.requests = _Counted(count)

    async def forever() -> None:
        async with server.serving() as url:
            ready.send(url)
            await asyncio.Event().wait()

    with suppress(KeyboardInterrupt):
        asyncio.run(forever())


def _distinct(body: Mapping[str, Any], seen: int) -> Behaviour:
    if JUDGE_MARK in last_message(body):
        return default_script(body, seen)
    return Answer(
        f"Answer {body.get('seed')}: talk it over with those concerned, and put down in writing what you agree."
    )
