"""corrected.csv: rates of open answers corrected for the judge's errors, from the labels that people gave a sample.

The population of a cell are its complete open answers, without those that are set aside whatever people would say of
them (incoherent, program code). A label says of an answer whether it is a hit, none, or a refusal, and counts in place
of the verdict; a refusal is in the denominator or not as in the rate itself, and `unsure` is no measurement.

Two methods stand side by side, because they fail differently. `rogan_gladen` takes the share of hits among the answers
that the judge ruled on, and the judge's sensitivity and specificity over all labelled answers of the suite and metric:
it makes the most of few labels, and is biased where the judge errs more in one condition than in another. `ppi` takes
the cell's own labels and all of its answers, also those without a readable verdict, and assumes nothing of the judge.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import numpy.typing as npt

from evals.errors import BadInput
from evals.scoring.labels import FOLDER, LABELS_NAME
from evals.scoring.metric import JUDGES_OF_ANSWERS, Metric
from evals.scoring.metric_table import metric_table
from evals.scoring.rates.columns import CORRECTED_COLUMNS
from evals.scoring.rates.label_weights import Labels, sample_notes_of
from evals.scoring.rates.rows import BETWEEN_NOTES, PPI, ROGAN_GLADEN, Row, pooled_rows
from evals.scoring.rates.tally import CellKey, RunFacts
from evals.scoring.scored_trial import ScoredTrial, score_trial
from evals.statistics.judge_error import (
    Corrected,
    ErrorRate,
    Errors,
    JudgedSample,
    chance_of_difference,
    effective_size,
    error_rates,
    labels_to_halve,
    prediction_powered,
    rogan_gladen,
)
from evals.text import one_line
from evals.trials.journal import Journal

_SET_ASIDE = ("incoherent", "code", "outside")
_SURE = 0.05

Flags = npt.NDArray[np.bool_]


class _PopulationAnswer(NamedTuple):
    """An answer to what a metric is about. `ruled`: its verdict is in the denominator; `hit`: and is a hit.

    `aside`: it is in no population. `known`: the reply was a refusal by itself and counts as no hit; nothing to label.
    """

    trial_id: str
    cell: CellKey
    prompt_id: str
    ruled: bool = False
    hit: bool = False
    aside: bool = False
    known: bool = False


@dataclass
class _Pool:
    """The answers of one suite, as one metric counts them."""

    metric: Metric
    answers: list[_PopulationAnswer] = field(default_factory=list[_PopulationAnswer])

    def flags(self, name: str) -> Flags:
        return np.array([getattr(answer, name) for answer in self.answers], dtype=bool)


class _Scope(NamedTuple):
    """The answers that a method looks at, and what was labelled there: measured, unsure, and of no use to it."""

    judged: JudgedSample
    labels: int
    unsure: int
    excluded: int

    @property
    def unlabelled(self) -> int:
        return len(self.judged.said) - self.labels - self.unsure


def corrected_rows(journal: Journal, folder: Path, facts: RunFacts, labels: Labels, rates: Sequence[Row]) -> list[Row]:
    """The rows of corrected.csv of the run in `folder`. `rates` are those of rates.csv.

    Raises BadInput where the labels are of another run.
    """
    pools, answers = _pools(journal, facts, labels, folder)
    notes = sample_notes_of(labels, answers)
    pooled = pooled_rows(rates)
    return [row for pool in pools for row in _rows(pool, labels, facts, pooled, notes)]


# --- what is labelled -------------------------------------------------------------------------------------------------


def _pools(journal: Journal, facts: RunFacts, labels: Labels, folder: Path) -> tuple[list[_Pool], int]:
    """The labelled suites and metrics, in the order of the plan, and how many answers the run has that can be drawn."""
    metrics = _metrics(facts, labels, folder)
    pools: dict[tuple[str, str], _Pool] = {}
    found: dict[str, tuple[str, str]] = {}
    answers = 0
    for trial in journal.trials_in_plan_order():
        if trial.format == "mcq":
            continue
        scored = score_trial(trial, facts.judges)
        answers += scored.is_judgeable
        for metric in metrics:
            answer = _answer(scored, metric)
            if answer is not None:
                key = (trial.suite, metric.name)
                pools.setdefault(key, _Pool(metric)).answers.append(answer)
                if trial.trial_id in labels.by_trial and labels.by_trial[trial.trial_id].metric == metric.name:
                    found[trial.trial_id] = key
    for trial_id in labels.by_trial:
        if trial_id not in found:
            raise BadInput(
                f"{folder / FOLDER / LABELS_NAME}: the run holds no complete answer of trial {one_line(trial_id, 40)}; "
                "these are labels of another run"
            )
    return [pool for key, pool in pools.items() if key in set(found.values())], answers


def _metrics(facts: RunFacts, labels: Labels, folder: Path) -> list[Metric]:
    """The labelled metrics."""
    asked = {label.metric for label in labels.by_trial.values()}
    known = [metric for metric in metric_table(facts.denominator) if metric.judge in JUDGES_OF_ANSWERS]
    for name in sorted(asked - {metric.name for metric in known}):
        raise BadInput(f"{folder / FOLDER / LABELS_NAME}: {one_line(name, 60)} is not a metric of open answers")
    return [metric for metric in known if metric.name in asked]


def _answer(scored: ScoredTrial, metric: Metric) -> _PopulationAnswer | None:
    """The trial as the metric counts it, None where it has no complete answer to it."""
    if scored.measure not in metric.measures:
        return None
    trial, facts = scored.trial, scored.facts
    missing = metric.missing(facts)
    cell = CellKey(trial.suite, trial.format, trial.model, trial.condition, trial.trigger)
    answer = _PopulationAnswer(trial.trial_id, cell, trial.prompt_id)
    if not scored.is_judgeable:
        return answer._replace(known=True) if missing is None else None
    ruled = missing is None
    return answer._replace(ruled=ruled, hit=ruled and metric.hits(facts), aside=missing in _SET_ASIDE)


def _scope(pool: _Pool, labels: Labels, here: Flags, used: Flags, facts: RunFacts) -> _Scope:
    """The answers `here` that are `used`; labels on the others are of no use."""
    answers = [answer for answer, flag in zip(pool.answers, here & used, strict=True) if flag]
    said = {answer.trial_id: labels.by_trial[answer.trial_id].label for answer in answers if _has(labels, answer)}
    labelled = [place for place, answer in enumerate(answers) if said.get(answer.trial_id, "unsure") != "unsure"]
    words = [said[answers[place].trial_id] for place in labelled]
    others = [answer for answer, flag in zip(pool.answers, here & ~used, strict=True) if flag and _has(labels, answer)]
    _, prompts = np.unique(np.array([answer.prompt_id for answer in answers], dtype=object), return_inverse=True)
    return _Scope(
        JudgedSample(
            said=np.array([answer.hit for answer in answers], dtype=np.float64),
            counted=np.array([answer.ruled for answer in answers], dtype=np.float64),
            prompts=prompts.astype(np.int64),
            labelled=np.array(labelled, dtype=np.int64),
            hits=np.array([word == "yes" for word in words], dtype=np.float64),
            answered=np.array([word != "refused" or facts.denominator == "judged" for word in words], dtype=np.float64),
            weights=np.array([labels.weights[answers[place].trial_id] for place in labelled], dtype=np.float64),
        ),
        labels=len(labelled),
        unsure=len(said) - len(labelled),
        excluded=len(others),
    )


def _has(labels: Labels, answer: _PopulationAnswer) -> bool:
    return answer.trial_id in labels.by_trial


# --- rows ------------------------------------------------------------------------------------------------------------


def _rows(
    pool: _Pool, labels: Labels, facts: RunFacts, rates: Sequence[Row], sample_notes: Sequence[str]
) -> Iterator[Row]:
    """Two rows for each cell, in the order of rates.csv."""
    population, ruled = ~pool.flags("aside") & ~pool.flags("known"), pool.flags("ruled")
    everywhere = np.ones(len(pool.answers), dtype=bool)
    pooled = _scope(pool, labels, everywhere, population & ruled, facts)
    errors = _errors(pooled.judged)
    differing = _differences(pool, labels, population & ruled, facts)
    cells = {answer.cell for answer in pool.answers}
    for raw in (row for row in rates if row["metric"] == pool.metric.name):
        cell = CellKey(*(raw[name] for name in CellKey._fields))
        if cell not in cells:
            continue
        here = np.array([answer.cell == cell for answer in pool.answers], dtype=bool)
        known = int((here & pool.flags("known")).sum())
        common = {name: raw[name] for name in CORRECTED_COLUMNS if name in raw} | {"judge": facts.judge_model}
        cell_scope = _scope(pool, labels, here, population & ruled, facts)
        found, notes = _by_rogan_gladen(cell_scope.judged, pooled, errors)
        found = _scaled(found, _with_known(cell_scope, known) / _answered(pooled.judged))
        more = [*notes, *differing, *sample_notes]
        yield common | _described(ROGAN_GLADEN, found, pooled, errors, more)
        cell_errors = _errors(cell_scope.judged)
        cell_scope = _scope(pool, labels, here, population, facts)
        found, notes = _by_ppi(cell_scope.judged)
        found = _scaled(found, _with_known(cell_scope, known))
        yield common | _described(PPI, found, cell_scope, cell_errors, [*notes, *sample_notes])


def _errors(judged: JudgedSample) -> Errors:
    return error_rates(judged) if len(judged.labelled) else Errors(None, None, None)


def _by_rogan_gladen(judged: JudgedSample, pooled: _Scope, errors: Errors) -> tuple[Corrected | None, list[str]]:
    if not len(judged.said):
        return None, ["the judge ruled on none of its answers"]
    sensitivity, specificity = errors.sensitivity, errors.specificity
    if sensitivity is None or specificity is None:
        return None, [_unlabelled(pooled.judged) or _one_sided(pooled.judged)]
    size = effective_size(judged.said, np.ones_like(judged.said), judged.prompts)
    found = rogan_gladen(float(judged.said.mean()), size, sensitivity, specificity)
    if found is None:
        return None, ["sensitivity and specificity add up to 1 or less: the judge is no better than chance"]
    if found.low == 0 and found.high == 1:
        return found, ["the labels do not exclude that the judge is no better than chance"]
    return found, []


def _by_ppi(judged: JudgedSample) -> tuple[Corrected | None, list[str]]:
    if not len(judged.said):
        return None, ["it has no complete answer"]
    found = prediction_powered(judged)
    return found, [] if found else [_unlabelled(judged) or "none of its labelled answers is answered"]


def _unlabelled(judged: JudgedSample) -> str:
    """What is there and has no label, "" where nothing is."""
    if not len(judged.labelled):
        return f"none of its {len(judged.said)} answers has a usable label"
    for said, words in ((1, "calls hits"), (0, "does not call hits")):
        there = int((judged.said == said).sum())
        if there and not (judged.said[judged.labelled] == said).any():
            return f"none of the {there} answers that the judge {words} has a usable label"
    return ""


def _one_sided(judged: JudgedSample) -> str:
    rate, what = ("sensitivity", "a hit") if not judged.hits.any() else ("specificity", "other than a hit")
    return f"no labelled answer is {what}, so nothing tells the judge's {rate}"


def _with_known(scope: _Scope, known: int) -> float:
    """The share of the cell's denominator that is not a known refusal."""
    there = len(scope.judged.said)
    return there / (there + known) if there else 1.0


