"""Reading a 0-100 score: from the text of a judge's reply (a labelled set), and from its token probabilities."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.judge import JudgeReply
from judges.parsing.score import JudgeMode, read_score
from judges.verdicts import JudgeRefused, Refused, Scored, Unreadable, Verdict

LABELLED = [
    json.loads(line)
    for line in (Path(__file__).parent / "labelled" / "score.jsonl").read_text(encoding="utf-8").split("\n")
    if line
]


def in_text(reply: str) -> Verdict:
    return read_score(JudgeReply(reply), "text", refusal_allowed=True)


def in_tokens(
    *tokens: tuple[str, Mapping[str, float]], mode: JudgeMode = "logprob", refusal_allowed: bool = True
) -> Verdict:
    text = "".join(token for token, _ in tokens)
    return read_score(JudgeReply(text, token_alternatives=tokens), mode, refusal_allowed=refusal_allowed)


@pytest.mark.parametrize("row", LABELLED, ids=[f"{n}-{row['why']}" for n, row in enumerate(LABELLED, start=1)])
def test_reading_agrees_with_the_label(row: dict[str, Any]) -> None:
    verdict = in_text(row["reply"])
    read = verdict.score if isinstance(verdict, Scored) else "REFUSAL" if isinstance(verdict, Refused) else None
    assert read == row["expected"], f"{row['reply']!r}: {verdict} ({row['why']})"


def test_labelled_rows_are_different_replies() -> None:
    assert len({row["reply"] for row in LABELLED}) == len(LABELLED) >= 40


def test_refusal_is_unreadable_where_the_judge_was_not_offered_it() -> None:
    assert isinstance(read_score(JudgeReply("REFUSAL"), "text", refusal_allowed=False), Unreadable)


@pytest.mark.parametrize("mode", ["text", "logprob", "auto"])
def test_judge_that_declines_gives_no_score(mode: JudgeMode) -> None:
    reply = JudgeReply("85", declined=True, token_alternatives=(("85", {"85": 1.0}),))
    assert read_score(reply, mode, refusal_allowed=True) == JudgeRefused()


@given(st.text())
def test_score_of_any_text_is_in_range(text: str) -> None:
    verdict = in_text(text)
    assert not isinstance(verdict, Scored) or 0 <= verdict.score <= 100


def test_whole_number_tokens_give_the_weighted_mean() -> None:
    verdict = in_tokens(("85", {"85": 0.5, "90": 0.3, "20": 0.2}))
    assert verdict == Scored(pytest.approx(0.5 * 85 + 0.3 * 90 + 0.2 * 20), "logprob")


def test_auto_prefers_the_weighted_mean_and_text_mode_ignores_it() -> None:
    token = ("85", {"85": 0.5, "75": 0.5})
    assert in_tokens(token, mode="auto") == Scored(80.0, "logprob")
    assert in_tokens(token, mode="text") == Scored(85.0, "text")


def test_mass_off_the_numbers_does_not_pull_the_mean_down() -> None:
    assert in_tokens(("80", {"80": 0.4, "The": 0.5})) == Scored(80.0, "logprob")


@pytest.mark.parametrize("said", ["The", "Score", "-", "\n", "850", "."])
def test_reply_that_does_not_begin_with_a_score_gets_none_from_its_probabilities(said: str) -> None:
    token = (said, {said: 0.5, "85": 0.3, "90": 0.2})
    assert isinstance(in_tokens(token), Unreadable)
    assert isinstance(in_tokens(token, mode="auto"), Unreadable)


def test_reply_that_does_not_begin_with_a_score_is_read_from_the_text_in_auto() -> None:
    tokens = (("Score", {"Score": 0.5, "20": 0.5}), (": ", {": ": 1.0}), ("85", {"85": 1.0}))
    assert in_tokens(*tokens, mode="auto") == Scored(85.0, "text")
    assert isinstance(in_tokens(*tokens), Unreadable)


@pytest.mark.parametrize("mode", ["text", "logprob", "auto"])
def test_fraction_of_one_is_a_score_on_another_scale(mode: JudgeMode) -> None:
    tokens = (("0", {"0": 0.6, "10": 0.4}), (".", {".": 1.0}), ("95", {"95": 1.0}))
    assert isinstance(in_tokens(*tokens, mode=mode), Unreadable)


DIGIT_BY_DIGIT = (("8", {"8": 0.7, "9": 0.2, "7": 0.1}), ("5", {"5": 0.6, "0": 0.4}))


def test_digit_by_digit_tokenizer_is_read_from_the_text_in_auto() -> None:
    assert in_tokens(*DIGIT_BY_DIGIT, mode="auto") == Scored(85.0, "text")


def test_digit_by_digit_tokenizer_is_unreadable_in_logprob() -> None:
    assert isinstance(in_tokens(*DIGIT_BY_DIGIT), Unreadable)


def test_lone_digit_of_a_digit_by_digit_tokenizer_is_unreadable_in_logprob() -> None:
    assert isinstance(in_tokens(("8", {"8": 0.9, "9": 0.1})), Unreadable)


def test_number_that_goes_on_in_the_next_token_is_not_read_from_its_first() -> None:
    tokens = (("10", {"10": 0.9, "8": 0.1}), ("0", {"0": 1.0}))
    assert in_tokens(*tokens, mode="auto") == Scored(100.0, "text")
    assert isinstance(in_tokens(*tokens), Unreadable)


def test_reply_without_token_probabilities_is_read_from_the_text_in_auto_only() -> None:
    for alternatives in (None, ()):
        reply = JudgeReply("85", token_alternatives=alternatives)
        assert read_score(reply, "auto", refusal_allowed=True) == Scored(85.0, "text")
        assert isinstance(read_score(reply, "logprob", refusal_allowed=True), Unreadable)


def test_tokens_that_differ_in_spaces_are_one_score() -> None:
    assert in_tokens(("85", {"85": 0.3, " 85": 0.3, "25": 0.4})) == Scored(pytest.approx(61.0), "logprob")


def test_refusal_wins_when_it_outweighs_the_numbers() -> None:
    assert in_tokens(("REF", {"REF": 0.6, "10": 0.4})) == Refused()
    assert in_tokens(("REF", {"REFUSAL": 0.3, "REF": 0.3, "10": 0.4}), ("USAL", {"USAL": 1.0})) == Refused()
    assert in_tokens(("10", {"REF": 0.6, "10": 0.4}), mode="auto") == Refused()


def test_refusal_that_does_not_outweigh_the_numbers_leaves_the_mean_alone() -> None:
    assert in_tokens(("10", {"REF": 0.4, "10": 0.6})) == Scored(10.0, "logprob")


def test_refusal_mass_counts_for_nothing_where_refusal_is_not_offered() -> None:
    assert in_tokens(("10", {"REF": 0.6, "10": 0.4}), refusal_allowed=False) == Scored(10.0, "logprob")
    assert isinstance(in_tokens(("REF", {"REF": 0.6, "10": 0.4}), refusal_allowed=False), Unreadable)


def test_too_little_mass_on_numbers_is_unreadable() -> None:
    assert isinstance(in_tokens(("The", {"The": 0.8, "85": 0.15, "90": 0.05})), Unreadable)
    assert isinstance(in_tokens(("The", {"The": 0.8, "85": 0.15, "90": 0.05}), mode="auto"), Unreadable)
    assert isinstance(in_tokens(("85", {"The": 0.8, "85": 0.15, "90": 0.05}), mode="auto"), Unreadable)


def test_digits_of_other_scripts_and_superscripts_are_not_numbers() -> None:
    strange = {"8²": 0.2, "⁸⁵": 0.1, "٨٥": 0.1, "８５": 0.1}
    assert in_tokens(("20", {"20": 0.5, **strange})) == Scored(20.0, "logprob")
    assert isinstance(in_tokens(("⁸⁵", strange)), Unreadable)


def test_token_above_100_carries_no_score() -> None:
    assert in_tokens(("50", {"50": 0.5, "500": 0.3, "101": 0.2})) == Scored(50.0, "logprob")
    assert isinstance(in_tokens(("850", {"850": 1.0}), mode="auto"), Unreadable)


@given(st.dictionaries(st.one_of(st.text(max_size=4), st.integers(0, 120).map(str)), st.floats(0, 1), max_size=20))
def test_weighted_mean_lies_between_the_least_and_the_greatest_score(alternatives: dict[str, float]) -> None:
    verdict = in_tokens(("50", alternatives))
    assert not isinstance(verdict, Scored) or -1e-9 <= verdict.score <= 100 + 1e-9
