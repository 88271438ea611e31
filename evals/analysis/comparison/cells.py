"""Which cells of recorded runs are compared, and what their journals show that no manifest tells: what is missing, and
questions in other words."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from evals.analysis.comparison.comparable import Difference
from evals.analysis.comparison.counts import AnswerCounts, CellToCompare, ComparedRun, SuiteMetrics, metrics_of
from evals.analysis.comparison.result import ComparisonKey, Gate, cell_name
from evals.analysis.who_answered import lost_adapters
from evals.numbers import counted
from evals.scoring.metric import PRIMARY, Metric
from evals.text import one_line
from evals.trials.reference import Criterion


def selected_cells(
    run: ComparedRun,
    model: str,
    table: Mapping[str, Metric],
    own: Mapping[str, SuiteMetrics],
    gates: Sequence[Gate],
) -> dict[ComparisonKey, list[Gate]]:
    """The cells of a model, each with the gates that select it."""
    found: dict[ComparisonKey, list[Gate]] = {}
    for (planned_model, *place), measures in run.planned.items():
        if planned_model != model:
            continue
        labels = own[place[0]].labels if place[0] in own else {}
        primary = {PRIMARY[measure] for measure in measures} | labels.keys()
        for name, metric in metrics_of(place[0], table, own).items():
            key = ComparisonKey(*place, metric=name)
            for gate in gates if _applies(metric, key.format, measures) else ():
                if gate.wants(key) and name in (gate.metrics or primary):
                    found.setdefault(key, []).append(gate)
    return found


def _applies(metric: Metric, form: str, measures: Mapping[Criterion, int]) -> bool:
    return bool(metric.measures & set(measures)) and not (metric.open_only and form == "mcq")


def incomplete(which: str, run: ComparedRun) -> list[Difference]:
    """What a run lacks; `which` is what the messages call it, such as `the base`."""
    manifest = run.manifest
    lost = [Difference("incomplete", f"{which}: {line}") for line in lost_adapters(manifest)]
    if manifest.status == "complete" and run.recorded >= manifest.trials_planned:
        return lost
    done = f"{run.recorded} of {manifest.trials_planned} trials are recorded"
    words = f"{which} is not complete ({done}; resume with: emeval resume {run.folder})"
    return [Difference("incomplete", words), *lost]


def reworded(wanted: Sequence[CellToCompare], base: AnswerCounts, candidate: AnswerCounts) -> Iterator[Difference]:
    """Questions with one id and different wordings.

    A prompt may have several wordings (random trigger placement, paraphrases), of which one side may have drawn fewer.
    """
    for cell in wanted:
        theirs, ours = base[cell.base_model, cell.key], candidate[cell.candidate_model, cell.key]
        shared = [pair for pair in ours.wordings if pair in theirs.wordings]
        other = [
            pair
            for pair in shared
            if not (ours.wordings[pair] <= theirs.wordings[pair] or theirs.wordings[pair] <= ours.wordings[pair])
        ]
        place = cell_name(cell.key)
        if not shared:
            yield Difference("questions", f"they have no question of {place} in common")
        elif other:
            name = one_line(other[0][0], 60)
            yield Difference(
                "questions", f"of {place} {counted(len(other), 'question')} worded differently, first {name}"
            )
