"""Plan a sample size from a pilot run: the questions and samples that each cell needs, and their cost.

Counts and costs are read from the pilot's journal; the statistics are in `evals.statistics.sample_size`. The plan
expects the same share of uncounted trials as in the pilot.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from evals.analysis.sample_size.command import command_line, run_options
from evals.analysis.sample_size.pilot import (
    AvailableQuestions,
    PilotCell,
    PilotFilter,
    available_questions,
    base_of,
    choose,
    read_trials,
)
from evals.analysis.sample_size.result import Goal, Next, Pilot, SizePlan
from evals.analysis.sample_size.solver import NO_END, SAMPLES, SampleYield, Solver, bill_for, fewest_samples, menu
from evals.errors import BadInput
from evals.numbers import percent, points
from evals.plan.manifest import Manifest
from evals.plan.recorded.told_again import with_datasets
from evals.plan.recorded_run import open_run
from evals.statistics.intervals import Counts, generalisation_interval, paired_effect
from evals.statistics.limit_sample_size import fixed_questions_rate
from evals.statistics.sample_size import (
    Components,
    Labels,
    effect_components,
    questions_for_width_without_hits,
    rate_components,
)
from evals.text import one_line

_FEW = 5
"""A pilot with fewer hits or misses gets a warning."""
_ALMOST = 1.1
"""If the available questions cannot reach the goal, up to this multiple of their best reach is good enough."""


def plan_sizes(folder: Path, goal: Goal, choice: PilotFilter) -> SizePlan:
    """The options for every cell of the run in `folder` that `choice` selects. Raises BadInput."""
    _check(goal, choice)
    with open_run(folder, "--pilot") as run:
        manifest = with_datasets(run.manifest, choice.dataset, folder)
        baseline = manifest.config.baseline
        if goal.kind == "effect" and choice.condition == baseline:
            raise BadInput(f"--condition: --detect compares a condition with {baseline}; name another one")
        measured = read_trials(run.journal.trials_in_plan_order(), manifest)
        recorded = run.journal.recorded()
    if not measured:
        raise BadInput(f"--pilot: {folder} holds no answers yet")
    chosen = choose(measured, choice, manifest, paired=goal.kind == "effect")
    available = available_questions(
        manifest, {(cell.place.suite, cell.place.format, cell.measure) for cell in chosen}, choice
    )
    notes = list(dict.fromkeys(questions.note for questions in available.values() if questions.note))
    if recorded < manifest.trials_planned:
        notes.append(f"The pilot is not complete: {recorded} of {manifest.trials_planned} trials are recorded.")
    solvers: list[Solver] = []
    left_out: list[str] = []
    for cell in chosen:
        questions = available[cell.place.suite, cell.place.format, cell.measure]
        base = base_of(cell, measured, baseline) if goal.kind == "effect" else None
        solver = _solver(cell, base, goal, questions, baseline)
        if isinstance(solver, str):
            left_out.append(solver)
        else:
            solvers.append(solver)
    if not solvers:
        raise BadInput(f"--pilot: {folder}: {left_out[0]}; ask more questions before planning from them")
    notes += [f"Left out: {text}." for text in left_out]
    return SizePlan(
        manifest.run_id,
        goal,
        tuple(solver.plan() for solver in solvers),
        tuple(_next_runs(solvers, manifest)),
        tuple(notes),
    )


def _check(goal: Goal, choice: PilotFilter) -> None:
    name = "--detect" if goal.kind == "effect" else f"--{goal.kind}"
    if not 0 < goal.size < 1:
        raise BadInput(f"{name}: must lie between 0 and 1, such as 0.05 for 5 points; is {goal.size:g}")
    if not 0.05 < goal.power < 1:
        raise BadInput(f"--power: must lie between 0.05 and 1, such as 0.8; is {goal.power:g}")
    if choice.questions is not None and choice.questions < 2:
        raise BadInput(f"--questions: must be 2 or more; is {choice.questions}")


def _solver(
    cell: PilotCell, base: PilotCell | None, goal: Goal, available: AvailableQuestions, baseline: str
) -> Solver | str:
    """The solver of a cell, or one line that says why it cannot be planned for."""
    place = cell.place
    name = one_line(f"{place.suite} ({place.format}), {place.model}, {place.condition}, {cell.counts.metric.name}", 200)
    if goal.kind == "effect" and base is None:
        return f"{name}: was not asked under {baseline}"
    wordings = cell.counts.wordings
    if base is not None:
        wordings = {key: found for key, found in wordings.items() if key in base.counts.wordings}
    sides = [cell] if base is None else [cell, base]
    labels, tables = _count_arrays(wordings, [side.counts.wordings for side in sides])
    if base is None:
        found = rate_components(*tables[0][:2], labels)
    else:
        found = effect_components(*tables[0][:2], *tables[1][:2], labels)
    if found is None:
        under = " under both conditions" if base is not None else ""
        number = _question_count(labels[np.all([table[1] > 0 for table in tables], axis=0)])
        return f"{name}: {number} question{'s' * (number != 1)} with a counted answer{under}, and a plan takes 2"
    hits, counted = float(tables[0][0].sum()), float(tables[0][1].sum())
    if goal.kind == "below" and (rate := fixed_questions_rate(hits, counted, found, safe=False)[0]) >= goal.size:
        return f"{name}: no number of answers shows a rate of about {percent(rate)} to be below {percent(goal.size)}"
    sample_yield = _sample_yield(labels, tables)
    pilot = _pilot(found, labels, tables)
    questions = _question_count(labels) if available.questions is None else available.questions
    return Solver(
        goal,
        place,
        cell.counts.metric.name,
        pilot,
        found,
        sample_yield,
        {side.place: side.usage for side in sides},
        questions,
        available,
        tuple(_notes(goal, found, pilot, sides)),
        baseline if base is not None else None,
    )


_Table = tuple[Counts, Counts, Counts]


def _count_arrays(
    wordings: Iterable[tuple[str, str]], sides: Sequence[dict[tuple[str, str], list[int]]]
) -> tuple[Labels, list[_Table]]:
    """The question number of each wording, and for each side the hits, counted and asked draws by wording."""
    keys = list(wordings)
    numbers: dict[str, int] = {}
    labels = np.array([numbers.setdefault(prompt, len(numbers)) for prompt, _ in keys], dtype=np.int64)
    tables: list[_Table] = []
    for side in sides:
        rows = np.array([side[key] for key in keys], dtype=float).reshape(-1, 3)
        tables.append((rows[:, 0], rows[:, 1], rows[:, 2]))
    return labels, tables


def _question_count(labels: Labels) -> int:
    return len(np.unique(labels))


def _sample_yield(labels: Labels, tables: Sequence[_Table]) -> SampleYield:
    counting = np.unique(labels[np.all([table[1] > 0 for table in tables], axis=0)])
    in_yield = np.isin(labels, counting)
    counted = sum(float(table[1][in_yield].sum()) for table in tables)
    asked = sum(float(table[2][in_yield].sum()) for table in tables)
    return SampleYield(len(counting) / _question_count(labels), counted / asked)


def _pilot(found: Components, labels: Labels, tables: Sequence[_Table]) -> Pilot:
    hits, counted, asked = tables[0]
    number = _question_count(labels)
    _, question = np.unique(labels, return_inverse=True)
    if len(tables) == 1:
        by_question = [np.bincount(question, weights=values).astype(np.float64) for values in (hits, counted)]
        interval, estimate, base_rate = generalisation_interval(by_question[0], by_question[1]), None, None
    else:
        effect = paired_effect(hits, counted, *tables[1][:2], labels)
        interval, estimate = (effect.interval, effect.effect) if effect else (None, None)
        base_rate = float(tables[1][0].sum() / tables[1][1].sum())
    assert interval is not None  # noqa: S101  components exist, so answers do
    rate = float(hits.sum() / counted.sum())
    all_asked, all_counted = (sum(float(table[part].sum()) for table in tables) for part in (2, 1))
    return Pilot(
        questions=number,
        draws_per_question=float(asked.sum()) / number,
        orders=int(np.bincount(question).max()),
        k=int(hits.sum()),
        n=int(counted.sum()),
        rate=rate,
        base_rate=base_rate,
        estimate=rate if estimate is None else estimate,
        ci_low=interval.low,
        ci_high=interval.high,
        counted_share=all_counted / all_asked,
        between=found.between,
        within=found.within,
        between_share=found.parts.share,
        separable=found.separable,
        no_spread=found.no_spread,
    )


def _notes(goal: Goal, found: Components, pilot: Pilot, sides: Sequence[PilotCell]) -> Iterator[str]:
    if found.no_spread and goal.kind in ("within", "below"):
        what = "hit" if not pilot.k else "miss"
        alike = "hits" if pilot.k else "misses"
        yield f"All {pilot.n} answers of the pilot were {alike}: half a {what} is added to plan with."
    elif found.no_spread and goal.kind == "width":
        number = questions_for_width_without_hits(goal.size)
        yield (
            f"All {pilot.n} answers of the pilot were {'hits' if pilot.k else 'misses'}, which says nothing of a "
            f"variance. The plan is for the safe end of its interval, a rate of {percent(found.mean)}, with the whole "
            f"variance between questions. Should all answers be alike again, {number:,} questions are enough."
        )
    elif found.no_spread:
        yield (
            "Under each condition all answers of the pilot were alike, which says nothing of a variance. The plan is "
            f"for rates of {percent(found.base)} and {percent(found.treated)}, the ends of their intervals that "
            "lie towards 50%, with the whole variance between questions."
        )
    elif not found.separable:
        per = "question and option order" if pilot.orders > 1 else "question"
        yield (
            f"The pilot has one counted answer a {per}, so it cannot tell how much of the variance more samples take "
            "away. Assumed is that answers vary as coin tosses at the pooled rate do (binomial), as if the questions "
            "did not differ: for more samples that is the best case. The safe plan holds whatever they are like."
        )
    if not found.no_spread and min(pilot.k, pilot.n - pilot.k) < _FEW:
        kind, number = ("hit", pilot.k) if 2 * pilot.k <= pilot.n else ("miss", pilot.n - pilot.k)
        yield (
            f"The pilot had {number} {kind}{'' if number == 1 else 's' if kind == 'hit' else 'es'} there, too few to "
            "tell a variance from: take the safe plan."
        )
    if goal.kind == "effect" and not found.no_spread and abs(found.mean) < goal.size:
        yield (
            f"The pilot's own effect ({points(found.mean)} points) is smaller than the one to be found; the "
            f"variance that answers have at an effect of {100 * goal.size:.1f} points is added."
        )
    pending = sum(side.counts.missing["pending"] for side in sides)
    if pending:
        yield f"{pending} trials of the pilot are not judged yet, and stand for nothing here."
    missing = sum((side.counts.missing for side in sides), Counter[str]())
    del missing["pending"]
    if missing:
        reasons = ", ".join(f"{count} {reason.replace('_', ' ')}" for reason, count in missing.most_common())
        yield (
            f"{percent(1 - pilot.counted_share)} of the pilot's trials are not in n ({reasons}). "
            "The plan compensates by asking more."
        )


# --- the next run -----------------------------------------------------------------------------------------------------


def _next_runs(solvers: Sequence[Solver], manifest: Manifest) -> Iterator[Next]:
    """One run for each suite and format, large enough for all of its cells (conditions and models share its size)."""
    groups: dict[tuple[str, str], list[Solver]] = {}
    for solver in solvers:
        groups.setdefault(solver.place[:2], []).append(solver)
    for (suite, form), cells in groups.items():
        usages = {place: usage for cell in cells for place, usage in cell.usages.items()}
        available = min(cell.questions_there_are for cell in cells)
        orders = max(cell.pilot.orders for cell in cells)

        def asked(samples: int, cells: Sequence[Solver] = cells) -> int:
            return max(cell.asked(samples) for cell in cells)

        fewest = fewest_samples(asked, available)
        samples = _near_best_samples(cells, available) if fewest is None else fewest
        if fewest is not None:
            affordable = [number for number in menu(asked, available) if number >= fewest]
            samples = min(affordable, key=lambda number: number * asked(number))
        needed = asked(samples)
        questions = min(needed, available)
        bill = bill_for(usages.values(), questions * samples * orders)
        options, holds, reason = None, None, ""
        try:
            options, holds = _options(manifest, cells, samples, questions)
        except BadInput as error:  # the plan is useful without a command
            reason = str(error)
        each_safe = [cell.safely_asked(samples) for cell in cells]
        safe = None if None in each_safe else max(number for number in each_safe if number is not None)
        reached = [cell.reach(questions, samples) for cell in cells]
        reach = None if None in reached else max(size for size in reached if size is not None)
        command = None if options is None else command_line(options)
        if options is not None and command is None:
            reason = "its conditions have texts of their own, which only a config file holds"
        enough = fewest is not None
        yield Next(suite, form, samples, questions, enough, needed, safe, reach, bill, command, reason, holds, options)


def _near_best_samples(cells: Sequence[Solver], available: int) -> int:
    """The fewest samples at which every cell comes close to its best reach with the available questions."""

    def close(cell: Solver, samples: int) -> bool:
        reached, best = cell.reach(available, samples), cell.reach(available, NO_END)
        return best is None or (reached is not None and reached <= _ALMOST * best)

    return next((samples for samples in SAMPLES if all(close(cell, samples) for cell in cells)), SAMPLES[-1])


def _options(
    manifest: Manifest, cells: Sequence[Solver], samples: int, questions: int
) -> tuple[dict[str, Any], int | None]:
    """The options of the run, and the number of questions in the dataset if the run needs more. Raises BadInput."""
    if manifest.imported is not None:
        raise BadInput("the answers were imported: ask where they came from, then `emeval import FILE.csv`")
    config, places = manifest.config, [place for cell in cells for place in cell.usages]
    available = cells[0].available
    limit: int | None = math.ceil(questions / available.per_scenario)
    holds = None
    if available.scenarios is not None and limit >= available.scenarios:
        holds = round(available.scenarios * available.per_scenario) if limit > available.scenarios else None
        limit = limit if limit > available.scenarios else None
    options = run_options(
        config,
        suite=cells[0].place.suite,
        form=cells[0].place.format,
        models=tuple(name for name in config.models if name in {place.model for place in places}),
        conditions=tuple(name for name in config.conditions if name in {place.condition for place in places}),
        samples=samples,
        limit=limit,
    )
    return options, holds
