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
    """The effect of a row of probabilities.csv: `+0.12 [-2.45, +2.64] log-odds, odds x1.13 (12 questions, +0.08 to
    +0.17 each)`."""
    mean: float = row["effect"]
    interval = "" if row["effect_low"] is None else f" [{row['effect_low']:+.2f}, {row['effect_high']:+.2f}]"
    factor = f"odds x{math.exp(min(mean, _MOST)):.3g}"
    each = f", {row['effect_least']:+.2f} to {row['effect_most']:+.2f} each" if row["n_effect"] > 1 else ""
    return f"{mean:+.2f}{interval} log-odds, {factor} ({counted(row['n_effect'], 'question')}{each})"
