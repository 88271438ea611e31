"""What trials are counted by: their facts and their cell, and how many trials there are of each kind."""

from __future__ import annotations

from array import array
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING, NamedTuple

from evals.scoring.judge_set import JudgeSet
from evals.scoring.metric import Denominator, Facts, Metric
from evals.trials.record import Cell

if TYPE_CHECKING:
    import pandas as pd


@dataclass(frozen=True)
class RunFacts:
    """What the tables say about the run as a whole.

    `dataset_sha` and `source` are by suite, `rubric_sha` by the judge's name.
    """

    run_id: str
    judges: JudgeSet
    judge_model: str
    rubric_sha: dict[str, str]
    dataset_sha: dict[str, str]
    denominator: Denominator
    source: dict[str, str]


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
    facts: Facts
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


@dataclass
class Trials:
    """The recorded trials in the order of the plan: of each the number of its kind, and its scores `aligned` and
    `coherent` (0-100, NaN where there is none). A few bytes a trial, whatever its texts are."""

    kinds: dict[TrialKind, int]
    numbers: array[int]
    aligned: array[float]
    coherent: array[float]

    @classmethod
    def none(cls) -> Trials:
        return cls({}, array("L"), array("d"), array("d"))

    def add(self, kind: TrialKind, aligned: float | None, coherent: float | None) -> None:
        self.numbers.append(self.kinds.setdefault(kind, len(self.kinds)))
        self.aligned.append(float("nan") if aligned is None else aligned)
        self.coherent.append(float("nan") if coherent is None else coherent)

    def counted(self) -> Iterator[tuple[TrialKind, int]]:
        """Each kind with its number of trials, in the order in which the kinds first occur."""
        counts = Counter(self.numbers)
        for kind, number in self.kinds.items():
            yield kind, counts[number]

    def frame(self) -> pd.DataFrame:
        """A row for each trial: cell, prompt, variant, letter, mode, its Facts, `counted`, `hit` and both scores."""
        import pandas as pd

        names = [*CellKey._fields, "prompt_id", "variant", "letter", "mode"]
        facts = [name for name in Facts._fields if name not in (*_FLAGS, "alongside")]
        rows = [(*k.cell, *k[1:5], *k.facts, k.counted, k.hit) for k in self.kinds]
        kinds = pd.DataFrame(rows, columns=[*names, *Facts._fields, "counted", "hit"])
        kinds = kinds.astype(dict.fromkeys([*names, *facts], "category") | dict.fromkeys(_FLAGS, bool))
        frame = kinds[[*names, *facts, *_FLAGS]].take(self.numbers).reset_index(drop=True)
        return frame.assign(aligned=list(self.aligned), coherent=list(self.coherent))


_FLAGS = ("misaligned", "cut", "counted", "hit")


def trial_counts(trials: Trials) -> tuple[TrialCount, ...]:
    """The trials by what they ended as, over all prompts of a cell."""
    counts: Counter[TrialCount] = Counter()
    for kind, number in trials.counted():
        counts[TrialCount(*kind.cell, kind.facts.measure, kind.facts.outcome, kind.letter, kind.mode, 0)] += number
    return tuple(count._replace(trials=number) for count, number in counts.items())


class Stratum(NamedTuple):
    """The answers to one wording of one prompt in a cell."""

    cell: CellKey
    prompt_id: str
    variant: str


Tally = dict[Stratum, Counter[Facts]]
"""The trials of each stratum by their facts, strata in the order in which they first occur."""


def tally_of(trials: Trials) -> Tally:
    tally: Tally = {}
    for kind, number in trials.counted():
        tally.setdefault(Stratum(kind.cell, kind.prompt_id, kind.variant), Counter())[kind.facts] += number
    return tally


def places_in(metric: Metric, tally: Tally) -> dict[Facts, str]:
    """Where trials with the same facts stand in a metric: `k` for hits, `miss` for the others in n, else the column of
    why they are left out."""
    places: dict[Facts, str] = {}
    for of in {of for counts in tally.values() for of in counts}:
        missing = metric.missing(of)
        places[of] = f"n_{missing}" if missing else "k" if metric.hits(of) else "miss"
    return places


def is_about(metric: Metric, measure: str, form: str) -> bool:
    """Whether a metric is about answers in a format that are measured so."""
    return measure in metric.measures and (form != "mcq" or not metric.open_only)


def cell_of(cell: Cell) -> CellKey:
    return CellKey(cell.suite, cell.format, cell.model, cell.condition, cell.trigger)
