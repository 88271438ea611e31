"""One named score of an Inspect log as yes or no: `--score concerning --hit ">=7"`.

What the score measures is the log's business. Score and rule together are the label of a hit, `concerning>=7`, which
counts as the labels of a question file's judge do: `judged_concerning>=7` is the share of hits. A value that the rule
does not fit (a word where numbers are compared, a number where a label is named) is unreadable, and no value is not
judged.
"""

from __future__ import annotations

import math
import operator
import re
from collections import Counter
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Literal, NamedTuple

from evals.errors import BadInput
from evals.runner.imports.inspect_sample import storable_text
from evals.text import one_line
from evals.trials.reference import UserQuestion
from judges.question_file import PREFIX
from judges.verdicts import Labelled, Unreadable, Verdict

if TYPE_CHECKING:
    from inspect_ai.scorer import Score

Sign = Literal[">=", "<=", ">", "<", "==", "!="]
_SIGNS: dict[Sign, Callable[[float, float], bool]] = {
    ">=": operator.ge,
    "<=": operator.le,
    ">": operator.gt,
    "<": operator.lt,
    "==": operator.eq,
    "!=": operator.ne,
}
_COMPARISON = re.compile(r"(>=|<=|==|!=|>|<)(.*)", re.DOTALL)
_NUMBER = re.compile(r"[+-]?(?:[0-9]+\.?[0-9]*|\.[0-9]+)(?:[eE][+-]?[0-9]{1,3})?")
_MOST_NAMES = 1000
_FORM = "such as '>=7', '==1', '!=C', or labels with commas between (I,P)"


class Hit(NamedTuple):
    """Which values are hits: those that compare with `number` so, or, where that is None, whose label is one of
    `labels` (with `!=`, is another word). Letter case does not matter."""

    sign: Sign
    number: float | None
    labels: tuple[str, ...]

    def __str__(self) -> str:
        return f"{self.sign}{','.join(self.labels) if self.number is None else f'{self.number:.12g}'}"

    def is_hit(self, value: float | str) -> bool:
        """Whether a value of `score_value` is a hit. Raises ValueError for one that the rule does not fit."""
        if self.number is not None:
            if isinstance(value, str) or math.isinf(value):
                raise ValueError("is not a number")
            return _SIGNS[self.sign](value, self.number)
        if not isinstance(value, str):
            raise ValueError("is a number, and --hit names a label")
        is_named = value.casefold() in {label.casefold() for label in self.labels}
        return is_named == (self.sign == "==")


def parse_hit(text: str) -> Hit:
    """The rule in a value of --hit. Raises BadInput."""
    found = _COMPARISON.fullmatch(text.strip())
    signs: list[Sign | None] = [sign for sign in _SIGNS if found and found[1] == sign]
    sign = signs[0] if signs else None
    rest = (found[2] if found else text).strip()
    if _NUMBER.fullmatch(rest) and sign is not None and math.isfinite(float(rest)):
        return Hit(sign, float(rest), ())
    labels = tuple(label.strip() for label in rest.split(","))
    if sign not in (None, "==", "!=") or not all(labels) or any(map(_looks_compared, labels)):
        raise BadInput(f"--hit: {one_line(text, 60)!r} is no rule for a score, {_FORM}")
    return Hit("!=" if sign == "!=" else "==", None, labels)


def _looks_compared(label: str) -> bool:
    return _NUMBER.fullmatch(label) is not None or label[0] in "<>=!"


def score_value(value: object) -> float | str | None:
    """A score's value as a number or a label, None for none; a number as text is that number. Raises ValueError for
    several values."""
    match value:
        case None:
            return None
        case bool():
            return "true" if value else "false"
        case int() | float():
            return None if math.isnan(value) else float(value)
        case str():
            text = value.strip()
            if text.lower() in ("", "nan"):
                return None
            return float(text) if _NUMBER.fullmatch(text) else text
        case _:
            raise ValueError("holds several values")


