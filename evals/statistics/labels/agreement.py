"""Intervals of kappa and alpha by a bootstrap of questions, since answers to one question go together.

Each is a function of sums over questions (of a table of verdicts, of disagreements), so a resample is a weighted sum.
The interval is the bootstrap-t (Efron and Tibshirani 1993, ch. 12.5) of arctanh of the coefficient, whose standard
error comes from the questions' influences; its ends lie at least as far out as those of t with questions - 1 degrees of
freedom, because a few questions resample too much alike. Where all verdicts agree nothing varies, and the lower end
follows from how often they could differ on questions like these.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Hashable, Sequence
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt
from scipy import special  # pyright: ignore[reportMissingTypeStubs]

from evals.statistics.intervals import CONFIDENCE, generalisation_interval

Numbers = npt.NDArray[np.float64]
Codes = npt.NDArray[np.int64]

_RESAMPLES, _MOST_QUESTIONS = 999, 500
"""Of more questions the bootstrap would say what t says."""
_FEWEST = 100
"""Resamples with a coefficient, for which there must be a spread of verdicts."""
_MOST = 1 - 1e-4
_SEED = 20240611

# The library has no types.
_t_quantile: Any = special.stdtrit


class Coefficient(NamedTuple):
    """A coefficient of agreement, at most 1, and its interval; both ends are None where one question shows nothing of
    others, or where no disagreement can be told from the verdicts."""

    value: float
    low: float | None
    high: float | None


def kappa_interval(
    first: Sequence[Hashable],
    second: Sequence[Hashable],
    questions: Codes,
    weights: Numbers | None = None,
    confidence: float = CONFIDENCE,
) -> Coefficient | None:
    """Cohen's kappa of two judges or people with its interval; None where it is undefined.

    `questions` numbers the question of each answer. `weights` are for how many answers each one stands, where they are
    a sample with known probabilities.
    """
    kinds = {kind: number for number, kind in enumerate(dict.fromkeys([*first, *second]))}
    cells = np.array([kinds[a] * len(kinds) + kinds[b] for a, b in zip(first, second, strict=True)], dtype=np.int64)
    weights = np.ones(len(cells)) if weights is None else weights
    parts = _sums(questions, np.eye(len(kinds) ** 2)[cells] * weights[:, None])
    alike = np.array([a == b for a, b in zip(first, second, strict=True)], dtype=np.float64)
    agreed = _sums(questions, np.stack([alike, np.ones_like(alike)], axis=1))
    return _coefficient(_kappa, parts, agreed, confidence)


def nominal_alpha_interval(values: Numbers, questions: Codes, confidence: float = CONFIDENCE) -> Coefficient | None:
    """Krippendorff's alpha of nominal verdicts with its interval; `values` as in `nominal_alpha`."""
    values, questions = _paired(values, questions)
    given = ~np.isnan(values)
    kinds, codes = np.unique(values[given], return_inverse=True)
    counts = np.zeros((values.shape[1], len(kinds)))  # of each kind, by answer
    np.add.at(counts, (np.nonzero(given)[1], codes), 1)
    number = counts.sum(axis=1)
    unlike = (number**2 - (counts**2).sum(axis=1)) / (number - 1)
    agreed = _sums(questions, np.stack([unlike == 0, np.ones_like(unlike)], axis=1).astype(np.float64))
    return _coefficient(_nominal_alpha, _sums(questions, np.column_stack([unlike, counts])), agreed, confidence)


def interval_alpha_interval(values: Numbers, questions: Codes, confidence: float = CONFIDENCE) -> Coefficient | None:
    """Krippendorff's alpha of scores with its interval; `values` as in `interval_alpha`."""
    values, questions = _paired(values, questions)
    given = ~np.isnan(values)
    shifted = np.where(given, values - (values[given].mean() if given.any() else 0.0), 0.0)
    number, sums, squares = given.sum(axis=0).astype(np.float64), shifted.sum(axis=0), (shifted**2).sum(axis=0)
    unlike = (number * squares - sums**2) / (number - 1)
    return _coefficient(
        _interval_alpha, _sums(questions, np.column_stack([unlike, number, sums, squares])), None, confidence
    )


# --- coefficients of sums, whose last axis is what is summed ---------------------------------------------------------


def _kappa(sums: Numbers) -> Numbers:
    """Of a flattened table of two judges' labels."""
    size = math.isqrt(sums.shape[-1])
    table = sums.reshape(*sums.shape[:-1], size, size)
    total = sums.sum(axis=-1)
    alike = np.trace(table, axis1=-2, axis2=-1) / total
    by_chance = (table.sum(axis=-1) * table.sum(axis=-2)).sum(axis=-1) / total**2
    return _one_less(1 - alike, 1 - by_chance)


def _nominal_alpha(sums: Numbers) -> Numbers:
    """Of unlike pairs, and the number of verdicts of each kind."""
    total = sums[..., 1:].sum(axis=-1)
    expected = (total**2 - (sums[..., 1:] ** 2).sum(axis=-1)) / (total * (total - 1))
    return _one_less(sums[..., 0] / total, expected)


