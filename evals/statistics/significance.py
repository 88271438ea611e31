"""p-values: adjusted for many tests at once, and Fisher's exact test of two rates. Plain numbers in and out.

Of twenty effects of nothing one falls below 0.05. Holm's p-values are for claims: below 0.05, fewer than one in twenty
such families holds any false claim. Benjamini and Hochberg's are for sweeps: of those below 0.05, one in twenty is
expected to be false.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, cast


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for all of them (Holm 1979), in their order; valid however they depend on each other.

    Raises ValueError for one outside [0, 1].
    """
    ascending = _ascending(p_values)
    number = len(p_values)
    raised = [min(1.0, p_value * (number - rank)) for rank, (_, p_value) in enumerate(ascending)]
    return _in_order(ascending, accumulate(raised, max))


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for the share of false ones among those called (Benjamini and Hochberg 1995), in their order.

    Valid for tests that are independent or rise and fall together. Raises ValueError for one outside [0, 1].
    """
    descending = _ascending(p_values)[::-1]
    number = len(p_values)
    raised = [min(1.0, p_value * number / (number - rank)) for rank, (_, p_value) in enumerate(descending)]
    return _in_order(descending, accumulate(raised, min))


def _ascending(p_values: Sequence[float]) -> list[tuple[int, float]]:
    """The p-values from the smallest to the largest, each with its place. Raises ValueError for one outside [0, 1]."""
    for p_value in p_values:
        if not 0 <= p_value <= 1:
            raise ValueError(f"{p_value} is no p-value")
    return sorted(enumerate(map(float, p_values)), key=lambda item: item[1])


def _in_order(sorted_values: Sequence[tuple[int, float]], adjusted: Iterable[float]) -> list[float]:
    """`adjusted`, which stand in the order of `sorted_values`, each put in the place that it came from."""
    places = (place for place, _ in sorted_values)
    return [value for _, value in sorted(zip(places, adjusted, strict=True))]


@lru_cache(maxsize=10_000)
def fisher_p(hits: int, counted: int, base_hits: int, base_counted: int) -> float:
    """Two-sided p-value in (0, 1] of no difference between two rates; 1 where a side has nothing counted.

    Raises ValueError unless 0 <= hits <= counted on both sides.
    """
    if not (0 <= hits <= counted and 0 <= base_hits <= base_counted):
        raise ValueError(f"{hits} of {counted}, {base_hits} of {base_counted}")
    if not counted or not base_counted:
        return 1.0
    from scipy import stats  # pyright: ignore[reportMissingTypeStubs]  # takes long to import, and few need it

    fisher: Any = cast("Any", stats).fisher_exact
    table = [[hits, counted - hits], [base_hits, base_counted - base_hits]]
    return min(1.0, float(fisher(table)[1]))
