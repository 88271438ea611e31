"""What judges said of a trial, in words for people, beside which judge it was."""

from __future__ import annotations

from typing import assert_never

from evals.trials.record import JudgeFailure
from judges.verdicts import (
    Chosen,
    Classified,
    Code,
    Credited,
    Flagged,
    JudgeRefused,
    Labelled,
    Numbered,
    Refused,
    Scored,
    Unreadable,
    Verdict,
)


def verdict_words(verdict: Verdict | JudgeFailure) -> str:
    """A verdict in a few words."""
    match verdict:
        case Scored(score, mode):
            how = {"text": "", "logprob": ", from token probabilities", "imported": ", as imported"}[mode]
            return f"{score:.4g} of 100{how}"
        case Chosen(letter, option):
            return f"{letter}, the {option} option"
        case Flagged(flag):
            return flag
        case Labelled(label):
            return "yes" if label else "no"
        case Classified(label):
            return label
        case Credited(detail):
            return f"credits {detail}" if detail in ("both", "neither") else f"credits the {detail}"
        case Numbered(number):
            return "no number" if number is None else number
        case Code():
            return "code"
        case Refused():
            return "the model refused"
        case JudgeRefused():
            return "the judge declined"
        case Unreadable(reason):
            return f"unreadable: {reason}"
        case JudgeFailure(kind, detail):
            return f"no verdict: {kind}: {detail}"
        case _ as never:
            assert_never(never)
