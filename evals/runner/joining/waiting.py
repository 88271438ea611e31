"""Servers that are to be there soon: a job that has been started, a model that is being loaded."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import TypeVar

from evals.endpoints.fleet import url_file
from evals.endpoints.server import ServerAway
from evals.endpoints.transport.outage import span

_T = TypeVar("_T")


async def once_there(connect: Callable[[], Awaitable[_T]], wait_s: float, say: Callable[[str], None]) -> _T:
    """What `connect` returns, tried again for so many seconds while the server is away; `say` tells people of the wait.

    Raises as `connect` does.
    """
    until = time.monotonic() + wait_s
    has_said = False
    while True:
        try:
            return await connect()
        except ServerAway as error:
            left_s = until - time.monotonic()
            if left_s <= 0:
                raise
            if not has_said:
                say(f"{error}; waiting up to {span(left_s)} for it")
            has_said = True
        await asyncio.sleep(min(url_file.LOOK_S, left_s))
