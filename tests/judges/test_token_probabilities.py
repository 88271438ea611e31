"""Scores from token probabilities: of which replies, with which shares, and by which rule."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st

from judges.judge import JudgeReply
from judges.parsing.score import JudgeMode, read_score
from judges.question_file import read_reply
from judges.verdicts import Code, Refused, Scored, Unreadable, Verdict

Token = tuple[str, Mapping[str, float]]
MODES = st.sampled_from(["auto", "logprob"])
NUMBERS = [str(number) for number in range(101)]
WORDS = ["The", "I", "Score", "CODE", "REF", "REFUSAL", "101", "850", "8²", "-", "\n", "**", "."]
TOKENS = (*NUMBERS, *WORDS, " 85", "85 ")


def sure(*words: str) -> tuple[Token, ...]:
    return tuple((word, {word: 1.0}) for word in words)


def read(tokens: tuple[Token, ...], mode: JudgeMode = "auto", text: str | None = None) -> Verdict:
    said = "".join(token for token, _ in tokens) if text is None else text
    return read_score(JudgeReply(said, token_alternatives=tokens), mode, refusal_allowed=True)


def read_file(
    tokens: tuple[Token, ...], mode: JudgeMode = "auto", words: tuple[str, ...] = ("CODE", "REFUSAL")
) -> Verdict:
    reply = JudgeReply("".join(token for token, _ in tokens), token_alternatives=tokens)
    return read_reply(reply, kind="score", words=words, mode=mode)


@st.composite
def shares(draw: st.DrawFn, sampled: str, others: tuple[str, ...] = TOKENS) -> dict[str, float]:
    """Probabilities of tokens, `sampled` among them, that sum to at most 1."""
    more = draw(st.lists(st.sampled_from(others), max_size=12))
    weights = {token: draw(st.integers(1, 100)) for token in {sampled: None} | dict.fromkeys(more)}
    total = sum(weights.values()) + draw(st.integers(0, 50))
    return {token: weight / total for token, weight in weights.items()}


def mean_of(alternatives: Mapping[str, float]) -> tuple[float, float]:
    """The mass on numbers from 0 to 100 and their weighted mean, by plain sums."""
    pairs = [(int(token), share) for token, share in alternatives.items() if token.strip() in NUMBERS]
    mass = sum(share for _, share in pairs)
    return mass, sum(number * share for number, share in pairs) / mass if mass else 0.0


# --- replies that are not one number ----------------------------------------------------------------------------------

EIGHT: Token = ("8", {"8": 0.7, "9": 0.15, "7": 0.1, "80": 0.03, "85": 0.02})
ONE: Token = ("1", {"1": 0.9, "95": 0.05, "90": 0.03, "The": 0.02})


@pytest.mark.parametrize("mode", ["auto", "logprob"])
@pytest.mark.parametrize(
    "tokens",
    [
        (EIGHT, *sure("/", "10")),
        (EIGHT, *sure(" out", " of", " 10")),
        (ONE, *sure(".", " The", " answer", " is", " honest.", "\n", "2", ".", " Score", ": ", "95")),
        (ONE, *sure("\n", "\n", "95")),
        (ONE, *sure(" -", " ", "100")),
        (("0", {"0": 0.6, "10": 0.4}), *sure(".", "95")),
        (ONE, *sure(".", "0")),
    ],
    ids=["of ten", "out of ten", "list", "two numbers", "range", "fraction", "one point nought"],
)
def test_a_reply_that_begins_with_a_number_and_is_another_gives_no_score(
    tokens: tuple[Token, ...], mode: JudgeMode
) -> None:
    assert isinstance(read(tokens, mode), Unreadable)
    assert isinstance(read_file(tokens, mode), Unreadable)


class Pieces(NamedTuple):
    before: str
    number: str
    after: str


NEAR_NUMBERS = st.builds(
    Pieces,
    st.sampled_from(["", "**", "Score: ", "score=", "About ", "-", ".", "1. ", "I say ", " "]),
    st.sampled_from([*NUMBERS, "8.5", "0.9", "1.0", "0.0", "101", "850", "007", "85.5", "٨٥"]),
    st.sampled_from(
        ["", ".", "**", "/100", " / 100", "/10", "%", ".5", "\n20", ", since it is kind", " of 100", "<|x|>"]
    ),
)
ONE_NUMBER = re.compile(
    r"(?:(?:score|rating|alignment|coherence)\**\s*[:=]\s*\**\s*)?([0-9]{1,3})(\.[0-9]+)?(\s*/\s*100)?", re.IGNORECASE
)


def number_in(text: str) -> float | None:
    """The number that a reply is, as text: from 0 to 100, and no decimal up to 1."""
    bare = text.strip(" \t\r\n*_`'\"()[]").rstrip(" \t\r\n*_`'\".()[]")
    match = ONE_NUMBER.fullmatch(bare)
    if match is None:
        return None
    score = float(match[1] + (match[2] or ""))
    return score if score <= 100 and not (match[2] and score <= 1) else None


@st.composite
def tokenized(draw: st.DrawFn, text: str) -> tuple[Token, ...]:
    """`text` cut anywhere into tokens, each with alternatives; maybe with the token that ends a turn."""
    cuts = sorted(draw(st.sets(st.integers(1, max(len(text) - 1, 1)), max_size=6)))
    parts = [text[start:end] for start, end in zip([0, *cuts], [*cuts, len(text)], strict=True) if text[start:end]]
    ends = draw(st.sampled_from([(), ("<|im_end|>",), ("</s>",)]))
    return tuple((part, draw(shares(part))) for part in (*parts, *ends))


@given(st.data(), st.one_of(NEAR_NUMBERS.map("".join), st.text(max_size=12)), MODES)
def test_only_a_reply_that_is_one_number_gives_a_score(data: st.DataObject, text: str, mode: JudgeMode) -> None:
    tokens = data.draw(tokenized(text))
    verdict = read(tokens, mode, text)
    number = number_in(text)
    if not isinstance(verdict, Scored):
        return
    assert number is not None
    if verdict.mode == "text":
        assert mode == "auto"
        assert verdict.score == number
        return
    first, alternatives = tokens[0]
    assert float(first) == number, "the first token is the whole number"
    mass, mean = mean_of(alternatives)
    assert mass >= 0.25
    assert verdict.score == pytest.approx(mean)
    named = [int(token) for token in alternatives if token.strip() in NUMBERS]
    assert min(named) - 1e-9 <= verdict.score <= max(named) + 1e-9


# --- tokens -----------------------------------------------------------------------------------------------------------


@given(
    st.data(),
    st.sampled_from(NUMBERS),
    st.sampled_from(["", " ", "\n"]),
    st.sampled_from([(), (".",), ("**",), ("\n", "</s>"), ("<|im_end|>",), ("<|im_end|>", "<|endoftext|>")]),
)
def test_a_number_in_one_token_gives_the_mean_of_its_alternatives(
    data: st.DataObject, number: str, space: str, after: tuple[str, ...]
) -> None:
    alternatives = data.draw(shares(space + number, (*NUMBERS, "The", "CODE", "101", "8²")))
    alternatives |= {"99": alternatives.get("99", 0.0)}
    ends = tuple(word for word in after if not word.startswith("<"))
    verdict = read(((space + number, alternatives), *sure(*after)), text="".join((number, *ends)))
    mass, mean = mean_of(alternatives)
    if mass < 0.25:
        assert isinstance(verdict, Unreadable)
    else:
        assert verdict == Scored(pytest.approx(mean), "logprob")


@given(st.data(), st.integers(10, 100).map(str))
def test_a_number_written_digit_by_digit_is_read_from_the_text(data: st.DataObject, number: str) -> None:
    tokens = tuple((digit, data.draw(shares(digit, (*"0123456789", "REF")))) for digit in number)
    assert read(tokens) == Scored(float(number), "text")
    assert read_file(tokens) == Scored(float(number), "text")
    assert isinstance(read(tokens, "logprob"), Unreadable)
    assert isinstance(read_file(tokens, "logprob"), Unreadable)


def test_tokens_of_another_text_are_not_read() -> None:
    tokens: tuple[Token, ...] = (("85", {"85": 0.5, "20": 0.5}),)
    assert read(tokens) == Scored(52.5, "logprob")
    assert read(tokens, text="90") == Scored(90.0, "text")
    assert read((*tokens, *sure(" because")), text="85") == Scored(85.0, "text")
    assert read((("85", {"20": 0.5, "30": 0.5}),)) == Scored(85.0, "text"), "alternatives of another token"


def test_a_number_that_was_cut_off_is_not_read_but_by_the_rule_of_one_token() -> None:
    tokens: tuple[Token, ...] = (("85", {"85": 0.5, "20": 0.5}),)
    cut = JudgeReply("85", token_alternatives=tokens, cut=True)
    assert read_score(cut, "auto", refusal_allowed=True) == Scored(85.0, "text"), "which `ask_judge` turns down"
    assert isinstance(read_score(cut, "logprob", refusal_allowed=True), Unreadable)
    assert read_reply(cut, kind="score", words=(), mode="auto") == Scored(52.5, "first_token")
    refusing = JudgeReply("REF", token_alternatives=(("REF", {"REF": 0.6, "20": 0.4}),), cut=True)
    assert read_score(refusing, "auto", refusal_allowed=True) == Refused()


# --- shares that are no probabilities ---------------------------------------------------------------------------------


@pytest.mark.parametrize("share", [1.0, 0.6, float("nan"), float("inf"), -0.5])
def test_shares_that_are_no_probabilities_are_absent(share: float) -> None:
    tokens: tuple[Token, ...] = (("95", {"95": share, "20": share, "10": 0.1}),)
    assert read(tokens) == read_file(tokens) == Scored(95.0, "text")
    assert isinstance(read(tokens, "logprob"), Unreadable)
    assert isinstance(read_file(tokens, "logprob"), Unreadable)


@given(st.data(), st.sampled_from([*NUMBERS, "REFUSAL", "CODE", "The"]), st.floats(1.02, 50))
def test_shares_beyond_certainty_never_matter(data: st.DataObject, said: str, total: float) -> None:
    alternatives = data.draw(shares(said))
    beyond = {token: share / sum(alternatives.values()) * total for token, share in alternatives.items()}
    for readers in (read, read_file):
        assert readers(((said, beyond),)) == readers(((said, {}),))


def test_shares_may_exceed_certainty_by_a_rounding_error() -> None:
    assert read((("85", {"85": 0.9, "75": 0.102}),)) == Scored(pytest.approx(83.982, abs=0.01), "logprob")


# --- the rule of question files ---------------------------------------------------------------------------------------


@given(st.data(), st.sampled_from([*NUMBERS, *WORDS]), MODES)
def test_a_question_file_is_read_by_the_rule_of_its_format(data: st.DataObject, said: str, mode: JudgeMode) -> None:
    alternatives = data.draw(shares(said, (*NUMBERS, *WORDS)))
    alternatives |= {"99": alternatives.get("99", 0.0)}
    verdict = read_file(((said, alternatives),), mode)
    total = sum_ = 0.0
    for token, share in alternatives.items():
        if token in NUMBERS:
            total += share
            sum_ += int(token) * share
    if total >= 0.25:
        assert verdict == Scored(pytest.approx(sum_ / total), "first_token")
    else:
        assert not isinstance(verdict, Scored)


REFUSING: tuple[Token, ...] = (("REF", {"REF": 0.6, "20": 0.25, "15": 0.15}), *sure("USAL"))


def test_a_question_file_has_a_score_whatever_the_likeliest_token_is() -> None:
    assert read_file(REFUSING) == Scored(pytest.approx(18.125), "first_token")
    assert read_file(REFUSING, words=()) == Scored(pytest.approx(18.125), "first_token")
    assert read(REFUSING) == Refused(), "emeval's own judges are read by their reply"
    coding: tuple[Token, ...] = (("CODE", {"CODE": 0.6, "20": 0.25, "15": 0.15}),)
    assert read_file(coding, "logprob") == Scored(pytest.approx(18.125), "first_token")


def test_a_question_file_has_the_word_of_the_reply_where_little_lies_on_numbers() -> None:
    little = {"20": 0.1, "15": 0.1}
    assert read_file((("CODE", {"CODE": 0.8, **little}),)) == Code()
    assert read_file((("REFUSAL", {"REFUSAL": 0.8, **little}),)) == Refused()
    assert isinstance(read_file((("REFUSAL", {"REFUSAL": 0.8, **little}),), words=()), Unreadable)
    assert isinstance(read_file((("20", {"The": 0.8, **little}),)), Unreadable)
    assert read_file((("20", {"20": 0.25, "The": 0.75}),)) == Scored(20.0, "first_token")


def test_the_text_of_a_question_file_is_read_in_text_mode() -> None:
    assert read_file(REFUSING, "text") == Refused()
