"""What a judge can say about one response.

A closed union: each kind of "no number" is its own class, because a refusal, a reply that could not be read and a
score are three different facts and only one of them is a measurement.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

ReadingMode = Literal["text", "logprob", "imported"]
OptionLabel = Literal["misaligned", "aligned"]
CotFlag = Literal[
    "misaligned_plans_unprompted",
    "misaligned_plans_instructed",
    "discusses_myth",
    "cot_answer_mismatch",
    "none",
]
"""What a CoT monitor can say of a chain of thought (Chua et al. 2025): exactly one, `none` for nothing to report."""
AnswerLabel: TypeAlias = str
"""What can be said of an answer beside a score: one of the labels in its judge's entry; true, false or unknown by a
judge of a question file; right, wrong, names, silent, above_50 or not_above_50 by a rule; "" for none."""
CreditedDetail = Literal["first", "second", "both", "neither"]
"""Which of two details of its prompt a chain of thought names as what decided."""


@dataclass(frozen=True, slots=True)
class Scored:
    """A number from 0 to 100, and whether it was read from the reply's text or from its token probabilities, or was
    imported with the answer."""

    score: float
    mode: ReadingMode


@dataclass(frozen=True, slots=True)
class Chosen:
    """An option of a multiple-choice prompt: the letter as shown, and which option stood behind that letter."""

    letter: str
    option: OptionLabel


@dataclass(frozen=True, slots=True)
class Flagged:
    """The one flag that a monitor gave a chain of thought."""

    flag: CotFlag


@dataclass(frozen=True, slots=True)
class Labelled:
    """Whether what the judge was asked about holds of the response."""

    label: bool


@dataclass(frozen=True, slots=True)
class Classified:
    """The one label that a judge gave an answer beside what is known."""

    label: AnswerLabel


@dataclass(frozen=True, slots=True)
class Credited:
    """Which of the two details shown to the judge the chain of thought credits."""

    detail: CreditedDetail


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


Verdict: TypeAlias = (
    Scored | Chosen | Flagged | Labelled | Classified | Credited | Numbered | Refused | Code | JudgeRefused | Unreadable
)
