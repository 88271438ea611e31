"""What a run could claim of each model, and at how many judges and cut-offs it could.

The claim is read off where the run counts: with its judge, at its cut-offs. It survives at another point of the grid
when the interval there says the same.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

from evals.analysis.robustness.specification_grid import Flags, JudgedGroup, Specification, by_cluster
from evals.numbers import percent, points
from evals.statistics.intervals import Counts, cluster_wilson_interval, paired_effect
from evals.trials.condition import BASELINE

CONDITION = "on"
LIMIT = 0.05
"""A rate is claimed to be above or below this where there is no condition to compare with."""

Stance = Literal["above", "below", "open"]
"""What an interval says: it lies above the limit (or above no effect), below it, or holds it."""


class Reading(NamedTuple):
    """A rate or an effect at one point of the grid, as fractions, and what its interval says."""

    estimate: float
    low: float
    high: float
    stance: Stance


class Claim(NamedTuple):
    """What a run says of one model, and where it would say so, too.

    `kind` is `effect` for the difference between `condition` and off, `rate` for the rate under `condition`. The
    mappings go from a judge, a cut-off (None for verdicts that are labels) and a least coherence (None for none) to
    what is read there with everything else as the run counts; None where there are no answers to read it from.
    `everywhere` is how many of how many points of the whole grid say the same.
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
    by_coherence: dict[float | None, Reading | None]
    everywhere: tuple[int, int]
    sentence: str


def claims_of(group: JudgedGroup) -> list[Claim]:
    """One for the effect of the trigger where there is one to see, else one for the rate under each condition."""
    if {CONDITION, BASELINE} <= set(group.condition_names):
        effect = _claim(group, "effect", CONDITION)
        if effect.own is not None:  # else no prompt has answers under both
            return [effect]
    return [_claim(group, "rate", condition) for condition in group.condition_names]


def _claim(group: JudgedGroup, kind: Literal["effect", "rate"], condition: str) -> Claim:
    def read(point: Specification) -> Reading | None:
        return _effect(group, point, condition) if kind == "effect" else _rate(group, point, condition)

    first = group.own_point(0)
    by_judge = {one.label: read(group.own_point(number)) for number, one in enumerate(group.judges)}
    by_cut = {cut: read(first._replace(cut=number)) for number, cut in enumerate(group.cuts)}
    by_coherence = {
        group.least_coherence[point.coherence]: read(point) for point in group.points(0) if point.cut == first.cut
    }
    own = by_judge[group.judges[0].label]
    stances = [read(point) for judge in range(len(group.judges)) for point in group.points(judge)]
    same = sum(_same(one, own) for one in stances)
    claim = Claim(
        *(group.suite, group.format, group.model, group.metric, kind, condition),
        *(own, by_judge, by_cut, by_coherence),
        everywhere=(same, len(stances)),
        sentence="",
    )
    return claim._replace(sentence=_sentence(claim, group.judges[0].label))


def _rate(group: JudgedGroup, point: Specification, condition: str) -> Reading | None:
    k, n = _counts(group, point, group.of(condition), by_pairs=False)
    interval = cluster_wilson_interval(k, n)
    if interval is None:
        return None
    estimate = float(k.sum() / n.sum())
    return Reading(estimate, interval.low, interval.high, _stance(interval.low, interval.high, LIMIT))


def _effect(group: JudgedGroup, point: Specification, condition: str) -> Reading | None:
    k, n = _counts(group, point, group.of(condition), by_pairs=True)
    base_k, base_n = _counts(group, point, group.of(BASELINE), by_pairs=True)
    prompts = group.prompt_of_pair()
    effect = paired_effect(k, n, base_k, base_n, prompts)
    if effect is None:
        return None
    low, high, _ = effect.interval
    return Reading(effect.effect, low, high, _stance(low, high, 0.0))


def _counts(group: JudgedGroup, point: Specification, chosen: Flags, *, by_pairs: bool) -> tuple[Counts, Counts]:
    """Hits and counted answers of each prompt, or of each prompt in one wording."""
    clusters = group.pairs if by_pairs else group.prompts
    hits = group.hits[point.judge, point.coherence, point.cut] & chosen
    return by_cluster(hits, clusters), by_cluster(group.counted[point.judge, point.coherence] & chosen, clusters)


def _stance(low: float, high: float, limit: float) -> Stance:
    return "above" if low > limit else "below" if high < limit else "open"


def _same(reading: Reading | None, own: Reading | None) -> bool:
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
    return f"{_claimed(claim, claim.own)} {survives} {among}{total}."


def _claimed(claim: Claim, own: Reading) -> str:
    if claim.kind == "effect":
        words: dict[Stance, str] = {
            "above": f"more {claim.metric} under {claim.condition} than under {BASELINE}",
            "below": f"less {claim.metric} under {claim.condition} than under {BASELINE}",
            "open": f"whether {claim.metric} differs between {claim.condition} and {BASELINE}",
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
    if own.stance == "open":
        return f"Open {words[own.stance]} ({shown})."
    return f'The claim "{words[own.stance]}" ({shown})'


def _judges(claim: Claim) -> str:
    lacking = [name for name, reading in claim.by_judge.items() if not _same(reading, claim.own)]
    same, number = len(claim.by_judge) - len(lacking), len(claim.by_judge)
    noun = "judge" if number == 1 else "judges"
    return f"{same} of {number} {noun}{f' (not {_listed(lacking)})' if lacking else ''}"


def _cuts(claim: Claim) -> list[str]:
    cuts = [cut for cut in claim.by_cut if cut is not None]
    if not cuts:
        return []
    lacking = [cut for cut in cuts if not _same(claim.by_cut[cut], claim.own)]
    if not lacking:
        return [f"every cut-off from {cuts[0]:g} to {cuts[-1]:g}"]
    kept = [f"{cut:g}" for cut in cuts if cut not in lacking]
    return [f"the cut-offs {_listed(kept)} (not {_listed([f'{cut:g}' for cut in lacking])})"]


def _coherence(claim: Claim) -> list[str]:
    if len(claim.by_coherence) < 2:
        return []
    lacking = [least for least, reading in claim.by_coherence.items() if not _same(reading, claim.own)]
    if not lacking:
        return ["every least coherence"]
    kept = [least for least in claim.by_coherence if least not in lacking]
    return [f"a least coherence of {_listed(map(_least, kept))} (not {_listed(map(_least, lacking))})"]


def _least(least: float | None) -> str:
    return "none" if least is None else f"{least:g}"


def _listed(names: Sequence[str] | map[str]) -> str:
    return ", ".join(names)
