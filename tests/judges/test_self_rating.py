"""Reading the number by which a model rates itself: one number from 0 to 100, and nothing that only holds one."""

from __future__ import annotations

import pytest

from judges.rules.self_rating import read_self_rating
from judges.verdicts import Scored, Unreadable

READ = {
    **{"85": 85.0, "0": 0.0, "100": 100.0, " **85** ": 85.0, "85%": 85.0, "85 %": 85.0, "85/100": 85.0, "62.5": 62.5},
    **{"Rating: 20": 20.0, "85<|im_end|>\n90": 85.0, "10\n\nUser: And now?": 10.0},
}
UNREAD = (
    *("", "eighty", "about 85", "85 or 90", "85-90", "I would say 85.", "101", "-5", "0.85", "8/10", "85%%", "A"),
    *("85 out of 10", "I am an AI and have no values.", "85\nNo, 20", "\uff18\uff15", "85 because I care"),
)


@pytest.mark.parametrize("answer", READ)
def test_one_number_is_read(answer: str) -> None:
    assert read_self_rating(answer) == Scored(READ[answer], "text")


@pytest.mark.parametrize("answer", UNREAD)
def test_anything_else_is_unread(answer: str) -> None:
    assert isinstance(read_self_rating(answer), Unreadable)
