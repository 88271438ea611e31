"""Whether a rate got worse by more than is allowed: a decision in three words, over all cells of one comparison.

For each cell the paired effect (`evals.statistics.intervals.paired_effect`) with its 95% interval. The decision:

- `regression`: the increase is above what is allowed, and it is no chance: its p-value, Holm-adjusted over the cells of
  the comparison, is below 0.05; or an interval that is right in all cells at once (1 - 0.05 / cells) lies above what is
  allowed. The second is for few prompts that all agree, where no test can reach 0.05.
- `within`: the upper end of the 95% interval is not above what is allowed.
- `unclear`: neither; the data say too little.

Holm keeps the chance that any cell is called a regression, where nothing changed at all, below 5% for the whole
comparison. `within` is a claim that no increase above the limit is hidden: each cell makes it at 97.5% (one-sided).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from evals.statistics.intervals import CONFIDENCE, Counts, Effect, paired_effect
from evals.statistics.significance import holm

Decision = Literal["regression", "within", "unclear"]


class Pairs(NamedTuple):
    """Counts of one cell, an element a pair: the same wording on both sides. `prompts` numbers the prompt of each."""

    hits: Counts
    counted: Counts
    base_hits: Counts
    base_counted: Counts
    prompts: npt.NDArray[np.int64]


class Decided(NamedTuple):
    """`effect` is None where no pair has answers on both sides; then there is nothing to decide by."""

    effect: Effect | None
    p_holm: float | None
    decision: Decision


def decide(cells: Sequence[Pairs], limits: Sequence[float]) -> list[Decided]:
    """The decision on each cell. `limits` are the largest increases allowed, as fractions in [0, 1], one a cell."""
    effects = [paired_effect(*cell) for cell in cells]
    tested = [index for index, effect in enumerate(effects) if effect is not None]
    adjusted = dict(zip(tested, holm([effect.p_value for effect in effects if effect is not None]), strict=True))
    simultaneous = 1 - (1 - CONFIDENCE) / max(1, len(tested))
    decided: list[Decided] = []
    for index, (cell, limit, effect) in enumerate(zip(cells, limits, effects, strict=True)):
        if effect is None:
            decided.append(Decided(None, None, "unclear"))
            continue
        p_holm = adjusted[index]
        surely = paired_effect(*cell, confidence=simultaneous)
        assert surely is not None  # noqa: S101  it has the pairs that `effect` has
        is_real = effect.effect > 0 and p_holm < 1 - CONFIDENCE
        decision: Decision = "unclear"
        if (effect.effect > limit and is_real) or surely.interval.low > limit:
            decision = "regression"
        elif effect.interval.high <= limit:
            decision = "within"
        decided.append(Decided(effect, p_holm, decision))
    return decided
