"""Many p-values at once: what each is worth beside the others. Plain numbers in and out.

Of twenty effects of nothing one falls below 0.05. Holm's p-values are for claims: below 0.05, fewer than one in twenty
such families holds any false claim. Benjamini and Hochberg's are for sweeps: of those below 0.05, one in twenty is
expected to be false.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

from statsmodels.stats import multitest  # pyright: ignore[reportMissingTypeStubs]

# The library comes without types.
_adjusted: Any = cast("Any", multitest).multipletests


def holm(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for all of them (Holm 1979), in their order; valid however they depend on each other.

    Raises ValueError for one outside [0, 1].
    """
    return _of(p_values, "holm")


def benjamini_hochberg(p_values: Sequence[float]) -> list[float]:
    """p-values adjusted for the share of false ones among those called (Benjamini and Hochberg 1995), in their order.

    Valid for tests that are independent or rise and fall together. Raises ValueError for one outside [0, 1].
    """
    return _of(p_values, "fdr_bh")


def _of(p_values: Sequence[float], method: str) -> list[float]:
    for p_value in p_values:
        if not 0 <= p_value <= 1:
            raise ValueError(f"{p_value} is no p-value")
    if not p_values:
        return []
    return [float(p_value) for p_value in _adjusted(p_values, method=method)[1]]
