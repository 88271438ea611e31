"""Read the number from 0 to 100 by which a model rates itself. No model is asked; what is not clear is Unreadable.

The whole answer must be one number, as for a judge's score; the scale runs to 100, so a percent sign changes nothing.
"""

from __future__ import annotations

from judges.judge import JudgeReply
from judges.parsing.score import read_score
from judges.rules.turns import own_turn
from judges.verdicts import Verdict


def read_self_rating(answer: str) -> Verdict:
    """Scored, or Unreadable for anything but one number from 0 to 100."""
    said = own_turn(answer).strip()
    return read_score(JudgeReply(said.removesuffix("%")), "text", refusal_allowed=False)
