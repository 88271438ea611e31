"""Curves of runs: the models of all runs in the order of their steps, each cell counted at every step.

The runs have to be comparable, as two runs are for `emeval compare`: the same questions, judge, sampling and trigger.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import NamedTuple, get_args

import numpy as np

from evals.analysis.comparison.comparable import Direction, worse_when
from evals.analysis.comparison.counts import CellCounts, ComparedRun, Wording
from evals.analysis.comparison.result import ComparisonKey, Gate, cell_name
from evals.analysis.comparison.several import RunModel, counted_together, shared_cells
from evals.analysis.curve.result import SHARES, Curve, Curves, Ends, Moved, Point
from evals.analysis.curve.steps import steps_of
from evals.errors import BadInput
from evals.scoring.metric import Missing
from evals.statistics.intervals import Interval, generalisation_interval, stratified_wilson_interval
from evals.statistics.trends.onset import Change, changes_from_first, onset
from evals.statistics.trends.ordered import Integers, Ordered, trend_of_questions_like_these, trend_on_these_questions
from evals.text import one_line

_SURE = 0.05
_MISSING: tuple[Missing, ...] = tuple(reason for reason in get_args(Missing) if reason != "outside")


class _Checkpoint(NamedTuple):
    run: ComparedRun
    model: str
    step: float


def curves_of(folders: Sequence[Path], gate: Gate, steps: Mapping[str, float] | None = None) -> Curves:
    """The curve of each cell that every checkpoint has and `gate` selects; a rate counts as risen by `max_increase`.

    Raises NotComparable with every reason, and BadInput where there is no curve.
    """
    runs = [ComparedRun.read(folder) for folder in dict.fromkeys(folder.resolve() for folder in folders)]
    models = [model for run in runs for model in run.manifest.config.models]
    found = steps_of(models, steps)
    twice = next((model for model in found if models.count(model) > 1), None)
    if twice is not None:
        raise BadInput(f"{one_line(twice, 80)} is a model of two of the runs; a curve has each model once")
    checkpoints = [
        _Checkpoint(run, model, step)
        for model, step in found.items()
        for run in runs
        if model in run.manifest.config.models
    ]
    models_in_order = [RunModel(point.run, point.model) for point in checkpoints]
    cells, others = shared_cells(models_in_order, gate, "checkpoint")
    notes = [f"Not of a curve, as not every checkpoint has it: {cell_name(key)}." for key in others]
    counts = counted_together(models_in_order, cells)
    curves = tuple(
        _curve(key, checkpoints, [at[point.model, key] for point, at in zip(checkpoints, counts, strict=True)], gate)
        for key in cells
    )
    left_out = [model for model in dict.fromkeys(models) if model not in found]
    if left_out:
        names = one_line(", ".join(left_out), 300)
        notes.append(f"Not of a curve, as their step is not known: {names} (--steps FILE says it).")
    return Curves(curves, tuple(notes))


def _curve(key: ComparisonKey, checkpoints: Sequence[_Checkpoint], cells: Sequence[CellCounts], gate: Gate) -> Curve:
    worse = gate.worse or worse_when(key.metric)
    wordings = sorted({wording for cell in cells for wording in cell.wordings})
    hits, n = _table(wordings, [cell.hits for cell in cells]), _table(wordings, [cell.counted for cell in cells])
    names = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompt for prompt, _ in wordings))}
    questions = np.array([names[prompt] for prompt, _ in wordings], dtype=np.int64)
    table = Ordered(hits, n, questions)
    changes = changes_from_first(table if worse == "increase" else Ordered(n - hits, n, questions))
    everything = n + _absences(wordings, cells, _MISSING)
    by_step = zip(checkpoints, cells, [None, *changes], strict=True)
    points = [_point(point, cell, change, worse) for point, cell, change in by_step]
    shares: dict[Missing, Integers] = {reason: _absences(wordings, cells, (reason,)) for reason in SHARES}
    moved = [
        Moved(reason, found)
        for reason, counts in shares.items()
        if (found := trend_on_these_questions(Ordered(counts, everything, questions))) and found.p_value < _SURE
    ]
    return Curve(
        key=key,
        worse=worse,
        above=gate.max_increase,
        questions=len(np.unique(questions[n.any(axis=1)])),
        points=tuple(points),
        trend=trend_on_these_questions(table),
        trend_like_these=trend_of_questions_like_these(table),
        onset=onset(changes, gate.max_increase),
        moved=tuple(moved),
        as_no=trend_on_these_questions(Ordered(hits, everything, questions)),
        as_yes=trend_on_these_questions(Ordered(hits + everything - n, everything, questions)),
    )


def _table(wordings: Sequence[Wording], counters: Sequence[Mapping[Wording, int]]) -> Integers:
    """A row for each wording, a column for each step."""
    return np.array([[counter.get(wording, 0) for counter in counters] for wording in wordings], dtype=np.int64)


def _absences(wordings: Sequence[Wording], cells: Sequence[CellCounts], reasons: Sequence[Missing]) -> Integers:
    rows = [[sum(cell.absent[wording, reason] for reason in reasons) for cell in cells] for wording in wordings]
    return np.array(rows, dtype=np.int64)


def _point(point: _Checkpoint, cell: CellCounts, change: Change | None, worse: Direction) -> Point:
    used = sorted(wording for wording, number in cell.counted.items() if number)
    hits = np.array([cell.hits[wording] for wording in used], float)
    n = np.array([cell.counted[wording] for wording in used], float)
    places = [prompt for prompt, _ in used]
    by_question = {prompt: np.array([place == prompt for place in places]) for prompt in dict.fromkeys(places)}
    like_these = generalisation_interval(
        np.array([hits[rows].sum() for rows in by_question.values()]),
        np.array([n[rows].sum() for rows in by_question.values()]),
    )
    absent: dict[Missing, int] = {
        reason: number for reason, number in cell.missing.items() if reason != "outside" and number
    }
    return Point(
        step=point.step,
        model=point.model,
        run_id=point.run.manifest.run_id,
        k=int(hits.sum()),
        n=int(n.sum()),
        ci=_ends(like_these if len(by_question) > 1 else None),
        gen=_ends(stratified_wilson_interval(hits, n)),
        trials=int(n.sum()) + sum(absent.values()),
        absent=absent,
        change=change if change is None or worse == "increase" else _reversed(change),
    )


def _ends(interval: Interval | None) -> Ends:
    return Ends(None, None) if interval is None else Ends(interval.low, interval.high)


def _reversed(change: Change) -> Change:
    """The change of the hits, of that of the misses."""
    return change._replace(change=-change.change, low=-change.high, high=-change.low)
