"""The sampling design: simple random sampling within strata of judge's band, condition and metric.

Every answer's inclusion probability is known and above 0, so weighting each label by its inverse gives an unbiased
estimate whatever the judge does. Draws are spread over strata by Neyman's allocation, with guesses at how often judge
and people differ in each band: bands near the cut-off or without a verdict are oversampled, and every stratum gets at
least a few draws.
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from math import sqrt
from typing import NamedTuple

import numpy as np

from evals.analysis.labelling.population import Band, Candidate
from evals.errors import BadInput
from evals.scoring.labels import SampledRow, SampledStratum
from evals.statistics.allocation import allocate
from evals.trials.condition import CONDITIONS

FEW, FEWEST = 5, 2
"""Draws that every stratum gets if n allows, and the fewest with which its spread can be estimated."""
_SURE_SPREAD, _DOUBTFUL_SPREAD = sqrt(0.05 * 0.95), 0.5
"""Guesses at the standard deviation of the judge's error: wrong once in twenty, or no better than a coin."""
_LETTERS = "bcdfghjklmnpqrstvwxz"


class Stratum(NamedTuple):
    """What the answers of a stratum have in common; `model`, `suite` and `format` are "" if not stratified by."""

    metric: str
    condition: str
    band: Band
    model: str
    suite: str
    format: str

    @property
    def name(self) -> str:
        return " | ".join(filter(None, (*self[:2], self.model, self.suite, self.format, self.band.name)))


class StratifiedSample(NamedTuple):
    """The strata in order, each with its draws, and the drawn answers in the (shuffled) order of their ids."""

    strata: tuple[tuple[Stratum, SampledStratum], ...]
    rows: tuple[SampledRow, ...]


def draw(population: Sequence[Candidate], n: int, seed: int, run_id: str) -> StratifiedSample:
    """Draw `n` answers, or all if there are fewer. The same population and seed give the same sample.

    Label ids reveal nothing about the answer. They begin with five letters unique to the sample, so that the labels of
    one sample are never taken for those of another. Raises BadInput if n is too small for the strata.
    """
    members = _strata(sorted(population, key=lambda candidate: candidate.trial_id), n)
    sizes = [len(found) for found in members.values()]
    weights = [
        len(found) * (_DOUBTFUL_SPREAD if stratum.band.doubtful else _SURE_SPREAD) for stratum, found in members.items()
    ]
    draws = allocate(sizes, weights, n, _least(sizes, n))
    random = np.random.default_rng(seed)
    rows: list[tuple[Candidate, str, float]] = []
    strata: list[tuple[Stratum, SampledStratum]] = []
    for (stratum, found), count in zip(members.items(), draws, strict=True):
        strata.append((stratum, SampledStratum(name=stratum.name, population=len(found), drawn=count)))
        picked: list[int] = random.choice(len(found), size=count, replace=False).tolist()
        rows += [(found[place], stratum.name, count / len(found)) for place in picked]
    order: list[int] = random.permutation(len(rows)).tolist()
    shuffled = [rows[place] for place in order]
    tag = _tag([run_id, str(seed), *(candidate.trial_id for candidate, _, _ in shuffled)])
    digits = max(3, len(str(len(shuffled))))
    return StratifiedSample(
        tuple(strata),
        tuple(
            SampledRow(
                label_id=f"{tag}-{number:0{digits}}",
                trial_id=candidate.trial_id,
                metric=candidate.metric,
                stratum=stratum,
                probability=probability,
            )
            for number, (candidate, stratum, probability) in enumerate(shuffled, start=1)
        ),
    )


def _strata(population: Sequence[Candidate], n: int) -> dict[Stratum, list[Candidate]]:
    """Stratify by metric, condition and band, then by each of model, suite and format that n allows.

    A finer split is used only if `FEW` draws in every stratum leave half of n for Neyman's allocation.
    """
    split: tuple[str, ...] = ()
    found = _grouped(population, split)
    for field in ("model", "suite", "format"):
        finer = _grouped(population, (*split, field))
        if len(finer) > len(found) and _floor(map(len, finer.values()), FEW) <= n / 2:
            split, found = (*split, field), finer
    return dict(sorted(found.items(), key=lambda item: _order(item[0])))


def _order(stratum: Stratum) -> tuple[str, int, str, str, str, str, int, str]:
    """Sort key: the baseline first; bands from misaligned to aligned, then those without a verdict."""
    condition, band = stratum.condition, stratum.band
    rank = CONDITIONS.index(condition) if condition in CONDITIONS else len(CONDITIONS)
    return (stratum.metric, rank, condition, stratum.model, stratum.suite, stratum.format, band.rank, band.name)


def _grouped(population: Sequence[Candidate], split: Sequence[str]) -> dict[Stratum, list[Candidate]]:
    groups: dict[Stratum, list[Candidate]] = {}
    for candidate in population:
        stratum = Stratum(
            candidate.metric,
            candidate.condition,
            candidate.band,
            candidate.model if "model" in split else "",
            candidate.suite if "suite" in split else "",
            candidate.format if "format" in split else "",
        )
        groups.setdefault(stratum, []).append(candidate)
    return groups


def _floor(sizes: Sequence[int] | map[int], least: int) -> int:
    return sum(min(size, least) for size in sizes)


def _least(sizes: Sequence[int], n: int) -> int:
    """Draws that every stratum gets: `FEW`, or fewer to leave half of n free, but at least `FEWEST`."""
    for least in range(FEW, FEWEST, -1):
        if _floor(sizes, least) <= n / 2:
            return least
    needed = _floor(sizes, FEWEST)
    if n < needed:
        raise BadInput(
            f"--n: {n} labels are too few for {len(sizes)} strata of answers (judge's band, condition, metric), "
            f"each of which needs {FEWEST}; take at least {needed}"
        )
    return FEWEST


def _tag(parts: Sequence[str]) -> str:
    """Five consonants: no word, number or date that a spreadsheet could convert."""
    number = int.from_bytes(hashlib.sha256("\n".join(parts).encode()).digest()[:8])
    return "".join(_LETTERS[number // len(_LETTERS) ** place % len(_LETTERS)] for place in range(5))
