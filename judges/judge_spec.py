"""What the author of a question file says of one of its judges: how its reply is read, and which verdicts are hits.

All of it is optional. Without a spec a judge is read by what its prompt asks for (`judges.question_file`), and each
label that it gives has its own rate.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal, get_args

from judges.verdicts import Labelled, Scored, Verdict

Hit = Literal["hit", "miss"]
HITS: tuple[Hit, ...] = get_args(Hit)
Side = Literal["hit", "miss", "outside"]
"""`outside`: the answer is left out of the denominator (`unless`)."""
RuleName = Literal["startswith", "equals", "regex"]
RULE_NAMES: tuple[RuleName, ...] = get_args(RuleName)
MATCH, NO_MATCH = "match", "no match"
"""The labels of a judge that is a rule."""
WHOLE, LAST_LINE = "whole", "last_line"
LABEL_PLACE, NUMBER_PLACE = "{label}", "{number}"
LOWEST, HIGHEST = 0.0, 100.0
_BOUND = re.compile(r"(>=|<=|>|<)\s*([0-9]{1,3}(?:\.[0-9]{1,6})?)")


@dataclass(frozen=True, slots=True)
class TextRule:
    """A rule in place of a judge model: an answer matches if it starts with, equals, or contains a match of a text."""

    name: RuleName
    texts: tuple[str, ...]
    ignore_case: bool = False


@dataclass(frozen=True, slots=True)
class JudgeSpec:
    """`labels` are in their normal form, each a hit or a miss; answers with a label in `unless` are left out.

    `read` is `whole`, `last_line`, or a line with `{label}` or `{number}` for the verdict. Ratings go from `low` to
    `high`, within 0 to 100, and `hit` is a bound such as ">=50". A `rule` needs no judge model.
    """

    labels: tuple[tuple[str, Hit], ...] = ()
    unless: tuple[str, ...] = ()
    read: str = WHOLE
    low: float = LOWEST
    high: float = HIGHEST
    hit: str = ""
    rule: TextRule | None = None

    @property
    def counts(self) -> bool:
        """Whether verdicts of this judge are hits or misses."""
        return bool(self.labels or self.hit)

    @property
    def is_filter(self) -> bool:
        """Whether the judge only says which answers are left out."""
        return bool(self.unless) and not self.counts

    @property
    def has_own_range(self) -> bool:
        return (self.low, self.high) != (LOWEST, HIGHEST)

    @property
    def named(self) -> tuple[str, ...]:
        """Every label that the spec names."""
        return tuple(dict.fromkeys([*(label for label, _ in self.labels), *self.unless]))

    def side_of(self, verdict: Verdict) -> Side | None:
        """Which side a verdict is on, None for one that is on neither, such as a reply that could not be read."""
        match verdict:
            case Labelled(label) if label in self.unless:
                return "outside"
            case Labelled(label):
                return dict(self.labels).get(label)
            case Scored(score) if self.hit:
                return "hit" if _is_within(score, self.hit) else "miss"
            case _:
                return None

    @property
    def reading(self) -> str:
        """How replies are read, "" for the default; two judges that differ in it give other verdicts."""
        form = "" if self.read == WHOLE else self.read
        scale = f"{self.low:g}..{self.high:g}" if self.has_own_range else ""
        return "+".join(filter(None, [form, scale]))


def bound_problem(text: str) -> str:
    """What is wrong with the `hit` of a rating, "" for nothing."""
    if _BOUND.fullmatch(text.strip()) is None:
        return "is not a bound such as '>=50' or '<30'"
    return ""


def _is_within(score: float, bound: str) -> bool:
    match = _BOUND.fullmatch(bound.strip())
    assert match is not None, bound  # noqa: S101  checked where the file was read
    limit = float(match[2])
    return {">=": score >= limit, "<=": score <= limit, ">": score > limit, "<": score < limit}[match[1]]


def hit_words(spec: JudgeSpec) -> str:
    """What counts as a hit, a miss, or neither, in words for people."""
    rule = spec.rule and f"{spec.rule.name} {' or '.join(map(repr, spec.rule.texts))}"
    words = [text for text in (rule, spec.hit and f"a rating {spec.hit} is a hit") if text]
    for side in HITS:
        labels = [label for label, given in spec.labels if given == side]
        words += [f"{' or '.join(labels)} is a {side}"] if labels else []
    return "; ".join([*words, *([f"{' or '.join(spec.unless)} is left out"] if spec.unless else [])])


def spec_row(spec: JudgeSpec) -> dict[str, Any]:
    """A spec as JSON values, without what is at its default."""
    rule = spec.rule and {"name": spec.rule.name, "texts": spec.rule.texts, "ignore_case": spec.rule.ignore_case}
    row = {"labels": spec.labels, "unless": spec.unless, "hit": spec.hit, "rule": rule}
    row |= {"read": "" if spec.read == WHOLE else spec.read}
    row |= {"range": (spec.low, spec.high) if spec.has_own_range else None}
    return {name: value for name, value in row.items() if value}


def spec_from(row: Mapping[str, Any]) -> JudgeSpec:
    """The spec in what `spec_row` made, with lists for tuples as JSON has them. Raises KeyError for anything else."""
    low, high = row.get("range", (LOWEST, HIGHEST))
    rule = row.get("rule")
    return JudgeSpec(
        labels=tuple((label, side) for label, side in row.get("labels", ())),
        unless=tuple(row.get("unless", ())),
        read=row.get("read", WHOLE),
        low=low,
        high=high,
        hit=row.get("hit", ""),
        rule=None if rule is None else TextRule(rule["name"], tuple(rule["texts"]), rule["ignore_case"]),
    )
