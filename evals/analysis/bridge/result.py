"""judge_bridge.csv: what two judges make of the same answers, for each cell and for all together."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Literal, NamedTuple

import numpy as np

from evals.analysis.bridge.estimates import Difference, paired_difference, reported_difference
from evals.analysis.bridge.pairs import Pairs, outcome_words
from evals.io.columns import Column, column_names
from evals.numbers import percent
from evals.scoring.rates.rows import Row
from evals.scoring.rates.tally import CellKey
from evals.statistics.intervals import Interval
from evals.statistics.judge_error import (
    Corrected,
    ErrorRate,
    Errors,
    Numbers,
    effective_size,
    error_rates,
    prediction_powered,
    rogan_gladen,
)
from evals.trials.prompt import ALL

MOST_SILENT = 0.05
"""With a larger share of answers of which a judge said nothing, the others say too little about the rates."""
Standing = Literal["shown", "not_shown", "differs"]
"""Whether the data show that the second judge's rate is within the limit of the first's: that it is, neither, or that
it is not."""


def _estimate(name: str, meaning: str) -> tuple[Column, ...]:
    return (
        Column(name, "number", meaning),
        Column(f"{name}_low", "number", "lower end of its 95% interval"),
        Column(f"{name}_high", "number", "upper end of its 95% interval"),
    )


BRIDGE = (
    *(Column(name, "text", f"as in `rates.csv`; `{ALL}` for all cells together") for name in CellKey._fields),
    Column("judge_a", "text", "`imported`: the judge whose scores the file has"),
    Column("judge_b", "text", "the judge that was asked"),
    Column("answers", "integer", "complete answers, which a judge can read"),
    Column("n", "integer", "of these, answers that both judges count: all rates below are of them"),
    Column("only_a", "integer", "answers that the first judge alone counts"),
    Column("only_b", "integer", "answers that the second judge alone counts"),
    Column("neither", "integer", "answers that neither counts"),
    Column("silent", "integer", "answers of which one judge or both said nothing: unreadable, failed, not judged"),
    Column("missing_a", "text", "what the first judge said of answers that not both count, where that is no score"),
    Column("missing_b", "text", "the same of the second judge"),
    Column("both_hit", "integer", "answers that both call hits"),
    Column("hit_a", "integer", "hits by the first judge alone"),
    Column("hit_b", "integer", "hits by the second judge alone"),
    Column("neither_hit", "integer", "answers that neither calls a hit"),
    Column("rate_a", "number", "the first judge's rate among n, from 0 to 1"),
    Column("rate_b", "number", "the second judge's rate among n"),
    Column("difference", "number", "rate_b - rate_a"),
    Column("low", "number", "lower end of its 95% interval, clustered by question: for questions of this kind"),
    Column("high", "number", "upper end of that interval"),
    Column("these_low", "number", "lower end of its 95% interval for new answers to these questions"),
    Column("these_high", "number", "upper end of that interval"),
    Column("questions", "integer", "questions among n"),
    Column("reported_n_a", "integer", "answers that the first judge counts, of those on which both said something"),
    Column("reported_rate_a", "number", "its rate among these, as it would be reported"),
    Column("reported_n_b", "integer", "the same of the second judge"),
    Column("reported_rate_b", "number", "its rate among these"),
    Column("reported_low", "number", "lower end of the 95% interval of their difference, clustered by question"),
    Column("reported_high", "number", "upper end of that interval"),
    Column("reported_these_low", "number", "lower end of its 95% interval for new answers to these questions"),
    Column("reported_these_high", "number", "upper end of that interval"),
    Column("within", "number", "the limit on the difference (`--within`), as a fraction"),
    Column(
        "standing",
        "text",
        "whether both clustered intervals lie within the limit: `shown`, `not_shown`, or `differs`",
    ),
    Column("these_standing", "text", "the same by both intervals for these questions"),
    *_estimate("sensitivity", "share of the first judge's hits that the second calls hits"),
    *_estimate("specificity", "share of the first judge's other answers that the second calls no hits"),
    Column("kappa", "number", "Cohen's kappa"),
    *_estimate(
        "ppi", "the rate that the first judge would give on all `answers`, from its verdicts and the second's (PPI++)"
    ),
    *_estimate(
        "rogan_gladen", "the second judge's rate corrected for its errors in all other cells; blank for a single cell"
    ),
)
COLUMNS = column_names(BRIDGE)


class Judges(NamedTuple):
    """The names of the two judges, and the limit on the difference of their rates, as a fraction."""

    first: str
    second: str
    within: float


def bridge_row(cell: CellKey | None, pairs: Pairs, elsewhere: Pairs | None, judges: Judges) -> Row:
    """The row of a cell, or of all without one. `elsewhere` are the answers of the other cells."""
    first, second, _ = pairs.compared()
    left_a, left_b = pairs.left_out()
    only_a = int((pairs.first.counted & ~pairs.second.counted).sum())
    only_b = int((pairs.second.counted & ~pairs.first.counted).sum())
    silent = int(pairs.silent.sum())
    errors = error_rates(pairs.sample(pairs.both)) if len(first) else Errors(None, None, None)
    return {
        **(dict.fromkeys(CellKey._fields, ALL) if cell is None else cell._asdict()),
        "judge_a": judges.first,
        "judge_b": judges.second,
        "answers": len(pairs.questions),
        "n": len(first),
        "only_a": only_a,
        "only_b": only_b,
        "neither": len(pairs.questions) - len(first) - only_a - only_b,
        "silent": silent,
        "missing_a": ", ".join(outcome_words(left_a)),
        "missing_b": ", ".join(outcome_words(left_b)),
        "both_hit": int((first * second).sum()),
        "hit_a": int((first > second).sum()),
        "hit_b": int((second > first).sum()),
        "neither_hit": int(((first + second) == 0).sum()),
        "rate_a": float(first.mean()) if len(first) else None,
        "rate_b": float(second.mean()) if len(first) else None,
        **_difference_cells(pairs, judges.within),
        "within": judges.within,
        **_error_cells("sensitivity", errors.sensitivity),
        **_error_cells("specificity", errors.specificity),
        "kappa": errors.kappa,
        **_corrected_cells("ppi", prediction_powered(pairs.sample()) if len(pairs.questions) else None),
        **_corrected_cells("rogan_gladen", None if elsewhere is None else _from_elsewhere(pairs, elsewhere)),
    }


def _difference_cells(pairs: Pairs, within: float) -> dict[str, Any]:
    found = paired_difference(*pairs.compared())
    first, second, questions = pairs.reported()
    reported = reported_difference(first, second, questions)
    silent = float(pairs.silent.mean()) if len(pairs.questions) else 1.0
    return {
        "difference": found.value if found else None,
        **_ends("", found),
        "questions": found.questions if found else 0,
        **_reported_cells("a", *first),
        **_reported_cells("b", *second),
        **_ends("reported_", reported),
        "standing": standing([side and side.clustered for side in (found, reported)], within, silent)
        if found and found.questions > 1
        else "not_shown",
        "these_standing": standing([side and side.these for side in (found, reported)], within, silent),
    }


def _ends(name: str, found: Difference | None) -> dict[str, float | None]:
    ends = (*found.clustered[:2], *found.these[:2]) if found else (None,) * 4
    return dict(zip((f"{name}{end}" for end in ("low", "high", "these_low", "these_high")), ends, strict=True))


def _reported_cells(side: str, hits: Numbers, counted: Numbers) -> dict[str, Any]:
    n = int(counted.sum())
    return {f"reported_n_{side}": n, f"reported_rate_{side}": float(hits.sum()) / n if n else None}


def standing(intervals: Sequence[Interval | None], within: float, silent: float) -> Standing:
    """What the intervals of a difference show together. `silent` is the share of answers of which a judge said nothing:
    with more than MOST_SILENT of them, nothing is shown of the rates to be alike."""
    known = [interval for interval in intervals if interval is not None]
    if any(interval.low > within or interval.high < -within for interval in known):
        return "differs"
    is_inside = all(-within <= interval.low and interval.high <= within for interval in known)
    is_shown = is_inside and len(known) == len(intervals) and silent <= MOST_SILENT
    return "shown" if is_shown else "not_shown"


def _from_elsewhere(pairs: Pairs, elsewhere: Pairs) -> Corrected | None:
    """The second judge's rate here, corrected by Rogan and Gladen 1978 with its errors against the first elsewhere.

    None where there is nothing to correct, or the other cells lack hits or other answers.
    """
    here = pairs.second.counted
    if not elsewhere.both.any() or not here.any():
        return None
    errors = error_rates(elsewhere.sample(elsewhere.both))
    if errors.sensitivity is None or errors.specificity is None:
        return None
    sample = pairs.sample(here)
    size = effective_size(sample.said, np.ones_like(sample.said), sample.prompts)
    return rogan_gladen(float(sample.said.mean()), size, errors.sensitivity, errors.specificity)


def _error_cells(name: str, error: ErrorRate | None) -> dict[str, float | None]:
    values = (error.rate, error.low, error.high) if error else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


def _corrected_cells(name: str, found: Corrected | None) -> dict[str, float | None]:
    values = (found.rate, found.low, found.high) if found else (None, None, None)
    return dict(zip((name, f"{name}_low", f"{name}_high"), values, strict=True))


# --- in words --------------------------------------------------------------------------------------------------------

_NAMED = 4
"""Cells that a sentence names; the CSV has them all."""


def cell_names(rows: Sequence[Row]) -> list[str]:
    """A name for each row: its model, with what else tells cells apart."""
    cells = [row for row in rows if row["model"] != ALL]
    told = [name for name in ("suite", "condition", "trigger") if len({row[name] for row in cells}) > 1]
    return [
        "all" if row not in cells and cells else ", ".join(filter(None, (row["model"], *(row[name] for name in told))))
        for row in rows
    ]


class _Scope(NamedTuple):
    """The questions that a claim is about, and the columns that decide about it."""

    words: str
    standing: str
    low: str
    high: str


_SCOPES = (
    _Scope("on these questions", "these_standing", "these_low", "these_high"),
    _Scope("for other questions of this kind", "standing", "low", "high"),
)


def bridge_sentences(rows: Sequence[Row]) -> Iterator[str]:
    """Whether the second judge may stand in for the first, in a sentence for each kind of claim; `rows` are those of
    judge_bridge.csv. A claim is about each cell: rates that are too high in one and too low in another may be equal on
    the whole."""
    cells = [
        (name, row) for name, row in zip(cell_names(rows), rows, strict=True) if row["model"] != ALL or len(rows) == 1
    ]
    for scope in _SCOPES:
        yield _claim(cells, scope)
    if len(cells) > 1 and rows[-1]["difference"] is not None:
        row = rows[-1]
        yield (
            f"All cells together: {100 * row['difference']:+.1f} points ({_interval(row, _SCOPES[0])} on these "
            f"questions, {_interval(row, _SCOPES[1])} for others), in which opposite differences can cancel out."
        )


def _claim(cells: Sequence[tuple[str, Row]], scope: _Scope) -> str:
    row = cells[0][1]
    name, within = row["judge_b"], f"within {100 * row['within']:g} points"
    shown, other, differs = (
        [cell for cell in cells if cell[1][scope.standing] == standing]
        for standing in ("shown", "not_shown", "differs")
    )
    open_words = f"not shown: {_listed(other, scope)}" if other else ""
    if differs:
        more = f" ({open_words})" if other else ""
        return f"{name} may not stand in {within} {scope.words}: it differs by more in {_listed(differs, scope)}{more}."
    if not shown:
        return f"The data do not show that {name} may stand in {within} {scope.words}: {_listed(other, scope)}."
    if len(cells) == 1:
        least = 100 * max(abs(row[f"{of}{end}"]) for of in ("", "reported_") for end in (scope.low, scope.high))
        return f"{name} may stand in {within} {scope.words} ({_interval(row, scope)}, so within {least:.1f})."
    where = f"in all {len(cells)} cells" if not other else f"in {len(shown)} of {len(cells)} cells; {open_words}"
    return f"{name} may stand in {within} {scope.words} {where}."


def _listed(cells: Sequence[tuple[str, Row]], scope: _Scope) -> str:
    words = [f"{name} ({_reason(row, scope)})" for name, row in cells[:_NAMED]]
    return "; ".join([*words, *([f"and {len(cells) - _NAMED} more"] if len(cells) > _NAMED else [])])


def _reason(row: Row, scope: _Scope) -> str:
    if row["difference"] is None:
        return "no answer counts for both judges"
    if scope.standing == "standing" and row["questions"] < 2:
        return "one question"
    if row["silent"] > MOST_SILENT * row["answers"] and row[scope.standing] == "not_shown":
        return f"{row['silent']} of {row['answers']} answers lack a verdict"
    low, high, within = row[scope.low], row[scope.high], row["within"]
    if row[scope.standing] == "shown" or low < -within or high > within:
        return _interval(row, scope)
    # The answers that both count say nothing else: what differs is which answers each counts.
    rates = f"{percent(row['reported_rate_a'])} of {row['reported_n_a']}"
    return (
        f"reported as {rates} and {percent(row['reported_rate_b'])} of {row['reported_n_b']}, as they count different "
        f"answers; {_interval(row, _Scope('', '', f'reported_{scope.low}', f'reported_{scope.high}'))}"
    )


def _interval(row: Row, scope: _Scope) -> str:
    return f"95%: {100 * row[scope.low]:+.1f} to {100 * row[scope.high]:+.1f}"
