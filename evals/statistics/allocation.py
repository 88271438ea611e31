"""Allocate draws to the strata of a population."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from math import sqrt


def allocate(populations: Sequence[int], weights: Sequence[float], total: int, least: int) -> list[int]:
    """The number of draws of each stratum; they add up to `total`, or to the whole population if that is fewer.

    Draws are proportional to `weights`, as nearly as integers allow, with at least `least` per stratum and at most its
    size. Each further draw goes where weight / sqrt(m (m + 1)) is greatest, where m is the stratum's draws so far. With
    weights N S (size and standard deviation of the stratum) this is the exact integer form of Neyman's allocation,
    which minimises the variance of the stratified estimate (Wright 2012, The American Statistician 66(4)).

    Raises ValueError if `total` is less than `least` draws in every stratum.
    """
    draws = [min(population, least) for population in populations]
    left = min(total, sum(populations)) - sum(draws)
    if left < 0:
        raise ValueError(f"{total} draws are fewer than {least} for each of {len(populations)} strata")
    waiting = [
        (-weight / sqrt(drawn * (drawn + 1)) if drawn else float("-inf"), stratum)
        for stratum, (weight, drawn) in enumerate(zip(weights, draws, strict=True))
        if drawn < populations[stratum]
    ]
    heapq.heapify(waiting)
    for _ in range(left):
        _, stratum = waiting[0]
        draws[stratum] += 1
        drawn = draws[stratum]
        if drawn < populations[stratum]:
            heapq.heapreplace(waiting, (-weights[stratum] / sqrt(drawn * (drawn + 1)), stratum))
        else:
            heapq.heappop(waiting)
    return draws