@dataclass
class NamedScore:
    """The score of a log that is imported, and what was met of it on the way."""

    name: str
    hit: Hit

    def __post_init__(self) -> None:
        self.label = f"{self.name}{self.hit}"
        self.judge = PREFIX + self.label
        self.reference = UserQuestion(((self.label, ""),), "poll")
        self._names: dict[str, None] = {}
        self._labels: Counter[str] = Counter()
        self._low, self._high, self._numbers, self._found = math.inf, -math.inf, 0, 0

    def verdict(self, where: str, scores: Mapping[str, Score]) -> tuple[Verdict | None, str]:
        """What the score of a sample says, and the value and explanation behind it. Raises BadInput for a name that two
        scores of the sample have."""
        given = [(qualified, name, score, value) for qualified, name, score, value in _values(scores)]
        if len(self._names) < _MOST_NAMES:
            self._names |= dict.fromkeys(qualified for qualified, *_ in given)
        found = [item for item in given if item[0] == self.name] or [item for item in given if item[1] == self.name]
        if not found:
            return None, ""
        if len(found) > 1:
            names = " and ".join(qualified for qualified, *_ in found)
            raise BadInput(f"--score {one_line(self.name, 60)}: {where}: two scores have this name: {one_line(names)}")
        self._found += 1
        _, _, score, value = found[0]
        said = storable_text(f"{value}: {score.explanation or ''}".rstrip(": "))
        try:
            read = score_value(value)
            self._met(read)
            return (None if read is None else self._verdict(is_hit=self.hit.is_hit(read))), said
        except ValueError as error:
            return Unreadable(str(error)), said

    def _verdict(self, *, is_hit: bool) -> Verdict:
        return Labelled(self.label if is_hit else f"not {self.label}", "classified")

    def _met(self, value: float | str | None) -> None:
        if isinstance(value, str):
            if value in self._labels or len(self._labels) < _MOST_NAMES:
                self._labels[value] += 1
        elif value is not None and math.isfinite(value):
            self._low, self._high = min(self._low, value), max(self._high, value)
            self._numbers += 1

    def check(self, path: Path) -> None:
        """Raises BadInput where no sample has the score."""
        if not self._found:
            names = one_line(", ".join(self._names), 600) or "none"
            raise BadInput(f"--score: {path}: no sample has a score {one_line(self.name, 60)!r}; the scores: {names}")

    def notes(self, path: Path) -> Iterator[str]:
        """What a person should know of the values: their range, and labels that the rule names and no sample has."""
        values = [f"{self._numbers} numbers from {self._low:g} to {self._high:g}"] if self._numbers else []
        values += [f"{one_line(label, 40)} ({count})" for label, count in self._labels.most_common(8)]
        if values:
            yield f"{path}: score {one_line(self.name, 60)}: {', '.join(values)}; a hit is {self.hit}"
        met = {label.casefold() for label in self._labels}
        missing = [label for label in self.hit.labels if label.casefold() not in met]
        if missing and self._found:
            yield f"{path}: --hit: no sample has the value {one_line(', '.join(missing), 100)}"


def named_score(score: str | None, hit: str | None) -> NamedScore | None:
    """The score that --score and --hit name, None where neither is given. Raises BadInput where one is missing."""
    if score is None and hit is None:
        return None
    if score is None or not score.strip():
        raise BadInput("--hit: needs the name of a score; give it with --score")
    if hit is None:
        raise BadInput(f"--score: needs the rule for a hit; give it with --hit, {_FORM}")
    return NamedScore(one_line(score.strip(), 100), parse_hit(hit))


def _values(scores: Mapping[str, Score]) -> Iterator[tuple[str, str, Score, object]]:
    """Each value with its full name, its own name, and its score; several values of one score have their own names."""
    for name, score in scores.items():
        if isinstance(score.value, Mapping):
            for inner, value in score.value.items():
                yield f"{name}.{inner}", inner, score, value
        else:
            yield name, name, score, score.value
