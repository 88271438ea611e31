"""Check several things at the same time, and say what is wrong as if it had been one after the other."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine, Iterable
from typing import Any, TypeVar

_T = TypeVar("_T")


async def in_order(checks: Iterable[Coroutine[Any, Any, _T]]) -> list[_T]:
    """The results of all, in their order. Raises the error of the first that fails, whichever failed sooner; those
    behind it are cancelled."""
    tasks = [asyncio.ensure_future(check) for check in checks]
    try:
        return [await task for task in tasks]
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
