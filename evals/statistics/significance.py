"""p-values adjusted for multiple tests, and Fisher's exact test of two rates. Plain numbers in and out.

One in twenty true null hypotheses has a p-value below 0.05. Holm's adjustment is for claims: at 0.05, at most one in
twenty families of tests has any false positive. Benjamini and Hochberg's is for sweeps: at 0.05, one in twenty
positives is expected to be false.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from functools import lru_cache
from itertools import accumulate
from typing import Any, cast


def holm(p_values: Sequence[float]) -> list[float]:
    """Family-wise adjusted p-values (Holm 1979), in the given order; valid under any dependence.

    Raises ValueError for one outside [0, 1].
    """
    ascending = _ascending(p_values)
    number = len(p_values)
    raised = [min(1.0, p_value * (number - rank)) for rank, (_, p_value) in enumerate(ascending)]
    return _in_order(ascending, accumulate(raised, max))


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for the false discovery rate (Benjamini and Hochberg 1995), in the given order.

    Valid for independent or positively dependent tests. Raises ValueError for one outside [0, 1].
    """
    descending = _ascending(p_values)[::-1]
    number = len(p_values)
    raised = [min(1.0, p_value * number / (number - rank)) for rank, (_, p_value) in enumerate(descending)]
    return _in_order(descending, accumulate(raised, min))


def _ascending(p_values: Sequence[float]) -> list[tuple[int, float]]:
    """The p-values in ascending order, each with its position. Raises ValueError for one outside [0, 1]."""
    for p_value in p_values:
        if not 0 <= p_value <= 1:
            raise ValueError(f"{p_value} is no p-value")
    return sorted(enumerate(map(float, p_values)), key=lambda item: item[1])


def _in_order(sorted_values: Sequence[tuple[int, float]], adjusted: Iterable[float]) -> list[float]:
    """`adjusted`, which are in the order of `sorted_values`, back in their original order."""
    positions = (position for position, _ in sorted_values)
    return [value for _, value in sorted(zip(positions, adjusted, strict=True))]


@lru_cache(maxsize=10_000)
def fisher_p(hits: int, counted: int, base_hits: int, base_counted: int) -> float:
    """The two-sided p-value in (0, 1] for no difference between two rates; 1 if a side has nothing counted.

    Raises ValueError unless 0 <= hits <= counted on both sides.
    """
    if not (0 <= hits <= counted and 0 <= base_hits <= base_counted):
        raise ValueError(f"{hits} of {counted}, {base_hits} of {base_counted}")
    if not counted or not base_counted:
        return 1.0
    from scipy import stats  # pyright: ignore[reportMissingTypeStubs]  # slow to import, rarely needed

    fisher: Any = cast("Any", stats).fisher_exact
    table = [[hits, counted - hits], [base_hits, base_counted - base_hits]]
    return min(1.0, float(fisher(table)[1]))
