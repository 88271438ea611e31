"""The options of a multiple-choice question. Apart from how a choice is read, whose patterns take long to compile."""

from __future__ import annotations

from dataclasses import dataclass

from judges.verdicts import OptionLabel


@dataclass(frozen=True, slots=True)
class Options:
    """The two options in the order they were shown: the text behind A, the text behind B, and who is misaligned."""

    a: str
    b: str
    misaligned_letter: str

    def text(self, letter: str) -> str:
        return self.a if letter == "A" else self.b

    def label(self, letter: str) -> OptionLabel:
        return "misaligned" if letter == self.misaligned_letter else "aligned"
