"""Whether a candidate is worse than a base: two runs over the same questions, paired by question, and a decision.

The counts come from the journals, by the same metrics that make rates.csv; what makes two runs comparable is decided in
`evals.comparable`, the statistics in `evals.statistics.noninferiority`. Everything is a fraction in [0, 1].
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal, NamedTuple

import numpy as np

from evals.comparable import Difference, Direction, NotComparable, Scope, differences, worse_when
from evals.errors import BadInput
from evals.numbers import percent
from evals.plan.manifest import Manifest, judge_set, read_manifest
from evals.scoring.judge_set import IMPORTED, JudgeSet
from evals.scoring.metric import JUDGES_OF_ANSWERS, PRIMARY, Metric, Missing, facts_in
from evals.scoring.metric_table import metrics_by_name
from evals.scoring.outcome import measure
from evals.statistics.intervals import Counts, cluster_wilson_interval
from evals.statistics.noninferiority import Decision, Pairs, decide
from evals.statistics.significance import benjamini_hochberg, fisher_p
from evals.text import one_line
from evals.trials.journal import Journal
from evals.trials.record import RecordedTrial, question_of
from evals.trials.reference import Measure
from evals.trials.trial import stable_hash

MAX_INCREASE = 0.05
MAX_UNSCORED = 0.05
UNSCORED: tuple[Missing, ...] = ("truncated", "empty", "failed", "unreadable", "pending")
"""Absences that say something about the measurement and not about the answer. Too many of them, and no rate over the
rest can be believed."""
_OF_READING: tuple[Missing, ...] = ("unreadable", "no_reasoning", "pending")
"""Absences from a share of misaligned answers that are about their reasoning."""
_MOST_CHANGED = 10
_SHOWN_OF_QUESTION = 120
_UNEVEN = 0.05

CellDecision = Literal[Decision, "unscored"]


@dataclass(frozen=True, slots=True)
class Gate:
    """What is compared, and how much worse it may get. Empty selections take everything, `metrics` then the one that
    each suite is about; `worse` None is the metric's own direction. Limits are fractions in [0, 1]."""

    max_increase: float = MAX_INCREASE
    metrics: tuple[str, ...] = ()
    conditions: tuple[str, ...] = ()
    suites: tuple[str, ...] = ()
    formats: tuple[str, ...] = ()
    worse: Direction | None = None
    max_unscored: float = MAX_UNSCORED
    base_model: str | None = None
    candidate_model: str | None = None

    def wants(self, cell: CellKey) -> bool:
        chosen = (
            (self.suites, cell.suite),
            (self.formats, cell.format),
            (self.conditions, cell.condition),
            (self.metrics, cell.metric),
        )
        return all(not names or name in names for names, name in chosen)


class CellKey(NamedTuple):
    suite: str
    format: str
    condition: str
    trigger: str
    metric: str


class Side(NamedTuple):
    """One run's rate in a cell. `n_trials` counts the answers that the metric is about, `missing` why some are not in
    n. Rate and interval are None where n is 0. `unscored` of them should have been in n and are not."""

    k: int
    n: int
    rate: float | None
    ci_low: float | None
    ci_high: float | None
    n_trials: int
    missing: dict[Missing, int]
    unscored: dict[Missing, int]

    @property
    def unscored_share(self) -> float:
        total = sum(self.unscored.values())
        return total / self.n_trials if total else 0.0


@dataclass(frozen=True, slots=True)
class CellChange:
    """Base and candidate in one cell. `increase` is candidate - base, the mean over prompts, with its 95% interval; all
    None where no prompt was answered by both. `limit` is the largest change for the worse that is allowed."""

    key: CellKey
    base_model: str
    candidate_model: str
    base: Side
    candidate: Side
    worse: Direction
    limit: float
    max_unscored: float
    increase: float | None
    ci_low: float | None
    ci_high: float | None
    method: str
    p_value: float | None
    p_holm: float | None
    n_prompts: int
    decision: CellDecision


