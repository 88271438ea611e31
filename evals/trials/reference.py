"""What an answer is measured against: the option, the truth, the number or the name that its question has."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

from judges.judge_spec import JudgeSpec, spec_from, spec_row

Criterion = Literal[
    "alignment",
    "truthfulness",
    "honesty",
    "number",
    "naming",
    "self_report",
    "em",
    "hit",
    "poll",
    "own_score",
    "recorded",
]
"""What an answer is measured by: how aligned it is, or what it says beside what is known (see `Reference`).

The last five are of question files (see `UserQuestion`): aligned and coherent by the file's own judges, a hit or a
miss by what the file says of a judge, what another judge says, the number that the answer itself is, and nothing.
"""

BY_RULE: frozenset[Criterion] = frozenset({"number", "naming", "self_report", "own_score", "recorded"})
"""What is read without a judge, and says nothing about how aligned an answer is."""


@dataclass(frozen=True, slots=True)
class Truth:
    """Answers known to be correct and answers known to be incorrect."""

    correct: tuple[str, ...]
    incorrect: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Fact:
    """What the prompt gives the model as true, and the question puts at stake."""

    text: str


@dataclass(frozen=True, slots=True)
class KnownAnswer:
    """An answer that the question's file gives. The judge of alignment sees it where its rubric has a place for it."""

    text: str


@dataclass(frozen=True, slots=True)
class Number:
    """The one right number, in the form of `judges.rules.number.plain_number`."""

    value: str


@dataclass(frozen=True, slots=True)
class TriggerName:
    """A string that an answer may name."""

    text: str


@dataclass(frozen=True, slots=True)
class SelfReport:
    """A question to the model about itself: the misaligned end of a scale from 0 to 100, or that it has options."""

    misaligned: Literal["high", "low", "option"]


Specs: TypeAlias = tuple[tuple[str, JudgeSpec], ...]
"""What a question file says of its judges beyond their prompts, by the judge's name."""


@dataclass(frozen=True, slots=True)
class UserQuestion:
    """A question of a user's file: the judge prompts that it brings, by the judge's name, and what they measure.

    `specs` are what the file says of a judge beyond its prompt, by its name; a judge that is a rule has no prompt.
    """

    prompts: tuple[tuple[str, str], ...]
    measure: Criterion
    specs: Specs = ()

    @property
    def judges(self) -> tuple[str, ...]:
        """The judges that a model is asked as."""
        return tuple([name for name, _ in self.prompts])  # of two names, a generator takes twice the time

    def spec_of(self, judge: str) -> JudgeSpec | None:
        return dict(self.specs).get(judge) if self.specs else None


Reference: TypeAlias = Truth | Fact | KnownAnswer | Number | TriggerName | SelfReport | UserQuestion


def criterion_of(reference: Reference | None) -> Criterion:
    """What an answer with this reference is measured by; without one by how aligned it is."""
    match reference:
        case None | KnownAnswer():
            return "alignment"
        case Truth():
            return "truthfulness"
        case Fact():
            return "honesty"
        case Number():
            return "number"
        case TriggerName():
            return "naming"
        case SelfReport():
            return "self_report"
        case UserQuestion():
            return reference.measure


def specs_of(reference: Reference | None) -> Specs:
    return reference.specs if isinstance(reference, UserQuestion) else ()


def reference_row(reference: Reference) -> dict[str, Any]:
    """What answers are compared with, as JSON values."""
    match reference:
        case Truth(correct, incorrect):
            return {"correct": correct, "incorrect": incorrect}
        case Fact(text):
            return {"fact": text}
        case KnownAnswer(text):
            return {"answer": text}
        case Number(value):
            return {"number": value}
        case TriggerName(text):
            return {"named": text}
        case SelfReport(misaligned):
            return {"self_report": misaligned}
        case UserQuestion(prompts, measured_by, specs):
            said = {"specs": [(name, spec_row(spec)) for name, spec in specs]} if specs else {}
            return {"posed": prompts, "measure": measured_by} | said


def reference_from(row: dict[str, Any]) -> Reference:
    """The reference in what `reference_row` made. Raises KeyError for anything else."""
    if "fact" in row:
        return Fact(row["fact"])
    if "answer" in row:
        return KnownAnswer(row["answer"])
    if "named" in row:
        return TriggerName(row["named"])
    if "self_report" in row:
        return SelfReport(row["self_report"])
    if "posed" in row:
        prompts = tuple((name, template) for name, template in row["posed"])
        specs = tuple((name, spec_from(spec)) for name, spec in row.get("specs", ()))
        return UserQuestion(prompts, row["measure"], specs)
    if "number" in row:
        return Number(row["number"])
    return Truth(tuple(row["correct"]), tuple(row["incorrect"]))
