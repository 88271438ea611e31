"""The interval of Cohen's kappa of a judge and labels of some of its answers, drawn with known probabilities.

Kappa follows from three shares: of answers that the judge calls hits, and of true hits among these and among the
others. Each has an interval that knows of questions, weights and rare hits (`evals.statistics.judge_error`), and what
each could do to kappa is added in quadrature (as MOVER does, Zou and Donner 2008).
"""

from __future__ import annotations

import math

from evals.statistics.intervals import CONFIDENCE
from evals.statistics.judge_error import JudgedSample, verdict_group
from evals.statistics.labels.agreement import Coefficient


def judge_kappa(judged: JudgedSample, confidence: float = CONFIDENCE) -> Coefficient | None:
    """Kappa of verdict and label over all answers; None where it is undefined, or a verdict has no label."""
    if not len(judged.labelled):
        return None
    yes, no = verdict_group(judged, 1, confidence), verdict_group(judged, 0, confidence)
    if yes is None or no is None:
        return None
    share, hits, missed = yes.share, yes.hits, no.hits
    value = _kappa(share.value, hits.value, missed.value)
    if value is None:
        return None
    down = up = 0.0
    for moved in (
        [_kappa(end, hits.value, missed.value) for end in (share.low, share.high)],
        [_kappa(share.value, end, missed.value) for end in (hits.low, hits.high)],
        [_kappa(share.value, hits.value, end) for end in (missed.low, missed.high)],
    ):
        changes = [0.0, *(kappa - value for kappa in moved if kappa is not None)]
        down, up = down + min(changes) ** 2, up + max(changes) ** 2
    return Coefficient(value, max(-1.0, value - math.sqrt(down)), min(1.0, value + math.sqrt(up)))


def _kappa(said: float, hits: float, missed: float) -> float | None:
    """Kappa where a share `said` is called hits, of which a share `hits` are, and of the others a share `missed`."""
    true = said * hits + (1 - said) * missed
    by_chance = said * true + (1 - said) * (1 - true)
    if by_chance >= 1:
        return None
    return (said * hits + (1 - said) * (1 - missed) - by_chance) / (1 - by_chance)