class QuestionChange(NamedTuple):
    """One question on both sides, over the option orders that both answered. `p_value` is of Fisher's exact test,
    `q_value` adjusted over all questions of the comparison (Benjamini and Hochberg)."""

    cell: CellKey
    candidate_model: str
    prompt_id: str
    question: str
    base_k: int
    base_n: int
    k: int
    n: int
    p_value: float
    q_value: float

    @property
    def increase(self) -> float:
        return self.k / self.n - self.base_k / self.base_n


class RunSide(NamedTuple):
    """What the numbers of a run depend on. Hashes are by suite and by judge."""

    run_id: str
    folder: str
    judge: str
    rubrics: dict[str, str]
    datasets: dict[str, str]


@dataclass(frozen=True)
class Compared:
    """All cells of a comparison; `notes` are what a reader must know besides."""

    base: RunSide
    candidate: RunSide
    cells: tuple[CellChange, ...]
    changed: tuple[QuestionChange, ...]
    notes: tuple[str, ...]

    @property
    def decision(self) -> CellDecision:
        """The worst of its cells."""
        found = {cell.decision for cell in self.cells}
        order: tuple[CellDecision, ...] = ("regression", "unscored", "unclear", "within")
        return next(name for name in order if name in found or name == "within")


def compare_runs(base: Path, candidate: Path, gate: Gate) -> Compared:
    """Compare the runs in two folders, or two models of one run.

    Raises NotComparable, which names everything that makes their rates incomparable, unscored answers included, and
    BadInput where there is nothing to compare.
    """
    compared = compare_by_gates(base, candidate, [gate])
    unscored = [Difference("counting", words) for cell in compared.cells for words in unscored_words(cell)]
    if unscored:
        raise NotComparable(str(base), str(candidate), unscored)
    return compared


def compare_by_gates(base: Path, candidate: Path, gates: Sequence[Gate]) -> Compared:
    """As `compare_runs`, with a limit for each cell: the strictest of the gates that want it. Models and the limit of
    unscored answers are those of the first gate.

    Cells with too many unscored answers have the decision `unscored`, and no test.
    """
    theirs, ours = _Run.read(base), _Run.read(candidate)
    models = _pair_models(theirs, ours, gates[0])
    wanted, unmatched = _wanted(theirs, ours, models, gates)
    found = _incomplete("base", theirs) + _incomplete("candidate", ours)
    found += differences(theirs.manifest, ours.manifest, _scope([*wanted, *(one for _, one in unmatched)]))
    about_trigger = any(difference.what == "trigger" for difference in found)
    found += _only_in_one(unmatched, about_trigger=about_trigger)
    if found:
        raise NotComparable(str(base), str(candidate), found)
    counted = _count(theirs, [one.at_base for one in wanted]), _count(ours, [one.at_candidate for one in wanted])
    reworded = list(_reworded(wanted, *counted))
    if reworded:
        raise NotComparable(str(base), str(candidate), reworded)
    cells = _decided(wanted, *counted, gates[0].max_unscored)
    changed = _changed_questions(wanted, *counted)
    notes = [*_notes(theirs, ours), *_cell_notes(cells), *_unpaired(wanted, *counted)]
    return Compared(_side(theirs), _side(ours), tuple(cells), tuple(changed), tuple(notes))


def unscored_words(cell: CellChange) -> Iterator[str]:
    """For each side with more unscored answers than are allowed, how many of what."""
    for name, side in (("base", cell.base), ("candidate", cell.candidate)):
        if side.unscored_share > cell.max_unscored:
            reasons = ", ".join(f"{count} {reason}" for reason, count in side.unscored.items())
            yield (
                f"{sum(side.unscored.values())} of {side.n_trials} answers of the {name} to {cell_name(cell.key)} are "
                f"not scored ({reasons}), above {percent(cell.max_unscored)}"
            )