def _answered(judged: JudgedSample) -> float:
    """The share of the answers in the denominator that people would leave there; 1 where nobody has said."""
    answered = float((judged.weights * judged.answered).sum())
    return answered / float(judged.weights.sum()) if answered > 0 else 1.0


def _scaled(found: Corrected | None, by: float) -> Corrected | None:
    if found is None:
        return None
    rate, low, high = (min(1.0, end * by) for end in (found.rate, found.low, found.high))
    return Corrected(rate, low, high, found.by_labels * by**2, found.by_answers * by**2)


def _described(
    method: str, found: Corrected | None, scope: _Scope, errors: Errors, notes: Sequence[str]
) -> dict[str, Any]:
    more = labels_to_halve(found, scope.labels, scope.unlabelled) if found else None
    notes = [*notes, _cannot_halve(found, scope)] if found and more is None else notes
    return {
        "method": method,
        "corrected": found.rate if found else None,
        "corrected_low": found.low if found else None,
        "corrected_high": found.high if found else None,
        "n_labels": scope.labels,
        "n_unsure": scope.unsure,
        "n_excluded": scope.excluded,
        **_columns("sensitivity", errors.sensitivity),
        **_columns("specificity", errors.specificity),
        "kappa": errors.kappa,
        "labels_to_halve": more,
        "note": BETWEEN_NOTES.join(notes),
    }


