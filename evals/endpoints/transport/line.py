"""Who waits for a place at a server: those who would rather have this one, then those who take any."""

from __future__ import annotations

import asyncio
from collections import OrderedDict
from typing import Generic, TypeVar

_T = TypeVar("_T")


class Line(Generic[_T]):
    """Two queues, each in order of arrival. False when nobody waits."""

    def __init__(self) -> None:
        self._rather_here: OrderedDict[asyncio.Future[_T], None] = OrderedDict()
        self._anywhere: OrderedDict[asyncio.Future[_T], None] = OrderedDict()

    def __bool__(self) -> bool:
        return bool(self._rather_here or self._anywhere)

    def join(self, place: asyncio.Future[_T], *, rather_here: bool) -> None:
        (self._rather_here if rather_here else self._anywhere)[place] = None

    def leave(self, place: asyncio.Future[_T]) -> None:
        """Take somebody out who may have been called already."""
        self._rather_here.pop(place, None)
        self._anywhere.pop(place, None)

    def call(self) -> asyncio.Future[_T] | None:
        """Who is next, and no longer in the line; None when nobody waits. Who has a place elsewhere is passed over."""
        for queue in (self._rather_here, self._anywhere):
            while queue:
                place, _ = queue.popitem(last=False)
                if not place.done():
                    return place
        return None
