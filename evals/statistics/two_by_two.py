"""Fisher's exact test of k of n against k of n: for one question, whose answers are few."""

from __future__ import annotations

from functools import lru_cache
from typing import Any, cast


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
