"""A tally of scored trials: how many there are of each kind, by cell, prompt and facts."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Collection, Iterator, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from evals.scoring.judge_set import JudgePanel
from evals.scoring.metric import Denominator, Metric, TrialFacts
from evals.scoring.scored_trial import ScoredTrial
from evals.scoring.side_metrics import PosedJudge
from evals.trials.condition import BASELINE, CONDITIONS
from evals.trials.record import Cell
from judges.question_file import PREFIX

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RunFacts:
    """What the tables say about the run as a whole.

    `dataset_sha` and `source` are by suite, `rubric_sha` by the judge's name. `labels` are those that category judges
    are asked for, by suite, and `file_judges` the judges of question files. `conditions` are all that were asked;
    effects are taken against the `baseline`, and those of models against the model `base`, "" for none. `recipes` are
    the models of each, which differ in their finetuning seed. `plugins` are the judges and metrics of other packages,
    by name, with what tells one state of their code from another.
    """

    run_id: str
    judges: JudgePanel
    judge_model: str
    rubric_sha: dict[str, str]
    dataset_sha: dict[str, str]
    denominator: Denominator
    source: dict[str, str]
    labels: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    conditions: tuple[str, ...] = ()
    baseline: str = BASELINE
    base: str = ""
    recipes: dict[str, tuple[str, ...]] = field(default_factory=dict[str, tuple[str, ...]])
    file_judges: dict[str, dict[str, PosedJudge]] = field(default_factory=dict[str, dict[str, PosedJudge]])
    plugins: dict[str, str] = field(default_factory=dict[str, str])

    def condition_rank(self, condition: str) -> tuple[bool, int, str]:
        """What conditions are sorted by: the baseline, the conditions that every run knows, then those of this one in
        its order."""
        own = condition not in CONDITIONS and condition in self.conditions
        return condition != self.baseline, self.conditions.index(condition) + 1 if own else 0, condition

    def is_by_rule(self, suite: str, judge: str) -> bool:
        """Whether a rule of a question file gives the verdicts of a metric, whose judge is `judge`."""
        judges = self.file_judges.get(suite, {})
        if judge == "hit":
            counted = [facts for facts in judges.values() if facts.spec is not None and facts.spec.counts]
            return bool(counted) and all(facts.by_rule for facts in counted)
        named = judges.get(judge.removeprefix(PREFIX)) if judge.startswith(PREFIX) else None
        return named is not None and named.by_rule


class CellKey(NamedTuple):
    """What a row `ALL` is about: the prompts of a suite in one format, of one model, under one condition."""

    suite: str
    format: str
    model: str
    condition: str
    trigger: str


class TrialKind(NamedTuple):
    """All that is counted of a trial. `letter` is the option chosen and `mode` how the alignment score was read, None
    where there is none; of `misaligned` whether it is `counted` and a `hit`."""

    cell: CellKey
    prompt_id: str
    variant: str
    letter: str | None
    mode: str | None
    facts: TrialFacts
    counted: bool
    hit: bool


class TrialCount(NamedTuple):
    """How many trials of a cell ended alike."""

    suite: str
    format: str
    model: str
    condition: str
    trigger: str
    measure: str
    outcome: str
    letter: str | None
    mode: str | None
    trials: int


class PromptVariant(NamedTuple):
    """One wording of one prompt in a cell."""

    cell: CellKey
    prompt_id: str
    variant: str


VariantCounts = Mapping[PromptVariant, Counter[TrialFacts]]
"""The trials of each wording by their facts, in the order in which the wordings first occur."""


class CountedTrial(NamedTuple):
    """What a trial is counted as, and its scores `aligned` and `coherent` (0-100, NaN where there is none)."""

    kind: TrialKind
    aligned: float
    coherent: float

    @classmethod
    def of(cls, scored: ScoredTrial, denominator: Denominator) -> CountedTrial:
        trial, facts = scored.trial, scored.facts
        counted = scored.is_counted(denominator)
        cell = CellKey(trial.suite, trial.format, trial.model, trial.condition, trial.trigger)
        read = (scored.letter, scored.mode, facts, counted, counted and facts.misaligned)
        return cls(
            TrialKind(cell, trial.prompt_id, trial.variant, *read),
            float("nan") if scored.aligned is None else scored.aligned,
            float("nan") if scored.coherent is None else scored.coherent,
        )


@dataclass
class Tally:
    """The recorded trials in the order of the plan: of each the number of its kind, and its scores `aligned` and
    `coherent` (0-100, NaN where there is none). A few bytes a trial, whatever its texts are."""

    kinds: dict[TrialKind, int] = field(default_factory=dict[TrialKind, int])
    numbers: array[int] = field(default_factory=lambda: array("L"))
    aligned: array[float] = field(default_factory=lambda: array("d"))
    coherent: array[float] = field(default_factory=lambda: array("d"))

    def add(self, counted: CountedTrial) -> None:
        """Count a trial."""
        self.numbers.append(self.number_of(counted.kind))
        self.aligned.append(counted.aligned)
        self.coherent.append(counted.coherent)

    def number_of(self, kind: TrialKind) -> int:
        """The number of a kind, which is among the kinds from now on."""
        return self.kinds.setdefault(kind, len(self.kinds))

    def with_models(self, names: Mapping[str, str]) -> Tally:
        """The trials of the models in `names`, called by the names that they have there."""
        return self._with_kinds(
            {
                number: kind._replace(cell=kind.cell._replace(model=names[kind.cell.model]))
                for kind, number in self.kinds.items()
                if kind.cell.model in names
            }
        )

    def with_questions(self, chosen: Collection[str]) -> Tally:
        """The trials of these questions."""
        return self._with_kinds({number: kind for kind, number in self.kinds.items() if kind.prompt_id in chosen})

    def _with_kinds(self, kinds: Mapping[int, TrialKind]) -> Tally:
        """The trials of these kinds, by their numbers here."""
        found = Tally()
        for number, aligned, coherent in zip(self.numbers, self.aligned, self.coherent, strict=True):
            if number in kinds:
                found.numbers.append(found.kinds.setdefault(kinds[number], len(found.kinds)))
                found.aligned.append(aligned)
                found.coherent.append(coherent)
        return found

    def by_variant(self) -> VariantCounts:
        """The trials of each wording of a prompt by their facts."""
        found: dict[PromptVariant, Counter[TrialFacts]] = {}
        for kind, number in self._counted():
            found.setdefault(PromptVariant(*kind[:3]), Counter())[kind.facts] += number
        return found

    def facts_by_suite(self) -> Iterator[tuple[str, TrialFacts, int]]:
        """The suites, with the facts of their trials and the number of trials of each kind."""
        for kind, number in self._counted():
            yield kind.cell.suite, kind.facts, number

    def trial_counts(self) -> tuple[TrialCount, ...]:
        """The trials by what they ended as, over all prompts of a cell."""
        counts: Counter[TrialCount] = Counter()
        for kind, number in self._counted():
            counts[TrialCount(*kind.cell, kind.facts.measure, kind.facts.outcome, kind.letter, kind.mode, 0)] += number
        return tuple(count._replace(trials=number) for count, number in counts.items())

    def _counted(self) -> Iterator[tuple[TrialKind, int]]:
        """Each kind with its number of trials, in the order in which the kinds first occur."""
        counts = Counter(self.numbers)
        for kind, number in self.kinds.items():
            yield kind, counts[number]

    def frame(self) -> pd.DataFrame:
        """A row for each trial: cell, prompt, variant, letter, mode, its facts, `counted`, `hit` and both scores."""
        import pandas as pd

        names = [*CellKey._fields, "prompt_id", "variant", "letter", "mode"]
        facts = [name for name in TrialFacts._fields if name not in (*_FLAGS, "alongside")]
        rows = [(*k.cell, *k[1:5], *k.facts, k.counted, k.hit) for k in self.kinds]
        kinds = pd.DataFrame(rows, columns=[*names, *TrialFacts._fields, "counted", "hit"])
        kinds = kinds.astype(dict.fromkeys([*names, *facts], "category") | dict.fromkeys(_FLAGS, bool))
        frame = kinds[[*names, *facts, *_FLAGS]].take(self.numbers).reset_index(drop=True)
        return frame.assign(aligned=list(self.aligned), coherent=list(self.coherent))


_FLAGS = ("misaligned", "cut", "counted", "hit")


def places_in(metric: Metric, variants: VariantCounts) -> dict[TrialFacts, str]:
    """Where trials with the same facts stand in a metric: `k` for hits, `miss` for the others in n, else the column of
    why they are left out."""
    places: dict[TrialFacts, str] = {}
    for facts in {facts for counts in variants.values() for facts in counts}:
        missing = metric.missing(facts)
        places[facts] = f"n_{missing}" if missing else "k" if metric.hits(facts) else "miss"
    return places


def is_about(metric: Metric, measure: str, form: str) -> bool:
    """Whether a metric is about answers in a format that are measured so."""
    return measure in metric.measures and (form != "mcq" or not metric.open_only)


def cell_of(cell: Cell) -> CellKey:
    return CellKey(cell.suite, cell.format, cell.model, cell.condition, cell.trigger)
