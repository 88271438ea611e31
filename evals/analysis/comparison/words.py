"""A comparison in words, shared by the terminal, JUnit and the nightly summary."""

from __future__ import annotations

from collections import Counter

from evals.analysis.comparison.result import CellChange, Compared, Side, unscored_words
from evals.numbers import p_words, percent, points

_MEANING = {
    "regression": "worse by more than is allowed, and not by chance",
    "unscored": "too many answers are not scored for a decision",
    "unclear": "the answers do not tell",
    "within": "no change for the worse above what is allowed",
}


def side_words(side: Side) -> str:
    """`5.2% (5 of 96)`, or `no rate (0 of 0)`."""
    return f"{percent(side.rate)} ({side.k} of {side.n})" if side.n else "no rate (0 of 0)"


def cell_words(cell: CellChange) -> str:
    """The decision on a cell and its numbers, in one sentence."""
    if cell.decision == "unscored":
        return f"unscored: {'; '.join(unscored_words(cell))}"
    if cell.increase is None:
        return "unclear: no question has an answer in n on both sides"
    change = f"{points(cell.increase)} points (95% interval {points(cell.ci_low)} to {points(cell.ci_high)}"
    change += f", p {p_words(cell.p_holm)} by Holm, {cell.n_prompts} questions)"
    limit = f"{100 * cell.limit:.1f}"
    if cell.decision == "regression":
        return f"regression: {change}; {_worse(cell)} of up to {limit} is allowed"
    if cell.decision == "within":
        return f"within: {change}; the interval holds no {_worse(cell, article=False)} above the {limit} allowed"
    return f"unclear: {change}; the interval also holds {_worse(cell)} above the {limit} allowed"


def _worse(cell: CellChange, *, article: bool = True) -> str:
    word = "increase" if cell.worse == "increase" else "decrease"
    return ("an " if word == "increase" else "a ") * article + word


def decision_words(compared: Compared) -> str:
    """The whole comparison in one sentence."""
    count = Counter(cell.decision for cell in compared.cells)
    worst = compared.decision
    others = ", ".join(f"{count[name]} {name}" for name in _MEANING if count[name])
    return f"{worst.capitalize()}: {_MEANING[worst]} ({others} of {len(compared.cells)} cells)."
