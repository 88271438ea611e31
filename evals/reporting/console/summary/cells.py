"""What a matrix shows of a run: rates by condition and their effects, by suite, format, model and metric."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import NamedTuple

from evals.analysis.unscored import unscored_cells
from evals.plan.manifest import Manifest
from evals.scoring.label_metrics import is_label_metric
from evals.scoring.rates.rows import Row, headline_rows
from evals.scoring.rates.tables import Tables
from evals.trials.condition import CONDITIONS

_BY_CONTENT = ("n_refused", "n_code", "n_incoherent", "n_outside")
"""Answers that were read and are left out of n for what they say, or by a filter of a question file."""
_PLACE = ("suite", "format", "model", "metric")


class MatrixCell(NamedTuple):
    """A rate under a condition, and its effect against the baseline, None for none. `name` is the condition, with its
    trigger where several stand under one name.

    `missing` answers could not be measured, `left_out` ones are not in n for what they say. `is_over`: so much is
    missing that the rate may be a very different one.
    """

    name: str
    row: Row
    effect: Row | None
    missing: int
    left_out: int
    is_over: bool


class AgainstBase(NamedTuple):
    """The effect of a model against the base model under the baseline. `is_over`: so much is missing from one of the
    two rates that they may be very different ones."""

    effect: Row
    is_over: bool


class MatrixRow(NamedTuple):
    """The cells of a suite, format, model and metric by condition, in the order in which they are shown.

    `against_base` is None for the base itself, without a base, and where no question has an answer from both.
    """

    suite: str
    format: str
    model: str
    metric: str
    cells: dict[str, MatrixCell]
    against_base: AgainstBase | None = None


def matrix_rows(manifest: Manifest, tables: Tables) -> list[MatrixRow]:
    """The rows of a matrix, the largest effect first, then by rate; what was not measured comes last.

    Of the labels that a judge sorts answers into, only those that were given have a row.
    """
    over = {(*cell[:4], is_label_metric(cell.metric) or cell.metric) for cell in unscored_cells(manifest, tables)}
    effects = {(*(row[name] for name in _PLACE), row["condition"]): row for row in tables.effect_rows}
    triggers: dict[str, set[str]] = {}
    for row in tables.rate_rows:
        triggers.setdefault(row["condition"], set()).add(row["trigger"] or "")
    places: dict[tuple[str, str, str, str], list[MatrixCell]] = {}
    for row in headline_rows(tables.rate_rows):
        place = (row["suite"], row["format"], row["model"], row["metric"])
        of_several = len(triggers[row["condition"]]) > 1
        effect = None if of_several else effects.get((*place, row["condition"]))
        condition = f"{row['condition']}: {row['trigger'] or 'no trigger'}" if of_several else row["condition"]
        is_over = (*place[:3], row["condition"], is_label_metric(row["metric"]) or row["metric"])
        places.setdefault(place, []).append(_cell(condition, row, effect, manifest, is_over=is_over in over))
    ranks = _condition_ranks(manifest, [cell.name for cells in places.values() for cell in cells])
    left_open = {(*place, cell.name) for place, cells in places.items() for cell in cells if cell.is_over}
    base_effects = {tuple(row[name] for name in _PLACE): _against_base(row, left_open) for row in tables.base_rows}
    found = [
        MatrixRow(*place, {cell.name: cell for cell in _ordered(cells, ranks)}, base_effects.get(place))
        for place, cells in places.items()
    ]
    return sorted(_given(found), key=_rank, reverse=True)


def conditions_of(manifest: Manifest, rows: Sequence[MatrixRow]) -> list[str]:
    """The conditions of all rows, in the order in which they are shown."""
    ranks = _condition_ranks(manifest, [name for row in rows for name in row.cells])
    return sorted(ranks, key=lambda name: ranks[name])


def _condition_ranks(manifest: Manifest, names: Sequence[str]) -> dict[str, int]:
    """The baseline first, then off, on, decoy and the other built-in ones, then the run's own in its order."""
    known = dict.fromkeys((manifest.config.baseline, *CONDITIONS, *manifest.config.conditions))
    rank = {name: place for place, name in enumerate(known)}
    asked = sorted(set(names), key=lambda name: (rank.get(name.partition(":")[0], len(rank)), name))
    return {name: place for place, name in enumerate(asked)}


def _ordered(cells: Sequence[MatrixCell], ranks: Mapping[str, int]) -> list[MatrixCell]:
    return sorted(cells, key=lambda cell: ranks[cell.name])


def _cell(name: str, row: Row, effect: Row | None, manifest: Manifest, *, is_over: bool) -> MatrixCell:
    content = [name for name in _BY_CONTENT if not (name == "n_refused" and row["denominator"] == "judged")]
    left_out = sum(row[name] for name in content)
    missing = row["n_trials"] - row["n"] - left_out
    is_over = bool(row["n"]) and (is_over or missing > manifest.config.max_unscored * row["n_trials"])
    return MatrixCell(name, row, effect, missing, left_out, is_over)


def _against_base(effect: Row, left_open: Collection[tuple[str, ...]]) -> AgainstBase:
    sides = [
        (effect["suite"], effect["format"], model, effect["metric"], effect["baseline"])
        for model in (effect["model"], effect["base"])
    ]
    return AgainstBase(effect, any(side in left_open for side in sides))


def _given(rows: Sequence[MatrixRow]) -> Iterator[MatrixRow]:
    """The rows without labels that nothing was sorted into; of a model without any label, one."""
    with_hits = {row[:3] for row in rows if any(cell.row["k"] for cell in row.cells.values())}
    shown: set[tuple[str, ...]] = set()
    for row in rows:
        has_hits = any(cell.row["k"] for cell in row.cells.values())
        if not is_label_metric(row.metric) or has_hits or (row[:3] not in with_hits and row[:3] not in shown):
            shown.add(row[:3])
            yield row


def _rank(row: MatrixRow) -> tuple[int, float]:
    """An effect that rests on too few of the answers is one all the same: it is marked."""
    effects = [cell.effect["effect"] for cell in row.cells.values() if cell.effect is not None]
    if not effects and row.against_base is not None:
        effects = [row.against_base.effect["effect"]]
    if effects:
        return 2, max(effects)
    rates = [cell.row["rate"] for cell in row.cells.values() if cell.row["n"]]
    return (1, max(rates)) if rates else (0, 0.0)
