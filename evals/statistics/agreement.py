"""Agreement of judges on the same answers, corrected for chance. Plain numbers in and out."""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence

import numpy as np
import numpy.typing as npt

Values = npt.NDArray[np.float64]

_ROUNDING = 1e-12


def cohen_kappa(first: Sequence[Hashable], second: Sequence[Hashable]) -> float | None:
    """Cohen's kappa (Cohen 1960) of two judges or people: unweighted, in [-1, 1]; one label per answer each.

    None without answers, or if both gave every answer the same label, as then all agreement is chance. Raises
    ValueError for lists of different lengths.
    """
    number = len(first)
    alike = sum(label == other_label for label, other_label in zip(first, second, strict=True))
    counts, other_counts = Counter(first), Counter(second)
    by_chance = sum(counts[label] * other_counts[label] for label in counts)  # times `number` squared, so exact
    if by_chance == number**2:  # also true without answers
        return None
    return (number * alike - by_chance) / (number**2 - by_chance)


def nominal_alpha(values: Values) -> float | None:
    """Krippendorff's alpha of nominal verdicts (Hayes and Krippendorff 2007): at most 1, and 0 for chance agreement.

    `values` has shape (judges, answers), NaN for a missing verdict; answers with fewer than two verdicts are left out.
    None if no answer has two verdicts or all verdicts are the same, as then no disagreement is expected by chance.
    """
    values = _paired(values)
    given = ~np.isnan(values)
    kinds, codes = np.unique(values[given], return_inverse=True)
    if len(kinds) < 2:
        return None
    counts = np.zeros((values.shape[1], len(kinds)))  # of each kind, by answer
    np.add.at(counts, (np.nonzero(given)[1], codes), 1)
    number, total = counts.sum(axis=1), counts.sum()
    # Ordered pairs of unlike verdicts: within an answer, each verdict once in all, and among all verdicts.
    observed = float(((number**2 - (counts**2).sum(axis=1)) / (number - 1)).sum()) / total
    expected = float(total**2 - (counts.sum(axis=0) ** 2).sum()) / (total * (total - 1))
    return 1 - observed / expected


def interval_alpha(values: Values) -> float | None:
    """Krippendorff's alpha of scores, which disagree by their squared distance.

    Computed from sums over answers, with memory linear in the number of verdicts.
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
