"""Why replies end: each server's word has one meaning, however it is spelled, and no other word has any."""

from __future__ import annotations

from typing import get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.trials.finish_reason import Ending, at_limit, ending_of, is_below_limit, is_known, plain_finish_reason

WORDS: dict[Ending, list[str]] = {
    # OpenAI, vLLM, SGLang, TGI, Cohere, Gemini, Anthropic, Bedrock, xAI
    "whole": [
        "",
        "stop",
        "eos_token",
        "eos",
        "COMPLETE",
        "STOP",
        "end_turn",
        "stop_sequence",
        "endTurn",
    ],
    "cut": [
        *("length", "MAX_TOKENS", "max_tokens", "model_length", "model_context_window_exceeded", "maxTokens"),
        *("max_output_tokens", "repetition"),
    ],
    "filtered": [
        *("content_filter", "content-filter", "SAFETY", "RECITATION", "refusal", "PROHIBITED_CONTENT", "BLOCKLIST"),
        *("content_filter: RECITATION", "guardrail_intervened", "ERROR_TOXIC", "sensitive", "contentFiltered"),
    ],
    "broken_off": ["error", "abort", "cancelled", "ERROR", "OTHER", "insufficient_system_resource", "network_error"],
}
ALL = [(word, ending) for ending, words in WORDS.items() for word in words]


def _is_new(word: str) -> bool:
    return any(map(str.isalnum, word)) and not is_known(word)


@pytest.mark.parametrize(("word", "ending"), ALL)
def test_a_servers_word_has_its_meaning(word: str, ending: Ending) -> None:
    assert ending_of(word) == ending
    assert is_known(word)
    assert ending_of(plain_finish_reason(word)) == ending


def test_every_ending_has_words() -> None:
    assert set(WORDS) == set(get_args(Ending))


@given(st.sampled_from([pair for pair in ALL if pair[0] and ":" not in pair[0]]), st.data())
def test_spelling_changes_no_meaning(pair: tuple[str, Ending], data: st.DataObject) -> None:
    word, ending = pair
    between = data.draw(st.sampled_from(["", "_", "-", " ", "."]))
    spelled = word.replace("_", between)
    spelled = data.draw(st.sampled_from([str.upper, str.lower, str.title, str.swapcase]))(spelled)
    assert ending_of(data.draw(st.sampled_from(["", "FINISH_REASON_", "FinishReason.", "REASON_"])) + spelled) == ending


@given(st.text(st.characters(codec="utf-8"), min_size=1).filter(_is_new))
def test_a_word_without_a_meaning_ends_no_answer(word: str) -> None:
    assert ending_of(word) == "broken_off"
    assert ending_of(f"stop: {word}") == "broken_off"
    assert ending_of(f"length: {word}") == "cut"
    assert ending_of(f"content_filter: {word}") == "filtered"


@given(st.sampled_from(ALL), st.none() | st.integers(0, 40), st.integers(1, 40))
def test_a_natural_end_at_the_limit_is_a_cut(pair: tuple[str, Ending], tokens: int | None, most: int) -> None:
    word, ending = pair
    marked = at_limit(word, tokens, most)
    if ending == "whole" and tokens is not None and tokens >= most:
        assert marked.startswith(word)
        assert ending_of(marked) == "cut"
    else:
        assert marked == word


SEVERITY: list[Ending] = ["whole", "cut", "filtered", "broken_off"]


@given(st.lists(st.sampled_from([pair for pair in ALL if pair[0] and ":" not in pair[0]]), min_size=2, max_size=3))
def test_of_several_words_the_worst_counts(pairs: list[tuple[str, Ending]]) -> None:
    words = [word for word, _ in pairs]
    assert ending_of(": ".join(words)) == max((ending for _, ending in pairs), key=SEVERITY.index)


@pytest.mark.parametrize(
    ("word", "tokens", "is_below"),
    [
        *(("length", 20, True), ("MAX_TOKENS", 20, True), ("length", 62, True)),
        *(("length", 63, False), ("length", 64, False), ("length", 65, False), ("length", None, False)),
        *(("stop", 20, False), ("content_filter", 20, False), ("error", 20, False), ("", 20, False)),
    ],
)
def test_a_limit_of_the_servers_own_is_known_by_the_tokens(word: str, tokens: int | None, is_below: bool) -> None:
    assert is_below_limit(word, tokens, 64) == is_below


def test_the_end_that_a_server_took_no_notice_of_is_at_our_limit() -> None:
    assert not is_below_limit(at_limit("stop", 8, 8), 8, 64)
