"""How far several judges agree on the same answers, and how much of that could be chance. Plain numbers in and out."""

from __future__ import annotations

from typing import Any, cast

import krippendorff  # pyright: ignore[reportMissingTypeStubs]
import numpy as np
import numpy.typing as npt
from statsmodels.stats import inter_rater  # pyright: ignore[reportMissingTypeStubs]

Flags = npt.NDArray[np.bool_]
Values = npt.NDArray[np.float64]

# Neither library comes with types that say more than Any.
_alpha: Any = cast("Any", krippendorff).alpha
_kappa: Any = cast("Any", inter_rater).cohens_kappa
_ROUNDING = 1e-12


def kappa(first: Flags, second: Flags) -> float | None:
    """Cohen's kappa (Cohen 1960) of two judges on the same answers, one flag an answer each; in [-1, 1].

    None without answers, and where both say one and the same of all of them: there is then nothing to agree on beyond
    chance. Raises ValueError for flags of different lengths.
    """
    if first.shape != second.shape:
        raise ValueError(f"{first.shape} flags of one judge, {second.shape} of the other")
    table = np.array([[(~first & ~second).sum(), (~first & second).sum()], [(first & ~second).sum(), 0]], dtype=float)
    table[1, 1] = (first & second).sum()
    if not first.size or len({*first.tolist(), *second.tolist()}) < 2:
        return None
    return float(_kappa(table, return_results=False))


def nominal_alpha(values: Values) -> float | None:
    """Krippendorff's alpha of several judges whose verdicts are the same or not (Hayes and Krippendorff 2007); at most
    1, and 0 for no more agreement than by chance.

    `values` has a row for each judge and a column for each answer, NaN where a judge gave no verdict; an answer with
    one verdict or none is left out. None where no answer has two verdicts, or all verdicts are the same: there is then
    no disagreement that chance could have brought.
    """
    values = _paired(values)
    given = ~np.isnan(values)
    domain, codes = np.unique(values[given], return_inverse=True)
    if len(domain) < 2:
        return None
    counts = np.zeros((values.shape[1], len(domain)))
    np.add.at(counts, (np.nonzero(given)[1], codes), 1)
    return float(_alpha(value_counts=counts, value_domain=domain, level_of_measurement="nominal"))


def interval_alpha(values: Values) -> float | None:
    """The same of scores, which disagree by their squared distance.

    In sums over answers, as the library's own way takes memory by the square of how many different scores there are.
    """
    values = _paired(values)
    given = ~np.isnan(values)
    total = int(given.sum())
    if not total:
        return None
    shifted = np.where(given, values - values[given].mean(), 0.0)
    number, sums, squares = given.sum(axis=0), shifted.sum(axis=0), (shifted**2).sum(axis=0)
    observed = float(((number * squares - sums**2) / (number - 1)).sum()) / total
    expected = float(total * squares.sum() - sums.sum() ** 2) / (total * (total - 1))
    return None if expected <= _ROUNDING else 1 - observed / expected


def _paired(values: Values) -> Values:
    """The answers with at least two verdicts."""
    return values[:, (~np.isnan(values)).sum(axis=0) >= 2]
