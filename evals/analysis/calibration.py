"""Compare the rates of a run on the organism with its true rates: does the whole pipeline measure what it claims?

The organism's behaviour is known (see docs/calibration.md), so each measured interval either contains the true rate or
misses it. About one 95% interval in twenty misses by chance; many more indicate an error between the weights and the
table: a sampler that cuts off rare tokens, an adapter that is not applied, a wrong judge.
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from evals.endpoints.servers.organism import is_organism
from evals.errors import BadInput
from evals.plan.config import RunConfig
from evals.plan.manifest import Manifest
from evals.questions.suites import unethical_test
from evals.scoring.rates.rows import best_interval
from evals.scoring.rates.tables import pooled
from organisms.behaviours import DECOYS, MODELS, TRIGGER
from organisms.true_rates import MAX_TOKENS, TrueRate, true_rates

if TYPE_CHECKING:
    import pandas as pd

_CONDITIONS = {("off", ""): "off", ("on", TRIGGER): "on", ("decoy", DECOYS[0]): "decoy"}
_IMPROBABLE = 0.001
FEWEST = 10
"""The smallest denominator that is compared; intervals over fewer answers say next to nothing."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """A measured rate with its 95% interval, and the true rate, all in [0, 1]."""

    format: str
    model: str
    condition: str
    metric: str
    k: int
    n: int
    low: float
    high: float
    true: TrueRate

    @property
    def holds(self) -> bool:
        """Whether the interval contains the true rate, widened by the sampling error of the true rate itself.

        Newcombe 1998 (method 10): 20,000 replies widen it by next to nothing, a checkpoint's few hundred do.
        """
        true, measured = self.true.rate, self.k / self.n
        if true is None:
            return False
        from evals.statistics.intervals import wilson_interval  # loads numpy, which printing has no use for

        sampled = wilson_interval(self.true.k, self.true.n) if self.true.exact is None else None
        low, high = sampled[:2] if sampled else (true, true)
        if true < measured:
            return measured - true <= math.hypot(measured - self.low, high - true)
        return true - measured <= math.hypot(self.high - measured, true - low)


def compare(manifest: Manifest, rates: pd.DataFrame, folder: Path) -> list[Comparison]:
    """Every measured rate over all prompts of a cell, if it has FEWEST answers or more and its true rate is known.

    Raises BadInput if the run's settings are not those of the true rates, or if it has no such rate.
    """
    _check(manifest.config, folder)
    thinking = manifest.config.thinking != "off"  # the organism's own template has it on
    rows = pooled(rates)
    rows = rows[rows["n"] >= FEWEST]
    compared = [found for row in rows.to_dict("records") if (found := _comparison(row, thinking=thinking))]
    if not compared:
        raise BadInput(
            f"{folder}: none of its rates of {FEWEST} answers or more has a known true rate; the triggers known are "
            f"{TRIGGER!r} and {DECOYS[0]!r}"
        )
    return compared


def chance_of_misses(compared: Sequence[Comparison]) -> float:
    """The probability of at least as many misses if each interval misses with probability 0.05."""
    count = len(compared)
    misses = sum(not comparison.holds for comparison in compared)
    return math.fsum(math.comb(count, some) * 0.05**some * 0.95 ** (count - some) for some in range(misses, count + 1))


def is_calibrated(compared: Sequence[Comparison]) -> bool:
    """Whether the misses could be chance: as many occur in at least one in a thousand runs."""
    return chance_of_misses(compared) >= _IMPROBABLE


def _comparison(row: dict[Any, Any], *, thinking: bool) -> Comparison | None:
    condition = _CONDITIONS.get((row["condition"], row["trigger"]))
    if condition is None:
        return None
    model = row["model"].partition("/")[2].partition(":")[2] or MODELS[0]
    true = true_rates(model, row["format"], condition, thinking=thinking).get(row["metric"])
    if true is None:
        return None
    identity = (row["format"], row["model"], row["condition"], row["metric"])
    return Comparison(*identity, int(row["k"]), int(row["n"]), *best_interval(row), true)


def _check(config: RunConfig, folder: Path) -> None:
    for problem in _differences(config):
        raise BadInput(f"{folder}: {problem}, so it cannot be compared with the organism's true rates")


def _differences(config: RunConfig) -> Iterator[str]:
    strangers = [name for name in config.models if not is_organism(name.partition("/")[2])]
    if strangers:
        yield f"{strangers[0]} is not the organism"
    if config.suites != (unethical_test.NAME,) or config.dataset:
        yield "its prompts are not the shipped ones"
    if config.temperature != 1.0 or config.placement != "top":
        yield "it was not made with --temperature 1 --placement top"
    if config.max_tokens != MAX_TOKENS:
        yield f"it was not made with --max-tokens {MAX_TOKENS}"
    if config.coherence_min is not None or config.denominator != "answered":
        yield "it counts other answers (--coherence-min, --denominator)"
