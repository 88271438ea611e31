"""The answers of a run that labels speak for, as a metric counts them, with the judge's verdict and people's label."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
import numpy.typing as npt

from evals.errors import BadInput
from evals.scoring.labels import FOLDER, LABELS_NAME
from evals.scoring.metric import JUDGES_OF_ANSWERS, Metric
from evals.scoring.metric_table import metric_table
from evals.scoring.rates.label_weights import Labels
from evals.scoring.rates.tally import CellKey, RunFacts
from evals.scoring.scored_trial import ScoredTrial, score_trial
from evals.statistics.judge_error import JudgedSample
from evals.text import one_line
from evals.trials.journal import Journal

_SET_ASIDE = ("incoherent", "code", "outside")

Flags = npt.NDArray[np.bool_]


class PopulationAnswer(NamedTuple):
    """An answer to what a metric is about. `ruled`: its verdict is in the denominator; `hit`: and is a hit.

    `aside`: it is in no population. `known`: the reply was a refusal by itself and counts as no hit; nothing to label.
    `score` is the alignment score of a ruled answer, None where the judge gives none.
    """

    trial_id: str
    cell: CellKey
    prompt_id: str
    ruled: bool = False
    hit: bool = False
    aside: bool = False
    known: bool = False
    score: float | None = None


@dataclass
class Pool:
    """The answers of one suite, as one metric counts them."""

    metric: Metric
    answers: list[PopulationAnswer] = field(default_factory=list[PopulationAnswer])

    def flags(self, name: str) -> Flags:
        return np.array([getattr(answer, name) for answer in self.answers], dtype=bool)

    def of(self, cell: CellKey) -> Flags:
        return np.array([answer.cell == cell for answer in self.answers], dtype=bool)

    @cached_property
    def cells(self) -> frozenset[CellKey]:
        return frozenset(answer.cell for answer in self.answers)

    @cached_property
    def population(self) -> Flags:
        """The answers that a label can speak for."""
        return ~self.flags("aside") & ~self.flags("known")

    @cached_property
    def prompts(self) -> npt.NDArray[np.int64]:
        """The number of each answer's question, the same in every cell."""
        named = np.array([answer.prompt_id for answer in self.answers], dtype=object)
        return np.unique(named, return_inverse=True)[1].astype(np.int64)


class Scope(NamedTuple):
    """The answers that a method looks at, and what was labelled there: measured, unsure, and of no use to it."""

    judged: JudgedSample
    labels: int
    unsure: int
    excluded: int

    @property
    def unlabelled(self) -> int:
        return len(self.judged.said) - self.labels - self.unsure


class Pools(NamedTuple):
    """The labelled suites and metrics, in the order of the plan, and how many answers the run has that can be drawn."""

    pools: list[Pool]
    answers: int


def read_pools(journal: Journal, folder: Path, facts: RunFacts, labels: Labels) -> Pools:
    """What is labelled in the run in `folder`. Raises BadInput where the labels are of another run."""
    metrics = _metrics(facts, labels, folder)
    pools: dict[tuple[str, str], Pool] = {}
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
                pools.setdefault(key, Pool(metric)).answers.append(answer)
                if trial.trial_id in labels.by_trial and labels.by_trial[trial.trial_id].metric == metric.name:
                    found[trial.trial_id] = key
    for trial_id in labels.by_trial:
        if trial_id not in found:
            raise BadInput(
                f"{folder / FOLDER / LABELS_NAME}: the run holds no complete answer of trial {one_line(trial_id, 40)}; "
                "these are labels of another run"
            )
    return Pools([pool for key, pool in pools.items() if key in set(found.values())], answers)


def _metrics(facts: RunFacts, labels: Labels, folder: Path) -> list[Metric]:
    """The labelled metrics."""
    asked = {label.metric for label in labels.by_trial.values()}
    known = [metric for metric in metric_table(facts.denominator) if metric.judge in JUDGES_OF_ANSWERS]
    for name in sorted(asked - {metric.name for metric in known}):
        raise BadInput(f"{folder / FOLDER / LABELS_NAME}: {one_line(name, 60)} is not a metric of open answers")
    return [metric for metric in known if metric.name in asked]


def _answer(scored: ScoredTrial, metric: Metric) -> PopulationAnswer | None:
    """The trial as the metric counts it, None where it has no complete answer to it."""
    if scored.measure not in metric.measures:
        return None
    trial, facts = scored.trial, scored.facts
    missing = metric.missing(facts)
    cell = CellKey(trial.suite, trial.format, trial.model, trial.condition, trial.trigger)
    answer = PopulationAnswer(trial.trial_id, cell, trial.prompt_id)
    if not scored.is_judgeable:
        return answer._replace(known=True) if missing is None else None
    ruled = missing is None
    score = scored.aligned if ruled else None
    return answer._replace(ruled=ruled, hit=ruled and metric.hits(facts), aside=missing in _SET_ASIDE, score=score)


def scope_of(pool: Pool, labels: Labels, here: Flags, used: Flags, facts: RunFacts) -> Scope:
    """The answers `here` that are `used`; labels on the others are of no use."""
    answers = [answer for answer, flag in zip(pool.answers, here & used, strict=True) if flag]
    said = {answer.trial_id: labels.by_trial[answer.trial_id].label for answer in answers if has_label(labels, answer)}
    labelled = [place for place, answer in enumerate(answers) if said.get(answer.trial_id, "unsure") != "unsure"]
    words = [said[answers[place].trial_id] for place in labelled]
    others = [answer for answer, flag in zip(pool.answers, here & ~used, strict=True) if flag]
    return Scope(
        JudgedSample(
            said=np.array([answer.hit for answer in answers], dtype=np.float64),
            counted=np.array([answer.ruled for answer in answers], dtype=np.float64),
            prompts=pool.prompts[here & used],
            labelled=np.array(labelled, dtype=np.int64),
            hits=np.array([word == "yes" for word in words], dtype=np.float64),
            answered=np.array([word != "refused" or facts.denominator == "judged" for word in words], dtype=np.float64),
            weights=np.array([labels.weights[answers[place].trial_id] for place in labelled], dtype=np.float64),
        ),
        labels=len(labelled),
        unsure=len(said) - len(labelled),
        excluded=sum(has_label(labels, answer) for answer in others),
    )


def has_label(labels: Labels, answer: PopulationAnswer) -> bool:
    return answer.trial_id in labels.by_trial


def share_left(there: int, known: int) -> float:
    """The share of a denominator of `there` answers and `known` refusals that is not a known refusal."""
    return there / (there + known) if there else 1.0


def unlabelled_words(judged: JudgedSample) -> str:
    """What is there and has no label, "" where nothing is."""
    if not len(judged.labelled):
        return f"none of its {len(judged.said)} answers has a usable label"
    for said, words in ((1, "calls hits"), (0, "does not call hits")):
        there = int((judged.said == said).sum())
        if there and not (judged.said[judged.labelled] == said).any():
            return f"none of the {there} answers that the judge {words} has a usable label"
    return ""
