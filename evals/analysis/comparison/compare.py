"""Decide whether a candidate is worse than a base: two runs over the same questions, paired by question.

The counts come from the journals, by the metrics of rates.csv. `evals.analysis.comparison.comparable` says what makes
two runs comparable; the statistics are in `evals.statistics.noninferiority`. All shares are fractions in [0, 1].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np

from evals.analysis.comparison.cells import incomplete, reworded, selected_cells
from evals.analysis.comparison.comparable import Difference, Direction, NotComparable, Scope, differences, worse_when
from evals.analysis.comparison.counts import (
    AnswerCounts,
    CellCounts,
    CellToCompare,
    ComparedRun,
    Wording,
    count_cells,
    metrics_of,
    suite_metrics,
)
from evals.analysis.comparison.result import (
    CellChange,
    Compared,
    Gate,
    QuestionChange,
    RunSide,
    Side,
    cell_name,
    unscored_words,
)
from evals.errors import BadInput
from evals.scoring.judge_set import IMPORTED
from evals.scoring.metric import PRIMARY
from evals.scoring.metric_table import metrics_by_name
from evals.statistics.intervals import Counts, Effect
from evals.statistics.noninferiority import Decided, Pairs, decide
from evals.statistics.significance import benjamini_hochberg, fisher_p
from evals.text import one_line

_MOST_CHANGED = 10
_UNEVEN = 0.05


def compare_runs(base: Path, candidate: Path, gate: Gate) -> Compared:
    """Compare the runs in two folders, or two models of one run.

    Raises NotComparable, which names everything that makes their rates incomparable (including unscored answers), and
    BadInput if there is nothing to compare.
    """
    compared = compare_by_gates(base, candidate, [gate])
    unscored = [Difference("counting", words) for cell in compared.cells for words in unscored_words(cell)]
    if unscored:
        raise NotComparable(str(base), str(candidate), unscored)
    return compared


def compare_by_gates(base: Path, candidate: Path, gates: Sequence[Gate]) -> Compared:
    """Like `compare_runs`, with a limit for each cell: that of the strictest gate that selects it.

    The first gate gives the models and the limit on unscored answers; cells above it are `unscored` and not tested.
    """
    theirs, ours = ComparedRun.read(base), ComparedRun.read(candidate)
    models = _pair_models(theirs, ours, gates[0])
    wanted, unmatched = _wanted(theirs, ours, models, gates)
    found = incomplete("the base", theirs) + incomplete("the candidate", ours)
    found += differences(theirs.manifest, ours.manifest, _scope([*wanted, *(cell for _, cell in unmatched)]))
    about_trigger = any(difference.what == "trigger" for difference in found)
    found += _unmatched_cells(unmatched, about_trigger=about_trigger)
    if found:
        raise NotComparable(str(base), str(candidate), found)
    counted = (
        count_cells(theirs, [cell.at_base for cell in wanted]),
        count_cells(ours, [cell.at_candidate for cell in wanted]),
    )
    in_other_words = list(reworded(wanted, *counted))
    if in_other_words:
        raise NotComparable(str(base), str(candidate), in_other_words)
    cells = _decided(wanted, *counted, gates[0].max_unscored)
    changed = _changed_questions(wanted, *counted)
    notes = [*_notes(theirs, ours), *_cell_notes(cells), *_unpaired(wanted, *counted)]
    return Compared(_side(theirs), _side(ours), tuple(cells), tuple(changed), tuple(notes))


def _pair_models(base: ComparedRun, candidate: ComparedRun, gate: Gate) -> list[tuple[str, str]]:
    theirs, ours = base.manifest.config.models, candidate.manifest.config.models
    for option, name, names in (
        ("--base-model", gate.base_model, theirs),
        ("--candidate-model", gate.candidate_model, ours),
    ):
        if name is not None and name not in names:
            raise BadInput(f"{option}: the run has no model {one_line(name)!r}; it has {_listed(names)}")
    if gate.base_model is None and gate.candidate_model is None and set(theirs) == set(ours):
        if base.folder.resolve() == candidate.folder.resolve():
            raise BadInput("the two runs are one: name two of its models with --base-model and --candidate-model")
        return [(name, name) for name in ours]
    for option, name, names, which in (
        ("--base-model", gate.base_model, theirs, "base"),
        ("--candidate-model", gate.candidate_model, ours, "candidate"),
    ):
        if name is None and len(names) > 1:
            raise BadInput(f"{option} is missing: the {which} has several models: {_listed(names)}")
    return [(gate.base_model or theirs[0], gate.candidate_model or ours[0])]


def _listed(names: Sequence[str]) -> str:
    return one_line(", ".join(names))


def _wanted(
    base: ComparedRun, candidate: ComparedRun, models: Sequence[tuple[str, str]], gates: Sequence[Gate]
) -> tuple[list[CellToCompare], list[tuple[str, CellToCompare]]]:
    """The cells of both runs, and (run, cell) of those that only one has. Raises BadInput if there are none at all."""
    table = metrics_by_name(candidate.manifest.config.denominator)
    own = suite_metrics((candidate, base), table[PRIMARY["poll"]])
    known = {*table, *(name for metrics in own.values() for name in (*metrics.labels, *metrics.sides))}
    for name in (name for gate in gates for name in gate.metrics):
        if name not in known:
            raise BadInput(
                f"--metric: unknown metric {one_line(name, 60)!r}; known: {one_line(', '.join(sorted(known)), 2000)}"
            )
    both: list[CellToCompare] = []
    single: list[tuple[str, CellToCompare]] = []
    for base_model, candidate_model in models:
        theirs = selected_cells(base, base_model, table, own, gates)
        ours = selected_cells(candidate, candidate_model, table, own, gates)
        for key in dict.fromkeys([*ours, *theirs]):
            gated = [*ours.get(key, ()), *theirs.get(key, ())]
            limit = min(gate.max_increase for gate in gated)
            given: list[Direction] = [gate.worse for gate in gated if gate.worse is not None]
            worse = given[0] if given else worse_when(key.metric)
            metric = metrics_of(key.suite, table, own)[key.metric]
            cell = CellToCompare(key, metric, base_model, candidate_model, limit, worse)
            if key in ours and key in theirs:
                both.append(cell)
            else:
                single.append(("candidate" if key in ours else "base", cell))
    if not both and not single:
        places = dict.fromkeys(
            (suite, form, condition) for run in (base, candidate) for _, suite, form, condition, _ in run.planned
        )
        raise BadInput(
            f"nothing to compare: no cell of {base.folder} and {candidate.folder} is what --suite, --format, "
            f"--condition and --metric name; they have {_listed([' '.join(place) for place in places])}"
        )
    return both, single


def _scope(cells: Sequence[CellToCompare]) -> Scope:
    return Scope(
        suites=frozenset(cell.key.suite for cell in cells),
        formats=frozenset(cell.key.format for cell in cells),
        conditions=frozenset(cell.key.condition for cell in cells),
        metrics=tuple({cell.metric.name: cell.metric for cell in cells}.values()),
    )


def _unmatched_cells(unmatched: Sequence[tuple[str, CellToCompare]], *, about_trigger: bool) -> list[Difference]:
    """Cells that only one run has; those that differ in the trigger alone are reported elsewhere."""
    places = Counter(cell.key._replace(trigger="") for _, cell in unmatched)
    names = [
        f"only the {which} has {cell_name(cell.key)}"
        + (f" ({one_line(cell.key.trigger, 60)})" if cell.key.trigger else "")
        for which, cell in unmatched
        if not (about_trigger and places[cell.key._replace(trigger="")] > 1)
    ]
    if not names:
        return []
    more = f" and {len(names) - 3} more" if len(names) > 3 else ""
    hint = "choose what to compare with --suite, --format, --condition"
    return [Difference("cells", f"{', '.join(names[:3])}{more}: {hint}")]


# --- decisions --------------------------------------------------------------------------------------------------------


def _decided(
    wanted: Sequence[CellToCompare], base: AnswerCounts, candidate: AnswerCounts, max_unscored: float
) -> list[CellChange]:
    sides = [(base[cell.base_model, cell.key], candidate[cell.candidate_model, cell.key]) for cell in wanted]
    shown = [
        (theirs.side(cell.metric), ours.side(cell.metric)) for cell, (theirs, ours) in zip(wanted, sides, strict=True)
    ]
    testable = [index for index, both in enumerate(shown) if all(side.unscored_share <= max_unscored for side in both)]
    pairs = [
        _paired_counts(*(sides[index] if wanted[index].worse == "increase" else sides[index][::-1]))
        for index in testable
    ]
    decided = dict(zip(testable, decide(pairs, [wanted[index].limit for index in testable]), strict=True))
    return [_cell_change(cell, *shown[index], decided.get(index), max_unscored) for index, cell in enumerate(wanted)]


def _cell_change(
    cell: CellToCompare, base: Side, candidate: Side, found: Decided | None, max_unscored: float
) -> CellChange:
    """The change of a cell; `found` is None for one that is not tested."""
    effect, gen_effect = (None, None) if found is None else (found.effect, found.gen_effect)
    ci_low, ci_high = _ends(effect, cell.worse)
    gen_low, gen_high = _ends(gen_effect, cell.worse)
    increase = None
    if gen_effect is not None:
        increase = gen_effect.effect if cell.worse == "increase" else -gen_effect.effect
    return CellChange(
        key=cell.key,
        base_model=cell.base_model,
        candidate_model=cell.candidate_model,
        base=base,
        candidate=candidate,
        worse=cell.worse,
        limit=cell.limit,
        max_unscored=max_unscored,
        increase=increase,
        gen_low=gen_low,
        gen_high=gen_high,
        gen_method=gen_effect.interval.method if gen_effect else "",
        gen_p_value=gen_effect.p_value if gen_effect else None,
        gen_p_holm=found.gen_p_holm if found else None,
        worse_by_at_least=found.lower_bound if found else None,
        ci_low=ci_low,
        ci_high=ci_high,
        method=effect.interval.method if effect else "",
        p_value=effect.p_value if effect else None,
        p_holm=found.p_holm if found else None,
        n_prompts=gen_effect.prompts if gen_effect else 0,
        decision=found.decision if found else "unscored",
    )


def _ends(effect: Effect | None, worse: Direction) -> tuple[float | None, float | None]:
    """The interval of candidate - base; `effect` measures the change for the worse."""
    if effect is None:
        return None, None
    low, high, _ = effect.interval
    return (low, high) if worse == "increase" else (-high, -low)


def _paired_counts(base: CellCounts, candidate: CellCounts) -> Pairs:
    """The counts of every prompt and option order of either side, in an order independent of when answers arrived."""
    pairs = sorted({*base.counted, *candidate.counted})
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompt for prompt, _ in pairs))}

    def counts(counter: Counter[Wording]) -> Counts:
        return np.array([counter[pair] for pair in pairs], float)

    return Pairs(
        hits=counts(candidate.hits),
        counted=counts(candidate.counted),
        base_hits=counts(base.hits),
        base_counted=counts(base.counted),
        prompts=np.array([numbers[prompt] for prompt, _ in pairs], dtype=np.int64),
    )


def _changed_questions(
    wanted: Sequence[CellToCompare], base: AnswerCounts, candidate: AnswerCounts
) -> list[QuestionChange]:
    """The questions whose rates differ most significantly, at most `_MOST_CHANGED`."""
    found: list[QuestionChange] = []
    for cell in wanted:
        theirs, ours = base[cell.base_model, cell.key], candidate[cell.candidate_model, cell.key]
        sums: dict[str, list[int]] = {}
        for pair in ours.counted:
            if pair in theirs.counted:
                counts = (ours.hits[pair], ours.counted[pair], theirs.hits[pair], theirs.counted[pair])
                sums[pair[0]] = [sum(two) for two in zip(sums.get(pair[0], [0] * 4), counts, strict=True)]
        for prompt, (k, n, base_k, base_n) in sums.items():
            p_value = fisher_p(k, n, base_k, base_n)
            names = (cell.key, cell.candidate_model, prompt, ours.questions[prompt])
            found.append(QuestionChange(*names, base_k, base_n, k, n, p_value, 1.0))
    adjusted = benjamini_hochberg([change.p_value for change in found])
    found = [change._replace(q_value=q) for change, q in zip(found, adjusted, strict=True)]
    moved = [change for change in found if change.increase]
    return sorted(moved, key=lambda change: (change.p_value, -abs(change.increase), change.prompt_id))[:_MOST_CHANGED]


# --- sides and notes --------------------------------------------------------------------------------------------------


def _side(run: ComparedRun) -> RunSide:
    manifest = run.manifest
    return RunSide(
        run_id=manifest.run_id,
        folder=str(run.folder),
        judge=manifest.config.judge or "",
        rubrics={name: facts.sha256 for name, facts in manifest.rubrics.items()},
        datasets={name: facts.sha256 for name, facts in manifest.datasets.items()},
    )


def _notes(base: ComparedRun, candidate: ComparedRun) -> Iterator[str]:
    if base.manifest.imported or candidate.manifest.imported:
        yield "Imported answers: how they were sampled is not known here."
        if IMPORTED in (base.manifest.config.judge, candidate.manifest.config.judge):
            yield "Imported scores: that one judge gave both is not known here either."
    theirs, ours = base.manifest.config.vllm_args, candidate.manifest.config.vllm_args
    if theirs != ours:
        yield f"--vllm-args was {one_line(theirs or 'not set', 80)}, is {one_line(ours or 'not set', 80)}."
    versions = [one_line(run.manifest.versions.get("emeval", "unknown"), 40) for run in (base, candidate)]
    if versions[0] != versions[1]:
        yield f"The base was made with emeval {versions[0]}, the candidate with {versions[1]}."


def _cell_notes(cells: Sequence[CellChange]) -> Iterator[str]:
    for cell in cells:
        shares = [1 - side.n / side.n_trials if side.n_trials else 0.0 for side in (cell.base, cell.candidate)]
        if abs(shares[0] - shares[1]) > _UNEVEN:
            yield (
                f"{cell_name(cell.key)}: {shares[0]:.0%} of the answers of the base and {shares[1]:.0%} of the "
                f"candidate are not in n ({_reasons(cell.base)}; {_reasons(cell.candidate)}): the "
                "two rates cover different shares of all answers."
            )


def _unpaired(wanted: Sequence[CellToCompare], base: AnswerCounts, candidate: AnswerCounts) -> Iterator[str]:
    """Notes on counted answers without a counterpart on the other side: they are in its rate, not in the change."""
    for cell in wanted:
        theirs, ours = base[cell.base_model, cell.key].counted, candidate[cell.candidate_model, cell.key].counted
        single = len(theirs.keys() ^ ours.keys())
        if single:
            total = len(theirs.keys() | ours.keys())
            yield (
                f"{cell_name(cell.key)}: {single} of {total} questions (and option orders) have "
                "counted answers on one side only; they are in that side's rate but not in the "
                "change."
            )


def _reasons(side: Side) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in side.missing.items()) or "none"
