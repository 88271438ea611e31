"""corrected_effects.csv: the effects of effects.csv without the judge's errors, where both sides have labels.

Each is the corrected rate (`ppi`) of a cell less that of the cell it is compared with, as corrected.csv has them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evals.io.columns import column_names
from evals.scoring.rates.columns import CORRECTED_EFFECTS
from evals.scoring.rates.effects import with_holm
from evals.scoring.rates.label_weights import Labels, sample_notes_of
from evals.scoring.rates.labelled.pools import Pool, Pools, Scope, scope_of, share_left, unlabelled_words
from evals.scoring.rates.rows import BETWEEN_NOTES, Row, pooled_rows
from evals.scoring.rates.tally import CellKey, RunFacts
from evals.statistics.labels.effects import corrected_effect


def corrected_effect_rows(
    labelled: Pools, facts: RunFacts, labels: Labels, rates: Sequence[Row], effects: Sequence[Row]
) -> list[Row]:
    """The rows of corrected_effects.csv, in the order of effects.csv. `rates` and `effects` are the rows of the other
    two tables. Holm's p-values are over the corrected effects of a model on the metric; contrasts, and effects against
    the base, are families of their own, as there."""
    notes = sample_notes_of(labels, labelled.answers)
    pooled = pooled_rows(rates)
    rows = [row for effect in effects for pool in labelled.pools for row in _rows(pool, labels, facts, pooled, effect)]
    families = [row | {"family": _family(row, facts)} for row in rows]
    names = column_names(CORRECTED_EFFECTS)
    return [
        {name: row[name] for name in names} | {"note": BETWEEN_NOTES.join([*filter(None, [row["note"]]), *notes])}
        for row in with_holm(families, ("family", "metric", "model"))
    ]


def _family(row: Row, facts: RunFacts) -> str:
    return "base" if row["base"] else "condition" if row["baseline"] == facts.baseline else "contrast"


def _rows(pool: Pool, labels: Labels, facts: RunFacts, pooled: Sequence[Row], effect: Row) -> Iterator[Row]:
    """The row of an effect on what the pool is about; none of any other."""
    if effect["metric"] != pool.metric.name:
        return
    base = {"condition": effect["baseline"]} | ({"model": effect["base"]} if effect["base"] else {})
    cells = [_cell(pool, pooled, effect | other) for other in ({}, base)]
    if cells[0] is None or cells[1] is None:
        return
    treated, treated_share = _side(pool, labels, facts, cells[0])
    other, other_share = _side(pool, labels, facts, cells[1])
    found, words = None, _missing((treated, effect["condition"]), (other, _name(effect)))
    if not words:
        found = corrected_effect(treated.judged, other.judged, (treated_share, other_share))
        words = "" if found else "none of the labelled answers of a side is answered"
    p_value = found.p_value if found else None
    yield effect | {
        "corrected": found.effect if found else None,
        "corrected_low": found.low if found else None,
        "corrected_high": found.high if found else None,
        "p_value": p_value,
        "gen_p_value": None,
        "n_labels": treated.labels,
        "n_labels_baseline": other.labels,
        "n_questions": found.questions if found else None,
        "judge": facts.judge_model,
        "note": words,
    }


def _cell(pool: Pool, pooled: Sequence[Row], place: Row) -> CellKey | None:
    """The cell of an effect's side, None where the pool has no answers of it."""
    names = ("suite", "format", "model", "condition", "metric")
    found = (row for row in pooled if all(row[name] == place[name] for name in names))
    cells = [CellKey(*(row[name] for name in CellKey._fields)) for row in found]
    return next((cell for cell in cells if cell in pool.cells), None)


def _side(pool: Pool, labels: Labels, facts: RunFacts, cell: CellKey) -> tuple[Scope, float]:
    """The answers of a cell with their labels, and the share of its denominator that is not a known refusal."""
    here = pool.of(cell)
    scope = scope_of(pool, labels, here, pool.population, facts)
    return scope, share_left(len(scope.judged.said), int((here & pool.flags("known")).sum()))


def _name(effect: Row) -> str:
    return effect["base"] or effect["baseline"]


def _missing(*sides: tuple[Scope, str]) -> str:
    """Why there is no corrected effect, "" where nothing is in the way."""
    for scope, name in sides:
        if not len(scope.judged.said):
            return f"{name}: it has no complete answer"
        words = unlabelled_words(scope.judged)
        if words:
            return f"{name}: {words}"
    return ""
