"""Decide whether a rate got worse by more than a limit, for all cells of a comparison.

Each cell has a paired effect (`evals.statistics.intervals.paired_effect`) with its 95% interval. The decision:

- `regression`: the increase is above the limit and significant (its p-value, Holm-adjusted over the cells of the
  comparison, is below 0.05), or the simultaneous interval (1 - 0.05 / cells) lies above the limit. The latter is for
  few prompts that all agree, where no test can reach 0.05.
- `within`: the upper end of the 95% interval is not above the limit.
- `unclear`: neither; the data are insufficient.

Holm keeps the probability of any false regression below 5% for the whole comparison. `within` claims that there is no
increase above the limit, at 97.5% (one-sided) for each cell.
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
    """The counts of one cell; each element is the same wording in both runs. `prompts` numbers its prompt."""

    hits: Counts
    counted: Counts
    base_hits: Counts
    base_counted: Counts
    prompts: npt.NDArray[np.int64]


class Decided(NamedTuple):
    """The decision on a cell. `effect` is None, and the decision `unclear`, if no pair has answers on both sides."""

    effect: Effect | None
    p_holm: float | None
    decision: Decision


def decide(cells: Sequence[Pairs], limits: Sequence[float]) -> list[Decided]:
    """The decision on each cell. `limits` are the largest increases allowed in each, as fractions in [0, 1]."""
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
        simultaneous_effect = paired_effect(*cell, confidence=simultaneous)
        assert simultaneous_effect is not None  # noqa: S101  the pairs are those of `effect`
        is_real = effect.effect > 0 and p_holm < 1 - CONFIDENCE
        decision: Decision = "unclear"
        if (effect.effect > limit and is_real) or simultaneous_effect.interval.low > limit:
            decision = "regression"
        elif effect.interval.high <= limit:
            decision = "within"
        decided.append(Decided(effect, p_holm, decision))
    return decided