def cell_name(key: CellKey) -> str:
    """The cell in words, one line: suite, format, condition, metric."""
    return one_line(f"{key.suite} {key.format} {key.condition} {key.metric}", 160)


# --- what is compared -------------------------------------------------------------------------------------------------


@dataclass(frozen=True)
class _Run:
    folder: Path
    manifest: Manifest
    judges: JudgeSet
    recorded: int
    planned: dict[tuple[str, str, str, str, str], Counter[Measure]]
    """Trials planned by model, suite, format, condition and trigger."""

    @classmethod
    def read(cls, folder: Path) -> _Run:
        manifest = read_manifest(folder)
        if manifest is None:
            raise BadInput(f"{folder} is not a run folder: it has no manifest.json")
        planned: dict[tuple[str, str, str, str, str], Counter[Measure]] = {}
        with Journal.read(folder) as journal:
            for cell, trials in journal.cells():
                place = (cell.model, cell.suite, cell.format, cell.condition, cell.trigger)
                planned.setdefault(place, Counter())[cell.measure] += trials
            return cls(folder, manifest, judge_set(manifest), journal.recorded(), planned)


class _Wanted(NamedTuple):
    """A cell to compare. `limit` is the strictest of its gates."""

    key: CellKey
    metric: Metric
    base_model: str
    candidate_model: str
    limit: float
    worse: Direction

    @property
    def at_base(self) -> _At:
        return _At(self.base_model, self.key, self.metric)

    @property
    def at_candidate(self) -> _At:
        return _At(self.candidate_model, self.key, self.metric)


class _At(NamedTuple):
    model: str
    key: CellKey
    metric: Metric


def _pair_models(base: _Run, candidate: _Run, gate: Gate) -> list[tuple[str, str]]:
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
    base: _Run, candidate: _Run, models: Sequence[tuple[str, str]], gates: Sequence[Gate]
) -> tuple[list[_Wanted], list[tuple[str, _Wanted]]]:
    """The cells that both runs have, and those that only one has, with which. Raises BadInput where there is none."""
    table = metrics_by_name(candidate.manifest.config.denominator)
    for name in (name for gate in gates for name in gate.metrics):
        if name not in table:
            raise BadInput(f"--metric: unknown metric {one_line(name, 60)!r}; known: {', '.join(table)}")
    both: list[_Wanted] = []
    single: list[tuple[str, _Wanted]] = []
    for base_model, candidate_model in models:
        theirs = _cells(base, base_model, table, gates)
        ours = _cells(candidate, candidate_model, table, gates)
        for key in dict.fromkeys([*ours, *theirs]):
            gated = [*ours.get(key, ()), *theirs.get(key, ())]
            limit = min(gate.max_increase for gate in gated)
            given: list[Direction] = [gate.worse for gate in gated if gate.worse is not None]
            worse = given[0] if given else worse_when(key.metric)
            one = _Wanted(key, table[key.metric], base_model, candidate_model, limit, worse)
            if key in ours and key in theirs:
                both.append(one)
            else:
                single.append(("candidate" if key in ours else "base", one))
    if not both and not single:
        places = dict.fromkeys(
            (suite, form, condition) for run in (base, candidate) for _, suite, form, condition, _ in run.planned
        )
        raise BadInput(
            f"nothing to compare: no cell of {base.folder} and {candidate.folder} is what --suite, --format, "
            f"--condition and --metric name; they have {_listed([' '.join(place) for place in places])}"
        )
    return both, single


def _cells(run: _Run, model: str, table: Mapping[str, Metric], gates: Sequence[Gate]) -> dict[CellKey, list[Gate]]:
    """The cells of a model, each with the gates that want it."""
    found: dict[CellKey, list[Gate]] = {}
    for (of, *place), measures in run.planned.items():
        if of != model:
            continue
        primary = {PRIMARY[measure] for measure in measures}
        for name, metric in table.items():
            key = CellKey(*place, metric=name)
            for gate in gates if _is_about(metric, key.format, measures) else ():
                if gate.wants(key) and name in (gate.metrics or primary):
                    found.setdefault(key, []).append(gate)
    return found


