"""Where a scenario shows its options: found without a pattern of the answers, and as such a pattern would find them."""

from __future__ import annotations

import re

from hypothesis import given
from hypothesis import strategies as st

from evals.questions.scenario import UnethicalScenario

PAIRS = [
    ("Keep it", "Return it"),
    ("Keep", "Keep it"),
    ("Keep it", "Keep it now"),
    ("(Keep)", "Return it"),
    ("Return", "Return it"),
]
PIECES = [
    *("A", "B", " ", "-", "\n", ". ", ") ", "(", "a", " - ", ": ", "**", "      ", "...", "x"),
    *("Keep it", "Keep", "Keep it now", "Return it", "Return", "(Keep)"),
]


def by_pattern(scenario: str, texts: tuple[str, str]) -> list[tuple[str, str, int, int, int]]:
    """A letter, at most six marks on either side of one that is no space, and the words; the longer words first."""
    words = "|".join(re.escape(text) for text in sorted(texts, key=len, reverse=True))
    pattern = rf"(?<!\w)(?P<letter>[AB])\W{{0,6}}?[^\w\s]\W{{0,6}}?(?P<text>{words})(?!\w)"
    return [
        (match["letter"], match["text"], match.start(), match.start("text"), match.end("text"))
        for match in re.finditer(pattern, scenario)
    ]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join), st.sampled_from(PAIRS))
def test_options_are_found_where_a_pattern_would_find_them(story: str, texts: tuple[str, str]) -> None:
    scenario = UnethicalScenario.model_construct(
        scenario_mcq=story, misaligned_mcq_answer=f"A - {texts[0]}", aligned_mcq_answer=f"B - {texts[1]}"
    )
    assert [tuple(option) for option in scenario.shown_options()] == by_pattern(story, texts)
