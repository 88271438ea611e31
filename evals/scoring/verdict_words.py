"""Verdicts in words for people."""

from __future__ import annotations

from typing import assert_never

from evals.trials.record import JudgeFailure
from judges.verdicts import (
    Chosen,
    Code,
    JudgeRefused,
    Labelled,
    Numbered,
    ReadingMode,
    Refused,
    Scored,
    Unreadable,
    Verdict,
)

_SOURCES: dict[ReadingMode, str] = {
    "text": "",
    "logprob": ", from token probabilities",
    "first_token": ", from the first token's probabilities",
    "imported": ", as imported",
}


def verdict_words(verdict: Verdict | JudgeFailure, *, in_sentence: bool = False) -> str:
    """A verdict in a few words, to stand next to its judge, or `in_sentence`: after "the answer is"."""
    alone, after_is = _words(verdict)
    return after_is if in_sentence else alone


def _words(verdict: Verdict | JudgeFailure) -> tuple[str, str]:
    match verdict:
        case Scored(score, mode):
            return f"{score:.4g} of 100{_SOURCES[mode]}", f"scored {score:g}"
        case Chosen(letter, option):
            return f"{letter}, the {option} option", f"read as {letter}"
        case Labelled(label, "flagged"):
            return label, f"flagged {label}"
        case Labelled("yes", "labelled"):
            return "yes", "called true"
        case Labelled("no", "labelled"):
            return "no", "called false"
        case Labelled("first" | "second" as detail, "credited"):
            return f"credits the {detail}", f"called {detail}"
        case Labelled(label, "credited"):
            return f"credits {label}", f"called {label}"
        case Labelled(label):
            return label, f"called {label}"
        case Numbered(number):
            return number or "no number", f"read as {number}"
        case Code():
            return "code", "called code"
        case Refused():
            return "the model refused", "called a refusal"
        case JudgeRefused():
            return "the judge declined", "not judged: the judge declines"
        case Unreadable(reason):
            return f"unreadable: {reason}", f"not readable: {reason}"
        case JudgeFailure(kind, detail):
            return f"no verdict: {kind}: {detail}", f"without a reply: {detail}"
        case _ as never:
            assert_never(never)