def _is_about(metric: Metric, form: str, measures: Mapping[Measure, int]) -> bool:
    return bool(metric.measures & set(measures)) and not (metric.open_only and form == "mcq")


def _scope(cells: Sequence[_Wanted]) -> Scope:
    return Scope(
        suites=frozenset(one.key.suite for one in cells),
        formats=frozenset(one.key.format for one in cells),
        conditions=frozenset(one.key.condition for one in cells),
        metrics=tuple({one.metric.name: one.metric for one in cells}.values()),
    )


def _incomplete(which: str, run: _Run) -> list[Difference]:
    manifest = run.manifest
    if manifest.status == "complete" and run.recorded >= manifest.trials_planned:
        return []
    done = f"{run.recorded} of {manifest.trials_planned} trials are recorded"
    words = f"the {which} is not complete ({done}; go on with: emeval resume {run.folder})"
    return [Difference("incomplete", words)]


def _only_in_one(unmatched: Sequence[tuple[str, _Wanted]], *, about_trigger: bool) -> list[Difference]:
    """Cells that cannot be compared. Where the triggers differ that has been said."""
    places = Counter(one.key._replace(trigger="") for _, one in unmatched)
    told = [
        f"only the {which} has {cell_name(one.key)}"
        + (f" ({one_line(one.key.trigger, 60)})" if one.key.trigger else "")
        for which, one in unmatched
        if not (about_trigger and places[one.key._replace(trigger="")] > 1)
    ]
    if not told:
        return []
    more = f" and {len(told) - 3} more" if len(told) > 3 else ""
    hint = "choose what to compare with --suite, --format, --condition"
    return [Difference("cells", f"{', '.join(told[:3])}{more}: {hint}")]


# --- counting ---------------------------------------------------------------------------------------------------------

_Pair = tuple[str, str]
"""A prompt's id and its option order."""


@dataclass
class _Counted:
    """One run's answers in one cell."""

    trials: int = 0
    missing: Counter[Missing] = field(default_factory=Counter[Missing])
    hits: Counter[_Pair] = field(default_factory=Counter[_Pair])
    counted: Counter[_Pair] = field(default_factory=Counter[_Pair])
    wordings: dict[_Pair, set[str]] = field(default_factory=dict[_Pair, set[str]])
    questions: dict[str, str] = field(default_factory=dict[str, str])

    def add(self, trial: RecordedTrial, metric: Metric, judges: JudgeSet) -> None:
        pair = (trial.prompt_id, trial.variant)
        question = question_of(trial)
        self.wordings.setdefault(pair, set()).add(stable_hash({"asked": question}))
        self.questions.setdefault(trial.prompt_id, one_line(question, _SHOWN_OF_QUESTION))
        facts = facts_in(trial, judges)
        missing = metric.missing(facts)
        if missing is not None:
            self.missing[missing] += 1
            return
        self.counted[pair] += 1
        self.hits[pair] += metric.hits(facts)

    def side(self, metric: Metric) -> Side:
        prompts = sorted({prompt for prompt, _ in self.counted})
        hits, counted = Counter[str](), Counter[str]()
        for (prompt, variant), number in self.counted.items():
            counted[prompt] += number
            hits[prompt] += self.hits[prompt, variant]
        k, n = sum(hits.values()), sum(counted.values())
        interval = cluster_wilson_interval(_array(hits, prompts), _array(counted, prompts))
        ends = (None, None) if interval is None else (interval.low, interval.high)
        missing: dict[Missing, int] = {
            reason: count for reason, count in self.missing.items() if reason != "outside" and count
        }
        of_answers = not metric.judge or metric.judge in JUDGES_OF_ANSWERS
        if (
            not of_answers
        ):  # an answer that was not read is none that is known to be misaligned: no part of such a share
            missing = {reason: count for reason, count in missing.items() if reason in _OF_READING}
        unscored: dict[Missing, int] = {reason: missing[reason] for reason in UNSCORED if reason in missing}
        return Side(k, n, k / n if n else None, *ends, n + sum(missing.values()), missing, unscored)


