"""Which checkpoints differ from their baselines, over all nights: false findings are controlled among all of them."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping

from evals.nightly.results import CheckpointResult, Night
from evals.statistics.online_discoveries import online_discoveries


def differing(night: Night) -> dict[str, bool]:
    """Of each checkpoint of the night that was compared, whether it is found to differ from its baseline, among the
    checkpoints of the nights before and those before it tonight."""
    earlier = _earlier(row for row in night.before if row["night"] < night.name)
    compared = [result for result in night.measured if result.status == "complete"]
    tonight = {result.checkpoint.name: p_value for result in compared if (p_value := _p_value(result)) is not None}
    found = online_discoveries([*earlier, *tonight.values()])
    return dict(zip(tonight, found[len(earlier) :], strict=True))


def _earlier(rows: Iterable[Mapping[str, str]]) -> list[float]:
    """The least adjusted p-value of each checkpoint and night, in their order."""
    least: dict[tuple[str, str], float] = {}
    for row in rows:
        p_value = _number(row["gen_p_holm"])
        if p_value is not None:
            key = (row["night"], row["checkpoint"])
            least[key] = min(p_value, least.get(key, 1.0))
    return list(least.values())


def _p_value(result: CheckpointResult) -> float | None:
    known = [judged.change.gen_p_holm for judged in result.judged if judged.change is not None]
    return min((p_value for p_value in known if p_value is not None), default=None)


def _number(text: str) -> float | None:
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) and 0 <= value <= 1 else None
