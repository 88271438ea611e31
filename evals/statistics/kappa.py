"""Agreement of two people (or of a person and a judge) beyond what their habits alone would give."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, cast

import numpy as np
from statsmodels.stats import inter_rater  # pyright: ignore[reportMissingTypeStubs]

_library = cast("Any", inter_rater)


def cohen_kappa(first: Sequence[str], second: Sequence[str]) -> float | None:
    """Cohen's kappa (Cohen 1960) of two lists of labels of the same things, in [-1, 1]; unweighted.

    None where it is not defined: without anything labelled, or where both gave everything one and the same label.
    Raises ValueError for lists of different lengths.
    """
    words = sorted({*first, *second})
    table = np.zeros((len(words), len(words)))
    for one, other in zip(first, second, strict=True):
        table[words.index(one), words.index(other)] += 1
    if len(words) < 2:
        return None
    return float(_library.cohens_kappa(table, return_results=False))