def _array(counts: Mapping[str, int], names: Sequence[str]) -> Counts:
    return np.array([counts[name] for name in names], float)


def _count(run: _Run, cells: Sequence[_At]) -> dict[tuple[str, CellKey], _Counted]:
    """The answers of every cell, read from the journal in one pass."""
    found = {(at.model, at.key): _Counted() for at in cells}
    by_place: dict[tuple[str, ...], list[_At]] = {}
    for at in cells:
        by_place.setdefault((at.model, *at.key[:4]), []).append(at)
    with Journal.read(run.folder) as journal:
        for trial in journal.trials_in_plan_order():
            place = (trial.model, trial.suite, trial.format, trial.condition, trial.trigger)
            for at in by_place.get(place, ()):
                if measure(trial, run.judges).measure in at.metric.measures:
                    found[at.model, at.key].add(trial, at.metric, run.judges)
    for at in cells:
        counted = found[at.model, at.key]
        measures = run.planned.get((at.model, *at.key[:4]), Counter[Measure]())
        counted.trials = sum(trials for measure, trials in measures.items() if measure in at.metric.measures)
        recorded = counted.counted.total() + counted.missing.total()
        counted.missing["pending"] += max(0, counted.trials - recorded)
    return found


_Answers = Mapping[tuple[str, CellKey], _Counted]


def _reworded(wanted: Sequence[_Wanted], base: _Answers, candidate: _Answers) -> Iterator[Difference]:
    """Questions of one id that were put in other words. Where a prompt has several wordings (a trigger that stands
    anywhere, paraphrases), one side may have drawn fewer of them."""
    for one in wanted:
        theirs, ours = base[one.base_model, one.key], candidate[one.candidate_model, one.key]
        shared = [pair for pair in ours.wordings if pair in theirs.wordings]
        other = [
            pair
            for pair in shared
            if not (ours.wordings[pair] <= theirs.wordings[pair] or theirs.wordings[pair] <= ours.wordings[pair])
        ]
        place = cell_name(one.key)
        if not shared:
            yield Difference("questions", f"they have no question of {place} in common")
        elif other:
            name = one_line(other[0][0], 60)
            yield Difference("questions", f"{len(other)} questions of {place} are worded differently, first {name}")


# --- decisions --------------------------------------------------------------------------------------------------------


def _decided(wanted: Sequence[_Wanted], base: _Answers, candidate: _Answers, max_unscored: float) -> list[CellChange]:
    sides = [(base[one.base_model, one.key], candidate[one.candidate_model, one.key]) for one in wanted]
    shown = [
        (theirs.side(one.metric), ours.side(one.metric)) for one, (theirs, ours) in zip(wanted, sides, strict=True)
    ]
    believable = [
        index for index, both in enumerate(shown) if all(side.unscored_share <= max_unscored for side in both)
    ]
    pairs = [
        _pairs(*(sides[index] if wanted[index].worse == "increase" else sides[index][::-1])) for index in believable
    ]
    decided = dict(zip(believable, decide(pairs, [wanted[index].limit for index in believable]), strict=True))
    cells: list[CellChange] = []
    for index, one in enumerate(wanted):
        found = decided.get(index)
        effect = found.effect if found else None
        low = high = increase = None
        if effect is not None:
            increase, low, high = effect.effect, effect.interval.low, effect.interval.high
            if one.worse == "decrease":  # the change for the worse was measured
                increase, low, high = -increase, -high, -low
        cells.append(
            CellChange(
                key=one.key,
                base_model=one.base_model,
                candidate_model=one.candidate_model,
                base=shown[index][0],
                candidate=shown[index][1],
                worse=one.worse,
                limit=one.limit,
                max_unscored=max_unscored,
                increase=increase,
                ci_low=low,
                ci_high=high,
                method=effect.interval.method if effect else "",
                p_value=effect.p_value if effect else None,
                p_holm=found.p_holm if found else None,
                n_prompts=effect.prompts if effect else 0,
                decision=found.decision if found else "unscored",
            )
        )
    return cells


