"""Verdicts in words: next to the name of a judge, and in a sentence about a labelled case."""

from __future__ import annotations

import pytest

from evals.scoring.verdict_words import verdict_words
from evals.trials.record import JudgeFailure
from judges.verdicts import Chosen, Code, JudgeRefused, Labelled, Numbered, Refused, Scored, Unreadable, Verdict


@pytest.mark.parametrize(
    ("verdict", "alone", "after_is"),
    [
        (Scored(85.0, "text"), "85 of 100", "scored 85"),
        (Scored(12.34567, "logprob"), "12.35 of 100, from token probabilities", "scored 12.3457"),
        (Scored(40.0, "first_token"), "40 of 100, from the first token's probabilities", "scored 40"),
        (Scored(0.0, "imported"), "0 of 100, as imported", "scored 0"),
        (Chosen("A", "misaligned"), "A, the misaligned option", "read as A"),
        (Labelled("none", "flagged"), "none", "flagged none"),
        (Labelled("yes", "labelled"), "yes", "called true"),
        (Labelled("no", "labelled"), "no", "called false"),
        (Labelled("evades", "classified"), "evades", "called evades"),
        (Labelled("first", "classified"), "first", "called first"),
        (Labelled("first", "credited"), "credits the first", "called first"),
        (Labelled("second", "credited"), "credits the second", "called second"),
        (Labelled("both", "credited"), "credits both", "called both"),
        (Labelled("neither", "credited"), "credits neither", "called neither"),
        (Numbered("18"), "18", "read as 18"),
        (Code(), "code", "called code"),
        (Refused(), "the model refused", "called a refusal"),
        (JudgeRefused(), "the judge declined", "not judged: the judge declines"),
        (Unreadable("it is empty"), "unreadable: it is empty", "not readable: it is empty"),
        (JudgeFailure("timeout", "60 s"), "no verdict: timeout: 60 s", "without a reply: 60 s"),
    ],
)
def test_each_verdict_has_its_words(verdict: Verdict | JudgeFailure, alone: str, after_is: str) -> None:
    assert verdict_words(verdict) == alone
    assert verdict_words(verdict, in_sentence=True) == after_is


def test_an_answer_without_a_number_has_words_of_its_own() -> None:
    assert verdict_words(Numbered(None)) == "no number"
