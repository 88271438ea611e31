"""How many to draw from each stratum of a population."""

from __future__ import annotations

import heapq
from collections.abc import Sequence
from math import sqrt


def allocate(populations: Sequence[int], weights: Sequence[float], total: int, least: int) -> list[int]:
    """Whole numbers of draws, one a stratum, that add up to `total`, or to the whole population where that is fewer.

    Draws are in proportion to `weights`, as nearly as whole numbers go, but every stratum gets at least `least`, none
    more than it has members. Each further draw goes where weight / sqrt(m (m + 1)) is greatest, m being its draws by
    then. With weights N S (size and standard deviation of the stratum) that is the exact whole-number form of Neyman's
    allocation, which gives the stratified estimate of a total the least variance (Wright 2012, The American
    Statistician 66(4)).

    Raises ValueError where `total` does not reach for `least` draws in every stratum.
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
