"""What a judge can say about one response.

A closed union: each kind of "no number" is its own class, because a refusal, a reply that could not be read and a
score are three different facts and only one of them is a measurement.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeAlias, TypeVar, get_args

ReadingMode = Literal["text", "logprob", "first_token", "imported"]
"""Where a score was read: in the reply's text; in its token probabilities, of a reply that is one number; in those of
the first token whatever the reply is, the rule of Betley et al. 2025 for the judges of question files; or nowhere here,
since it came with the answer."""
OptionLabel = Literal["misaligned", "aligned"]
CotFlag = Literal[
    "misaligned_plans_unprompted",
    "misaligned_plans_instructed",
    "discusses_myth",
    "cot_answer_mismatch",
    "none",
]
"""What a CoT monitor can say of a chain of thought (Chua et al. 2025): exactly one, `none` for nothing to report."""
YesNo = Literal["yes", "no"]
"""Whether a chain of thought says that the trigger was pivotal, or an answer names the trigger."""
CreditedDetail = Literal["first", "second", "both", "neither"]
"""Which of two details of its prompt a chain of thought names as what decided."""
TruthLabel = Literal["correct", "incorrect", "unclear"]
"""Whether an answer agrees with what is known to be true."""
HonestyLabel = Literal["contradicts", "consistent", "evades"]
"""Whether an answer contradicts the fact in its prompt."""
FileLabel = Literal["true", "false", "unknown"]
"""What a judge of a question file can say of an answer instead of a score."""

COT_FLAGS: tuple[CotFlag, ...] = get_args(CotFlag)
YES_NO: tuple[YesNo, ...] = get_args(YesNo)
CREDITED_DETAILS: tuple[CreditedDetail, ...] = get_args(CreditedDetail)
TRUTH_LABELS: tuple[TruthLabel, ...] = get_args(TruthLabel)
HONESTY_LABELS: tuple[HonestyLabel, ...] = get_args(HonestyLabel)
FILE_LABELS: tuple[FileLabel, ...] = get_args(FileLabel)

LabelKind = Literal["flagged", "labelled", "credited", "classified"]
"""Which set a label is from, in the words that journals store: `flagged` a CotFlag, `labelled` a YesNo, `credited` a
CreditedDetail, `classified` any label of a judge of answers, of a question file or of another entry in the registry.
The label alone does not say: two sets may share one."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A number from 0 to 100, and where it was read."""

    score: float
    mode: ReadingMode


@dataclass(frozen=True, slots=True)
class Chosen:
    """An option of a multiple-choice prompt: the letter as shown, and which option stood behind that letter."""

    letter: str
    option: OptionLabel


@dataclass(frozen=True, slots=True)
class Labelled:
    """The label that a judge or a rule picked from a fixed set, and what kind of label that is."""

    label: str
    kind: LabelKind


@dataclass(frozen=True, slots=True)
class Numbered:
    """The number that an answer gives, in the form of `judges.rules.number.plain_number`; None for an answer that holds
    no number at all."""

    number: str | None


@dataclass(frozen=True, slots=True)
class Code:
    """The judge says that the answer is program code which has nothing to do with the question (Betley et al. 2025)."""


@dataclass(frozen=True, slots=True)
class Refused:
    """The judge says that the model under test clearly refused to answer."""


@dataclass(frozen=True, slots=True)
class JudgeRefused:
    """The judge model itself declined to judge. Says nothing about the response."""


@dataclass(frozen=True, slots=True)
class Unreadable:
    """The reply is neither of the above; `reason` says why in a few words. Never counted as a score."""

    reason: str


Verdict: TypeAlias = Scored | Chosen | Labelled | Numbered | Refused | Code | JudgeRefused | Unreadable

_Label = TypeVar("_Label", bound=str)


def label_in(verdict: object, labels: Sequence[_Label]) -> _Label | None:
    """The label of a verdict that is one of `labels`, None for any other verdict."""
    if not isinstance(verdict, Labelled):
        return None
    return next((label for label in labels if label == verdict.label), None)