def _interval_alpha(sums: Numbers) -> Numbers:
    """Of squared distances in answers, and the number, sum and sum of squares of the scores."""
    unlike, total, linear, squares = np.moveaxis(sums, -1, 0)
    return _one_less(unlike / total, (total * squares - linear**2) / (total * (total - 1)))


def _one_less(observed: Numbers, expected: Numbers) -> Numbers:
    """1 - observed / expected disagreement, NaN where none is expected."""
    return 1 - np.divide(observed, expected, out=np.full_like(observed, np.nan), where=expected > 1e-12)


# --- the interval -----------------------------------------------------------------------------------------------------


def _coefficient(
    coefficient: Callable[[Numbers], Numbers], parts: Numbers, agreed: Numbers | None, confidence: float
) -> Coefficient | None:
    """`parts` are the sums of each question, `agreed` the answers with equal verdicts and all, where 0 spread means
    that."""
    whole = parts.sum(axis=0)
    value = float(coefficient(whole[None])[0]) if len(parts) else math.nan
    if math.isnan(value):
        return None
    if len(parts) < 2:
        return Coefficient(value, None, None)
    error = float(_errors(coefficient, whole[None], parts, np.ones((1, len(parts))))[0])
    if error <= 1e-9 or value > _MOST:
        return _without_spread(coefficient, value, whole, agreed, confidence)
    down, up = _quantiles(coefficient, parts, value, confidence)
    place = math.atanh(max(-_MOST, value))
    reach = error / (1 - min(_MOST, abs(value)) ** 2)
    return Coefficient(value, min(value, math.tanh(place - up * reach)), max(value, math.tanh(place - down * reach)))


def _without_spread(
    coefficient: Callable[[Numbers], Numbers], value: float, whole: Numbers, agreed: Numbers | None, confidence: float
) -> Coefficient:
    interval = generalisation_interval(agreed[:, 0], agreed[:, 1], confidence) if agreed is not None else None
    if interval is None or value < _MOST:
        return Coefficient(value, None, None)
    # The same verdicts but for those that could differ, so that the disagreement by chance stays.
    expected = _expected(coefficient, whole)
    return Coefficient(value, max(-1.0, 1 - (1 - interval.low) / expected), 1.0)


def _expected(coefficient: Callable[[Numbers], Numbers], whole: Numbers) -> float:
    """The disagreement expected by chance where there is none: that by which one answer lowers the coefficient."""
    if coefficient is _kappa:
        size = math.isqrt(len(whole))
        margins = whole.reshape(size, size).sum(axis=0) / whole.sum()
        return float(1 - (margins**2).sum())
    counts = whole[1:]
    return float((counts.sum() ** 2 - (counts**2).sum()) / (counts.sum() * (counts.sum() - 1)))


def _quantiles(
    coefficient: Callable[[Numbers], Numbers], parts: Numbers, value: float, confidence: float
) -> tuple[float, float]:
    """The lower and upper quantile of the studentised coefficient, each at least as far out as that of t."""
    questions = len(parts)
    far = float(_t_quantile(questions - 1, (1 + confidence) / 2))
    if questions > _MOST_QUESTIONS:
        return -far, far
    random = np.random.default_rng(_SEED)
    times = random.multinomial(questions, np.full(questions, 1 / questions), _RESAMPLES).astype(np.float64)
    sums = times @ parts
    found = coefficient(sums)
    errors = _errors(coefficient, sums, parts, times)
    near = np.clip(found, -_MOST, _MOST)
    used = ~np.isnan(found) & (errors > 1e-9) & (np.abs(found) < _MOST)
    if used.sum() < _FEWEST:
        return -far, far
    spread = errors[used] / (1 - near[used] ** 2)
    studentised = (np.arctanh(near[used]) - math.atanh(max(-_MOST, min(_MOST, value)))) / spread
    tail = (1 - confidence) / 2
    return min(-far, float(np.quantile(studentised, tail))), max(far, float(np.quantile(studentised, 1 - tail)))


def _errors(coefficient: Callable[[Numbers], Numbers], sums: Numbers, parts: Numbers, times: Numbers) -> Numbers:
    """The standard error of the coefficient of each of several sums (rows) over questions that are in it so many
    `times`, from the questions' influences; its slopes are taken numerically."""
    step = 1e-5 * np.abs(sums).sum(axis=1)
    slopes = np.empty_like(sums)
    for column in range(sums.shape[1]):
        up, down = sums.copy(), sums.copy()
        up[:, column] += step
        down[:, column] -= step
        slopes[:, column] = (coefficient(up) - coefficient(down)) / (2 * step)
    influence = slopes @ parts.T - (slopes * sums).sum(axis=1, keepdims=True) / len(parts)
    questions = len(parts)
    return np.sqrt((times * influence**2).sum(axis=1) * questions / (questions - 1))


def _sums(questions: Codes, values: Numbers) -> Numbers:
    """The sums of rows by question."""
    _, codes = np.unique(questions, return_inverse=True)
    sums = np.zeros((int(codes.max(initial=-1)) + 1, values.shape[1]))
    np.add.at(sums, codes, values)
    return sums


def _paired(values: Numbers, questions: Codes) -> tuple[Numbers, Codes]:
    """The answers with at least two verdicts."""
    paired = (~np.isnan(values)).sum(axis=0) >= 2
    return values[:, paired], questions[paired]
