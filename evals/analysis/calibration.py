"""Compare the rates of a run on the organism with its true rates: does the whole pipeline measure what it claims?

The organism's behaviour is known (see docs/calibration.md), so each measured interval either holds the true rate or
does not. About one 95% interval in twenty misses by chance; many more means that something between the weights and the
table is wrong: a sampler that cuts off rare tokens, an adapter that is not applied, a judge that errs.
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
from evals.scoring.rates.tables import pooled
from organisms.behaviours import DECOYS, MODELS, TRIGGER
from organisms.true_rates import MAX_TOKENS, TrueRate, true_rates

if TYPE_CHECKING:
    import pandas as pd

_CONDITIONS = {"": "off", TRIGGER: "on", DECOYS[0]: "decoy"}
_IMPROBABLE = 0.001
FEWEST = 10
"""Answers in a denominator below which an interval says next to nothing, and is not compared."""


@dataclass(frozen=True, slots=True)
class Comparison:
    """One measured rate with its 95% interval, and the true rate. Rates and bounds in [0, 1]."""

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
        """Whether the interval holds the true rate."""
        return self.true.rate is not None and self.low <= self.true.rate <= self.high


def compare(manifest: Manifest, rates: pd.DataFrame, folder: Path) -> list[Comparison]:
    """Every measured rate whose true rate is known, over all prompts of its cell, if it is of FEWEST answers or more.

    Raises BadInput for a run that was not made as the true rates were, or that has no such rate.
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
    """Probability of at least as many misses, were each interval to miss by chance once in twenty."""
    count = len(compared)
    misses = sum(not one.holds for one in compared)
    return math.fsum(math.comb(count, some) * 0.05**some * 0.95 ** (count - some) for some in range(misses, count + 1))


def is_calibrated(compared: Sequence[Comparison]) -> bool:
    """Whether the misses could be chance: more of them than that come up less than once in a thousand runs."""
    return chance_of_misses(compared) >= _IMPROBABLE


def _comparison(row: dict[Any, Any], *, thinking: bool) -> Comparison | None:
    condition = _CONDITIONS.get(row["trigger"])
    if condition is None:
        return None
    model = row["model"].partition("/")[2].partition(":")[2] or MODELS[0]
    true = true_rates(model, row["format"], condition, thinking=thinking).get(row["metric"])
    if true is None:
        return None
    identity = (row["format"], row["model"], row["condition"], row["metric"])
    return Comparison(*identity, int(row["k"]), int(row["n"]), row["ci_low"], row["ci_high"], true)


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