def _columns(name: str, error: ErrorRate | None) -> dict[str, float | None]:
    low, high = (error.low, error.high) if error else (None, None)
    return {name: error.rate if error else None, f"{name}_low": low, f"{name}_high": high}


def _cannot_halve(found: Corrected, scope: _Scope) -> str:
    if found.by_labels <= 3 * found.by_answers:
        return "no number of labels halves the interval: it needs more answers, or more questions"
    return f"labelling all {scope.unlabelled} answers that are left would not halve the interval"


# --- does the judge err alike everywhere? ----------------------------------------------------------------------------


def _differences(pool: _Pool, labels: Labels, used: Flags, facts: RunFacts) -> list[str]:
    """Where the judge's errors differ between conditions, models or formats by more than chance (Holm's level of all
    these tests together), so that one correction for all of them is biased."""
    tested: list[tuple[float, str]] = []
    for factor in ("condition", "model", "format"):
        levels = list(dict.fromkeys(getattr(answer.cell, factor) for answer in pool.answers))
        if len(levels) < 2:
            continue
        errors_by_level: dict[str, Errors] = {}
        for level in levels:
            here = np.array([getattr(answer.cell, factor) == level for answer in pool.answers], dtype=bool)
            errors_by_level[level] = _errors(_scope(pool, labels, here, used, facts).judged)
        for name in ("sensitivity", "specificity"):
            rates: dict[str, ErrorRate] = {}
            for level, errors in errors_by_level.items():
                rate = errors.sensitivity if name == "sensitivity" else errors.specificity
                if rate is not None:
                    rates[level] = rate
            if len(rates) < 2:
                continue
            each = ", ".join(f"{one_line(level, 60)} {rate.rate:.0%}" for level, rate in rates.items())
            words = f"{name} differs between {factor}s ({each}): the pooled correction is biased, trust ppi"
            tested.append((chance_of_difference(list(rates.values())), words))
    return [words for p_value, words in tested if p_value * len(tested) < _SURE]
