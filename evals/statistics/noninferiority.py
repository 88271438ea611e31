"""Decide whether a rate got worse by more than a limit, for all cells of a comparison.

Both runs asked the same questions, so the decision is on the effect on these questions
(`evals.statistics.these_questions`), and it tests the limit:

- `regression`: the lower bound of the increase is above the limit. The bound is simultaneous over the cells of the
  comparison: the lower end of an interval with confidence 1 - 0.05 / cells (Bonferroni).
- `within`: the upper end of the 95% interval is not above the limit.
- `unclear`: neither; the data are insufficient.

A comparison in which no increase is above its limit has a false regression with a probability of at most 2.5%. `within`
claims that there is no increase above the limit, at 97.5% (one-sided) for each cell. With a limit of 0 the exact test
of no difference decides. The effect on questions like these (`evals.statistics.intervals.paired_effect`) decides
nothing; it says whether other questions would show the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
import numpy.typing as npt

from evals.statistics.intervals import CONFIDENCE, Counts, Effect, paired_effect
from evals.statistics.significance import holm
from evals.statistics.these_questions import effect_on_these_questions

Decision = Literal["regression", "within", "unclear"]


class Pairs(NamedTuple):
    """The counts of one cell; each element is the same wording in both runs. `prompts` numbers its prompt."""

    hits: Counts
    counted: Counts
    base_hits: Counts
    base_counted: Counts
    prompts: npt.NDArray[np.int64]


class Decided(NamedTuple):
    """The decision on a cell, with the effect on questions like these and that on these questions (`gen_effect`).

    `lower_bound` is that of the increase, simultaneous over the cells. The p-values are adjusted over the cells (Holm).
    All are None, and the decision `unclear`, if no pair has answers on both sides.
    """

    effect: Effect | None
    p_holm: float | None
    gen_effect: Effect | None
    gen_p_holm: float | None
    lower_bound: float | None
    decision: Decision


def decide(cells: Sequence[Pairs], limits: Sequence[float]) -> list[Decided]:
    """The decision on each cell. `limits` are the largest increases allowed in each, as fractions in [0, 1]."""
    found = [(paired_effect(*cell), effect_on_these_questions(*cell)) for cell in cells]
    tested = {
        index: (effect, gen_effect)
        for index, (effect, gen_effect) in enumerate(found)
        if effect is not None and gen_effect is not None
    }
    adjusted = dict(zip(tested, holm([effect.p_value for effect, _ in tested.values()]), strict=True))
    gen_adjusted = dict(zip(tested, holm([gen_effect.p_value for _, gen_effect in tested.values()]), strict=True))
    decided: list[Decided] = []
    for index, (cell, limit) in enumerate(zip(cells, limits, strict=True)):
        if index not in tested:
            decided.append(Decided(None, None, None, None, None, "unclear"))
            continue
        effect, gen_effect = tested[index]
        lower_bound = gen_effect.interval.low
        if len(tested) > 1:
            simultaneous = effect_on_these_questions(*cell, confidence=1 - (1 - CONFIDENCE) / len(tested))
            assert simultaneous is not None  # noqa: S101  the pairs are those of `gen_effect`
            lower_bound = simultaneous.interval.low
        decision = _decision(lower_bound, gen_effect.interval.high, limit)
        decided.append(Decided(effect, adjusted[index], gen_effect, gen_adjusted[index], lower_bound, decision))
    return decided


def _decision(lower: float, upper: float, limit: float) -> Decision:
    if lower > limit:
        return "regression"
    # An interval that ends at 0 does so since the test found no difference: with a limit of 0 that shows nothing.
    return "within" if upper < limit or upper == limit > 0 else "unclear"
