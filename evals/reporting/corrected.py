"""What the labels of a run correct, in words that stand before the judge's own numbers."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple

from evals.numbers import counted, p_words, percent, percent_range, points
from evals.scoring.rates.rows import BETWEEN_NOTES, PPI, Row
from evals.scoring.rates.tables import Tables

_SURE = 0.05
_PLACE = ("suite", "format", "model", "metric")


class CorrectedLines(NamedTuple):
    """The corrected rates and effects of a suite, format, model and metric, and then the same as judged; plain text."""

    title: str
    corrected: str
    as_judged: str
    notes: tuple[str, ...]


class CorrectedVerdict(NamedTuple):
    """A row of corrected_effects.csv, and the corrected rates of its two sides, rows of corrected.csv."""

    effect: Row
    treated: Row
    other: Row

    @property
    def labels(self) -> str:
        return counted(self.effect["n_labels"] + self.effect["n_labels_baseline"], "label")

    @property
    def is_sure(self) -> bool:
        return self.effect["p_holm"] < _SURE

    @property
    def words(self) -> str:
        interval = f"{points(self.effect['corrected_low'])} to {points(self.effect['corrected_high'])}"
        size = f"{points(self.effect['corrected'])} points for questions like these"
        return f"{size} (95% interval {interval}, {_p_words(self.effect)})"


def corrected_lines_of(tables: Tables) -> Iterator[CorrectedLines]:
    """The lines of each model that has labels; none for a run without labels."""
    cells = [row for row in tables.corrected_rows or () if row["method"] == PPI]
    for place in dict.fromkeys(tuple(row[name] for name in _PLACE) for row in cells):
        here = [row for row in cells if _at(row, place)]
        if not any(row["n_labels"] for row in here):
            continue
        effects = [row for row in tables.corrected_effect_rows if _at(row, place)]
        yield _lines(place, here, effects)


def corrected_verdict(tables: Tables, place: Mapping[str, str], baseline: str) -> CorrectedVerdict | None:
    """The corrected effect of the condition at a `place` (suite, format, model and condition): against the run's
    baseline, or, where there is none, against the base model. None where it cannot be corrected."""
    here = [row for row in tables.corrected_effect_rows if all(row[name] == value for name, value in place.items())]
    against_baseline = [row for row in here if not row["base"] and row["baseline"] == baseline]
    found = next(iter(against_baseline or [row for row in here if row["base"]]), None)
    if found is None or found["corrected"] is None:
        return None
    rates = [row for row in tables.corrected_rows or () if row["method"] == PPI and _is_side(row, found)]
    if len(rates) != 2:
        return None
    treated, other = sorted(rates, key=lambda row: not _is_treated(row, found))
    return CorrectedVerdict(found, treated, other)


def _at(row: Row, place: Sequence[Any]) -> bool:
    return all(row[name] == value for name, value in zip(_PLACE, place, strict=True))


def _is_treated(row: Row, effect: Row) -> bool:
    return row["model"] == effect["model"] and row["condition"] == effect["condition"]


def _is_side(row: Row, effect: Row) -> bool:
    if any(row[name] != effect[name] for name in ("suite", "format", "metric")):
        return False
    other = (effect["base"] or effect["model"], effect["baseline"])
    return _is_treated(row, effect) or (row["model"], row["condition"]) == other


def _lines(place: Sequence[Any], cells: Sequence[Row], effects: Sequence[Row]) -> CorrectedLines:
    suite, form, model, metric = place
    labels = counted(sum(row["n_labels"] for row in cells), "label")
    rates = ", ".join(f"{row['condition']} {_rate(row)}" for row in cells)
    judged = ", ".join(f"{row['condition']} {percent(row['rate'])} ({row['k']} of {row['n']})" for row in cells)
    found = [row for row in effects if row["corrected"] is not None]
    notes = [f"{row['condition']}: {_first_note(row)}" for row in cells if row["corrected"] is None]
    notes += [
        f"{row['condition']} against {_other(row)}: no corrected effect, {_first_note(row)}"
        for row in effects
        if row["corrected"] is None
    ]
    return CorrectedLines(
        f"Corrected by {labels}: {suite} ({form}) · {model}, {metric}",
        "; ".join([rates, *(f"{row['condition']} against {_other(row)} {_effect(row)}" for row in found)]),
        "; ".join([judged, *map(_as_judged, found)]),
        tuple(notes),
    )


def _other(effect: Row) -> str:
    return effect["base"] or effect["baseline"]


def _rate(row: Row) -> str:
    if row["corrected"] is None:
        return "no corrected rate"
    return f"{percent(row['corrected'])} ({percent_range(row['corrected_low'], row['corrected_high'])})"


def _effect(row: Row) -> str:
    interval = f"{points(row['corrected_low'])} to {points(row['corrected_high'])}"
    return f"{points(row['corrected'])} points ({interval}, {_p_words(row)})"


def _p_words(row: Row) -> str:
    return f"p {p_words(row['p_holm'])}" + (" by Holm" if row["p_holm"] != row["p_value"] else "")


def _as_judged(row: Row) -> str:
    return f"{row['condition']} against {_other(row)} {points(row['effect'])} points"


def _first_note(row: Row) -> str:
    return row["note"].split(BETWEEN_NOTES)[0]