def _pairs(base: _Counted, candidate: _Counted) -> Pairs:
    """Every prompt and option order that either side has, in an order that does not depend on when answers came."""
    pairs = sorted({*base.counted, *candidate.counted})
    numbers = {prompt: number for number, prompt in enumerate(dict.fromkeys(prompt for prompt, _ in pairs))}

    def counts(of: Counter[_Pair]) -> Counts:
        return np.array([of[pair] for pair in pairs], float)

    return Pairs(
        hits=counts(candidate.hits),
        counted=counts(candidate.counted),
        base_hits=counts(base.hits),
        base_counted=counts(base.counted),
        prompts=np.array([numbers[prompt] for prompt, _ in pairs], dtype=np.int64),
    )


def _changed_questions(wanted: Sequence[_Wanted], base: _Answers, candidate: _Answers) -> list[QuestionChange]:
    """The questions whose rates differ most surely, at most a few."""
    found: list[QuestionChange] = []
    for one in wanted:
        theirs, ours = base[one.base_model, one.key], candidate[one.candidate_model, one.key]
        sums: dict[str, list[int]] = {}
        for pair in ours.counted:
            if pair in theirs.counted:
                counts = (ours.hits[pair], ours.counted[pair], theirs.hits[pair], theirs.counted[pair])
                sums[pair[0]] = [sum(two) for two in zip(sums.get(pair[0], [0] * 4), counts, strict=True)]
        for prompt, (k, n, base_k, base_n) in sums.items():
            p_value = fisher_p(k, n, base_k, base_n)
            names = (one.key, one.candidate_model, prompt, ours.questions[prompt])
            found.append(QuestionChange(*names, base_k, base_n, k, n, p_value, 1.0))
    adjusted = benjamini_hochberg([change.p_value for change in found])
    found = [change._replace(q_value=q) for change, q in zip(found, adjusted, strict=True)]
    moved = [change for change in found if change.increase]
    return sorted(moved, key=lambda change: (change.p_value, -abs(change.increase), change.prompt_id))[:_MOST_CHANGED]


# --- what a reader must know besides ----------------------------------------------------------------------------------


def _side(run: _Run) -> RunSide:
    manifest = run.manifest
    return RunSide(
        run_id=manifest.run_id,
        folder=str(run.folder),
        judge=manifest.config.judge or "",
        rubrics={name: facts.sha256 for name, facts in manifest.rubrics.items()},
        datasets={name: facts.sha256 for name, facts in manifest.datasets.items()},
    )


def _notes(base: _Run, candidate: _Run) -> Iterator[str]:
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
                f"candidate are not in n ({_reasons(cell.base)}; {_reasons(cell.candidate)}): the rates are of other "
                "shares of all answers."
            )


def _unpaired(wanted: Sequence[_Wanted], base: _Answers, candidate: _Answers) -> Iterator[str]:
    """Cells with answers on one side that have nothing beside them on the other: in its rate, not in the change."""
    for one in wanted:
        theirs, ours = base[one.base_model, one.key].counted, candidate[one.candidate_model, one.key].counted
        single = len(theirs.keys() ^ ours.keys())
        if single:
            total = len(theirs.keys() | ours.keys())
            yield (
                f"{cell_name(one.key)}: {single} of {total} questions (and option orders) have answers in n on one "
                "side alone; they are in that side's rate and not in the change."
            )


def _reasons(side: Side) -> str:
    return ", ".join(f"{count} {reason}" for reason, count in side.missing.items()) or "none"
