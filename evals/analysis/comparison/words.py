"""A comparison in words, shared by the terminal, JUnit and the nightly summary."""

from __future__ import annotations

from collections import Counter

from evals.analysis.comparison.result import CellChange, Compared, Side, unscored_words
from evals.numbers import counted, p_words, percent, points
from evals.text import capitalized

_MEANING = {
    "regression": "worse on these questions by more than is allowed",
    "unscored": "too many answers are not scored for a decision",
    "unclear": "the answers do not tell",
    "within": "no change for the worse on these questions above what is allowed",
}

_SURE = 0.05


def side_words(side: Side) -> tuple[str, str]:
    """A rate and its counts: `5.2%` and `5/96`, or `no rate` and `0/0`."""
    return percent(side.rate) if side.n else "no rate", f"{side.k:,}/{side.n:,}"


def cell_words(cell: CellChange) -> str:
    """The decision on a cell and its numbers, in one sentence."""
    if cell.decision == "unscored":
        return f"unscored: {'; '.join(unscored_words(cell))}"
    if cell.increase is None:
        return "unclear: no question has an answer in n on both sides"
    interval = f"{interval_words(cell.gen_low, cell.gen_high)}, p {p_words(cell.gen_p_holm)} by Holm"
    questions = counted(cell.n_prompts, "question")
    change = f"{points(cell.increase)} points (95% interval, same questions: {interval}, {questions})"
    return f"{cell.decision}: {change}; {_reason(cell)}; {_new_questions(cell)}"


def _new_questions(cell: CellChange) -> str:
    """The effect on new questions of the kind, which decides nothing."""
    interval = interval_words(cell.ci_low, cell.ci_high)
    return f"95% interval, new questions: {interval}, p {p_words(cell.p_holm)} by Holm"


def interval_words(low: float | None, high: float | None) -> str:
    """The interval of a change in points: `+5.1 to +29.9`; a dash without one."""
    return "–" if low is None else f"{points(low)} to {points(high)}"


def _reason(cell: CellChange) -> str:
    """What the decision on a cell with a change rests on."""
    limit, least, worse_by = f"{100 * cell.limit:.1f}", cell.worse_by_at_least or 0.0, cell.worse_by or 0.0
    word, article = ("increase", "an") if cell.worse == "increase" else ("decrease", "a")
    if cell.decision == "regression":
        return f"{article} {word} of at least {_at_least(least, cell.limit)} points, with {limit} allowed"
    if cell.decision == "within":
        return f"the interval holds no {word} above the {limit} allowed"
    if worse_by > cell.limit and cell.gen_p_holm is not None and cell.gen_p_holm < _SURE:
        higher, nearest = ("higher", cell.gen_low) if cell.worse == "increase" else ("lower", cell.gen_high)
        # The interval is that of one cell; the bound that decides is wider with several.
        among = (
            "" if nearest is None or abs(nearest) <= cell.limit else f" (by at least {100 * least:.1f}, over all cells)"
        )
        return f"{higher}, but not shown to be more than {limit} points {higher}{among}"
    return f"the interval also holds {article} {word} above the {limit} allowed"


def _at_least(bound: float, limit: float) -> str:
    """A bound above the limit in points, with the digits that show it to be above."""
    for digits in range(1, 6):
        text = f"{100 * bound:.{digits}f}"
        if float(text) > float(f"{100 * limit:.1f}"):
            return text
    return f"{100 * bound:.2g}"


def decision_words(compared: Compared) -> str:
    """The whole comparison in one sentence."""
    count = Counter(cell.decision for cell in compared.cells)
    worst = compared.decision
    others = ", ".join(f"{count[name]} {name}" for name in _MEANING if count[name])
    return f"{capitalized(worst)}: {_MEANING[worst]} ({others} of {counted(len(compared.cells), 'cell')})."
