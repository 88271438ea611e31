"""How far several judges agree on the same answers, and how much of that could be chance. Plain numbers in and out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import Any, cast

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

_ROUNDING = 1e-12


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Cohen's kappa (Cohen 1960) of two judges, or of two people, on the same answers: one label an answer each.

    In [-1, 1], unweighted. None without answers, and where both gave everything one and the same label: there is then
    nothing to agree on beyond chance. Raises ValueError for lists of different lengths.
    """
    number = len(first)
    alike = sum(one == other for one, other in zip(first, second, strict=True))
    habits, other_habits = Counter(first), Counter(second)
    by_chance = sum(habits[label] * other_habits[label] for label in habits)  # times `number` squared, so exact
    if by_chance == number**2:  # which no answers are, too
        return None
    return (number * alike - by_chance) / (number**2 - by_chance)


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
    import krippendorff  # pyright: ignore[reportMissingTypeStubs]  # takes long to import, and few need it

    alpha: Any = cast("Any", krippendorff).alpha
    counts = np.zeros((values.shape[1], len(domain)))
    np.add.at(counts, (np.nonzero(given)[1], codes), 1)
    return float(alpha(value_counts=counts, value_domain=domain, level_of_measurement="nominal"))


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
