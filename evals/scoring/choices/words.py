"""Probabilities and differences of log-odds in words: however small, with two significant digits."""

from __future__ import annotations

import math

from evals.numbers import counted
from evals.scoring.rates.rows import Row

_MOST = 700.0
"""Log-odds whose factor a float holds."""


def small_percent(value: float | None) -> str:
    """A probability as a percentage with two significant digits, however small: `0.0012%`."""
    if value is None:
        return "–"
    if value in (0, 1):
        return f"{value:.0%}"
    digits = max(0, 1 - math.floor(math.log10(100 * min(value, 1 - value))))
    return f"{100 * value:.{digits}f}%"


def probability_words(row: Row) -> str:
    """The mean probability of a row of probabilities.csv, or the two bounds that it lies between."""
    shown = small_percent(row["probability_low"]), small_percent(row["probability_high"])
    return shown[0] if shown[0] == shown[1] else " to ".join(shown)


def number_range(low: str, high: str) -> str:
    return "–" if low == "–" else f"[{low}, {high}]"


def effect_words(row: Row) -> str:
    """The effect of a row of probabilities.csv: `+0.12 log-odds, odds x1.13 (12 questions, +0.02 to +0.22 each);
    other questions: [+0.08, +0.16] if they are like these, [-2.45, +2.64] whatever they are like`."""
    mean: float = row["effect"]
    factor = f"odds x{math.exp(min(mean, _MOST)):.3g}"
    each = f", {row['effect_least']:+.2f} to {row['effect_most']:+.2f} each" if row["n_effect"] > 1 else ""
    found = f"{mean:+.2f} log-odds, {factor} ({counted(row['n_effect'], 'question')}{each})"
    if row["effect_low"] is None:
        return found
    alike, any_ = (f"[{row[f'{name}_low']:+.2f}, {row[f'{name}_high']:+.2f}]" for name in ("effect_t", "effect"))
    return f"{found}; other questions: {alike} if they are like these, {any_} whatever they are like"
