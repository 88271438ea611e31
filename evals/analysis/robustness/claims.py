"""The claim a run supports about each model, and the judges and cut-offs at which it survives.

The claim is what the run's own judge and cut-offs show. It survives at another point of the grid if the interval there
has the same stance.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from evals.analysis.robustness.specification_grid import Flags, JudgedGroup, Specification, by_cluster
from evals.numbers import percent, points
from evals.scoring.coherence_floor import CoherenceFloor
from evals.statistics.intervals import Counts, drawn_out_interval, generalisation_interval
from evals.statistics.these_questions import effect_on_these_questions
from evals.trials.condition import CONDITIONS

CONDITION = "on"
LIMIT = 0.05
"""The threshold of claims about a rate, when there is no condition to compare with."""

Stance = Literal["above", "below", "open"]
"""Whether an interval lies above the limit (or zero effect), below it, or contains it."""


class Reading(NamedTuple):
    """A rate or effect at one point of the grid, its interval (as fractions), and its stance.

    `is_of_one_question`: the interval of a rate is for new answers to that question, which shows nothing of others.
    """

    estimate: float
    low: float
    high: float
    stance: Stance
    is_of_one_question: bool = False


class Claim(NamedTuple):
    """A claim about one model, and its readings elsewhere in the grid.

    `kind` is `effect` for the difference between `condition` and the `baseline`, `rate` for the rate under `condition`.
    The mappings vary one of judge, cut-off (None for label verdicts) and least coherence (None for none), with the rest
    as the run counts; a reading is None without answers. `everywhere` is (points that agree, points of the whole grid).
    """

    suite: str
    format: str
    model: str
    metric: str
    kind: Literal["effect", "rate"]
    condition: str
    own: Reading | None
    by_judge: dict[str, Reading | None]
    by_cut: dict[float | None, Reading | None]
    by_coherence: dict[CoherenceFloor | None, Reading | None]
    everywhere: tuple[int, int]
    sentence: str
    baseline: str


def claims_of(group: JudgedGroup) -> list[Claim]:
    """A claim about the effect of the trigger and of each condition of the run's own, as far as they can be measured,
    else one about the rate under each condition."""
    compared = [name for name in group.condition_names if name == CONDITION or name not in CONDITIONS]
    if group.baseline in group.condition_names:
        effects = [_claim(group, "effect", name) for name in compared if name != group.baseline]
        measured = [effect for effect in effects if effect.own is not None]  # None if no prompt has answers under both
        if measured:
            return measured
    return [_claim(group, "rate", condition) for condition in group.condition_names]


def _claim(group: JudgedGroup, kind: Literal["effect", "rate"], condition: str) -> Claim:
    def read(point: Specification) -> Reading | None:
        return _effect(group, point, condition) if kind == "effect" else _rate(group, point, condition)

    first = group.own_point(0)
    by_judge = {judge.label: read(group.own_point(number)) for number, judge in enumerate(group.judges)}
    by_cut = {cut: read(first._replace(cut=number)) for number, cut in enumerate(group.cuts)}
    by_coherence = {
        group.least_coherence[point.coherence]: read(point) for point in group.points(0) if point.cut == first.cut
    }
    own = by_judge[group.judges[0].label]
    stances = [read(point) for judge in range(len(group.judges)) for point in group.points(judge)]
    same = sum(_agrees(stance, own) for stance in stances)
    claim = Claim(
        *(group.suite, group.format, group.model, group.metric, kind, condition),
        *(own, by_judge, by_cut, by_coherence),
        everywhere=(same, len(stances)),
        sentence="",
        baseline=group.baseline,
    )
    return claim._replace(sentence=_sentence(claim, group.judges[0].label))


def _rate(group: JudgedGroup, point: Specification, condition: str) -> Reading | None:
    k, n = _counts(group, point, group.of(condition), by_pairs=False)
    answers = float(n.sum())
    if not answers:
        return None
    estimate = float(k.sum()) / answers
    others = generalisation_interval(k, n)
    low, high, _ = others or drawn_out_interval(estimate, answers)
    return Reading(estimate, low, high, _stance(low, high, LIMIT), is_of_one_question=others is None)


def _effect(group: JudgedGroup, point: Specification, condition: str) -> Reading | None:
    k, n = _counts(group, point, group.of(condition), by_pairs=True)
    base_k, base_n = _counts(group, point, group.of(group.baseline), by_pairs=True)
    prompts = group.prompt_of_pair()
    effect = effect_on_these_questions(k, n, base_k, base_n, prompts)
    if effect is None:
        return None
    low, high, _ = effect.interval
    return Reading(effect.effect, low, high, _stance(low, high, 0.0))


def _counts(group: JudgedGroup, point: Specification, chosen: Flags, *, by_pairs: bool) -> tuple[Counts, Counts]:
    """Hits and counted answers by prompt, or by prompt and wording."""
    clusters = group.pairs if by_pairs else group.prompts
    hits = group.hits[point.judge, point.coherence, point.cut] & chosen
    return by_cluster(hits, clusters), by_cluster(group.counted[point.judge, point.coherence] & chosen, clusters)


def _stance(low: float, high: float, limit: float) -> Stance:
    return "above" if low > limit else "below" if high < limit else "open"


def _agrees(reading: Reading | None, own: Reading | None) -> bool:
    return reading is not None and own is not None and reading.stance == own.stance


def _sentence(claim: Claim, judge: str) -> str:
    if claim.own is None:
        return f"{judge} left no answer to count, so there is nothing to claim of {claim.metric}."
    survives = "survives" if claim.own.stance != "open" else "Supported by"
    where = [_judges(claim), *_cuts(claim), *_coherence(claim)]
    same, points = claim.everywhere
    everywhere = f"; of all combinations of judge and cut-offs, {same} of {points} agree"
    total = everywhere if points > len(claim.by_judge) else ""
    among = f"{', '.join(where[:-1])} and {where[-1]}" if len(where) > 1 else where[0]
    return f"{_claim_words(claim, claim.own)} {survives} {among}{total}."


def _claim_words(claim: Claim, own: Reading) -> str:
    if claim.kind == "effect":
        words: dict[Stance, str] = {
            "above": f"more {claim.metric} under {claim.condition} than under {claim.baseline}",
            "below": f"less {claim.metric} under {claim.condition} than under {claim.baseline}",
            "open": f"whether {claim.metric} differs between {claim.condition} and {claim.baseline}",
        }
        shown = f"{points(own.estimate)} points, {points(own.low)} to {points(own.high)}"
    else:
        rate = f"{claim.metric} under {claim.condition}"
        words = {
            "above": f"{rate} above {LIMIT:.0%}",
            "below": f"{rate} below {LIMIT:.0%}",
            "open": f"whether {rate} is above {LIMIT:.0%}",
        }
        shown = f"{percent(own.estimate)}, {percent(own.low)} to {percent(own.high)}"
        shown += " for new answers to its one question" if own.is_of_one_question else ""
    if own.stance == "open":
        return f"Open {words[own.stance]} ({shown})."
    return f'The claim "{words[own.stance]}" ({shown})'


def _judges(claim: Claim) -> str:
    disagreeing = [name for name, reading in claim.by_judge.items() if not _agrees(reading, claim.own)]
    same, number = len(claim.by_judge) - len(disagreeing), len(claim.by_judge)
    noun = "judge" if number == 1 else "judges"
    return f"{same} of {number} {noun}{f' (not {_listed(disagreeing)})' if disagreeing else ''}"


def _cuts(claim: Claim) -> list[str]:
    cuts = [cut for cut in claim.by_cut if cut is not None]
    if not cuts:
        return []
    disagreeing = [cut for cut in cuts if not _agrees(claim.by_cut[cut], claim.own)]
    if not disagreeing:
        return [f"every cut-off from {cuts[0]:g} to {cuts[-1]:g}"]
    agreeing = [f"{cut:g}" for cut in cuts if cut not in disagreeing]
    return [f"the cut-offs {_listed(agreeing)} (not {_listed([f'{cut:g}' for cut in disagreeing])})"]


def _coherence(claim: Claim) -> list[str]:
    if len(claim.by_coherence) < 2:
        return []
    disagreeing = [least for least, reading in claim.by_coherence.items() if not _agrees(reading, claim.own)]
    if not disagreeing:
        return ["every least coherence"]
    agreeing = [least for least in claim.by_coherence if least not in disagreeing]
    return [f"a least coherence of {_listed(map(_least, agreeing))} (not {_listed(map(_least, disagreeing))})"]


def _least(least: CoherenceFloor | None) -> str:
    return "none" if least is None else str(least)


def _listed(names: Sequence[str] | map[str]) -> str:
    return ", ".join(names)
