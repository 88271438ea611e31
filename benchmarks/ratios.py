"""Ratios with targets, from alternating measurements, and the lines that print them."""

from __future__ import annotations

import statistics
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import NamedTuple


@dataclass(frozen=True)
class Ratio:
    """A ratio, with one value per repeat. The target is for the median: at least, or at most."""

    what: str
    values: Sequence[float]
    target: float
    at_least: bool
    note: str = ""

    def line(self) -> str:
        spread = f"{min(self.values):.2f} to {max(self.values):.2f}" if len(self.values) > 1 else "one run"
        target = f"{'>=' if self.at_least else '<='} {self.target:.2f}"
        measured = f"  {self.what:<48}{median(self.values):6.2f}  ({spread})"
        return f"{measured:<76}target {target}  {self.verdict():<18}{self.note}".rstrip()

    def verdict(self) -> str:
        """`met`, `MISSED`, or `within noise` if the median misses the target but some repeat meets it."""
        if self._meets(median(self.values)):
            return "met"
        return "within noise" if any(self._meets(value) for value in self.values) else "MISSED"

    def _meets(self, value: float) -> bool:
        return value >= self.target if self.at_least else value <= self.target


class Pair(NamedTuple):
    """One repeat of both sides, in the unit of the benchmark."""

    ours: float
    limit: float


async def in_turn(
    ours: Callable[[], Awaitable[float]], limit: Callable[[], Awaitable[float]], repeats: int
) -> list[Pair]:
    """Measure both sides in alternating order, so that a slow spell of the machine affects both."""
    pairs: list[Pair] = []
    for repeat in range(repeats):
        if repeat % 2:
            second = await limit()
            pairs.append(Pair(await ours(), second))
        else:
            first = await ours()
            pairs.append(Pair(first, await limit()))
    return pairs


def median(values: Sequence[float]) -> float:
    return statistics.median(values)
