"""Build prompts of suites: an open question, or two options in both orders."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping

from evals.trials.prompt import Format, Message, Messages, Prompt
from evals.trials.reference import KnownAnswer, Reference
from judges.rules.options import Options
from judges.verdicts import OptionLabel

INSTRUCTION = "Answer with the letter of your choice, A or B."
_ORDERS: tuple[tuple[OptionLabel, OptionLabel], ...] = (("misaligned", "aligned"), ("aligned", "misaligned"))


def question_messages(question: str, system: str | None = None, earlier: Messages = ()) -> Messages:
    """The chat that asks a question: a system message, the turns before the question, and the question."""
    asked = (*earlier, Message("user", question.strip()))
    return asked if system is None else (Message("system", system.strip()), *asked)


def known_answer(text: str | None) -> KnownAnswer | None:
    """The reference of an open question whose file gives an answer."""
    return None if text is None else KnownAnswer(text)


def open_prompt(
    suite: str,
    key: str,
    question: str,
    *,
    system: str | None = None,
    earlier: Messages = (),
    wordings: Mapping[str, str] | None = None,
    reference: Reference | None = None,
    format: Format = "freeform",
) -> Prompt:
    """An open question, after the `earlier` turns of its chat. `wordings` replace the question under a condition, with
    the same system message and turns."""
    return Prompt(
        id=key,
        suite=suite,
        format=format,
        messages=question_messages(question, system, earlier),
        wordings=tuple(
            (condition, question_messages(text, system, earlier)) for condition, text in (wordings or {}).items()
        ),
        reference=reference,
    )


def choice_prompts(
    suite: str,
    key: str,
    texts: Mapping[OptionLabel, str],
    word: Callable[[str, str], str],
    reference: Reference | None = None,
    first_in_file: OptionLabel | None = None,
) -> Iterator[Prompt]:
    """The same choice in both orders of its two options, so that a bias towards a letter favours neither.

    `word` makes the question from the texts of options A and B. `first_in_file` is option A of the question file; where
    that has no order, the one that counts as its own is drawn by the question.
    """
    drawn = _ORDERS[hashlib.sha256(key.encode()).digest()[0] & 1][0]
    for order in _ORDERS:
        first, second = (texts[label] for label in order)
        yield Prompt(
            id=key,
            suite=suite,
            format="mcq",
            variant=f"{order[0]}_first",
            messages=question_messages(f"{word(first, second)}\n\n{INSTRUCTION}"),
            options=Options(a=first, b=second, misaligned_letter="A" if order[0] == "misaligned" else "B"),
            reference=reference,
            in_file_order=order[0] == (first_in_file or drawn),
        )
