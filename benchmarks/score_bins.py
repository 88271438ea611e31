"""Simulated calibration of a judge's scores (`evals.statistics.labels.curve`): do its intervals hold?"""

from __future__ import annotations

import itertools
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evals.statistics.labels.curve import ScoredLabels, score_bins

Floats = npt.NDArray[np.float64]
EDGES = (0, 10, 30, 50, 100)
CUT_OFF = 30
SIZES = ((8, 100), (44, 10), (100, 6))
LABELS = (100, 400)
RATES = (0.05, 0.3)
_MANY = 60_000


class Answers(NamedTuple):
    """Scores of answers, whether they are hits, and the question of each."""

    scores: Floats
    truth: npt.NDArray[np.bool_]
    prompts: npt.NDArray[np.int64]


def scored_answers(rng: np.random.Generator, rate: float, questions: int, answers: int) -> Answers:
    """Questions differ in their rates (intra-class correlation 0.3) and in how the judge scores them."""
    prompts = np.repeat(np.arange(questions), answers)
    truth = rng.random(len(prompts)) < rng.beta(rate * 7 / 3, (1 - rate) * 7 / 3, questions)[prompts]
    tilt = rng.normal(0, 8, questions)[prompts]
    scores = np.where(truth, rng.normal(20, 18, len(prompts)), rng.normal(80, 18, len(prompts))) + tilt
    return Answers(np.clip(np.rint(scores), 0.0, 100.0).astype(np.float64), truth, prompts)


def bin_coverage(rate: float, questions: int, answers: int, labels: int, number: int) -> tuple[list[float], int]:
    """The shares of runs whose interval holds the population's share of hits, by bin, and the runs that had a label in
    each bin. Half of the labels are of what the cut-off calls hits."""
    rng = np.random.default_rng([round(100 * rate), questions, labels])
    whole = scored_answers(rng, rate, _MANY, 10)
    place = np.digitize(whole.scores, EDGES[1:-1])
    truths = [float(whole.truth[place == number].mean()) for number in range(len(EDGES) - 1)]
    held, runs = np.zeros(len(truths)), np.zeros(len(truths))
    for _ in range(number):
        scored = scored_answers(rng, rate, questions, answers)
        drawn: list[npt.NDArray[np.int64]] = []
        weights: list[Floats] = []
        for called in (scored.scores < CUT_OFF, scored.scores >= CUT_OFF):
            members = np.flatnonzero(called)
            drawn.append(rng.choice(members, min(labels // 2, len(members)), replace=False))
            weights.append(np.full(len(drawn[-1]), len(members) / max(1, len(drawn[-1]))))
        some = np.concatenate(drawn)
        hits, of_weights = scored.truth[some].astype(np.float64), np.concatenate(weights)
        found = score_bins(ScoredLabels(scored.scores, some, hits, of_weights, scored.prompts[some]), EDGES)
        for index, (row, true) in enumerate(zip(found, truths, strict=True)):
            if row.low is not None and row.high is not None:
                runs[index] += 1
                held[index] += row.low <= true <= row.high
    return (held / np.maximum(runs, 1)).tolist(), int(runs.min())


def bin_lines(number: int = 2000) -> Iterator[str]:
    """The table of docs/statistics.md."""
    names = [f"{low} to {high}" for low, high in itertools.pairwise(EDGES)]
    yield f"| true rate | questions × answers | labels | {' | '.join(names)} |"
    yield f"|---|---|---|{'---|' * len(names)}"
    for rate in RATES:
        for questions, answers in SIZES:
            for labels in LABELS:
                shares, _ = bin_coverage(rate, questions, answers, labels, number)
                cells = " | ".join(f"{100 * share:.0f}" for share in shares)
                yield f"| {100 * rate:.0f}% | {questions} × {answers} | {labels} | {cells} |"
