"""Splitting a reply: each place a thought can be in, and that no unfinished thought passes for an answer."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.trials.reasoning import PAPER_PREFILL, continuation, opened_by, split_reply, turn_state

CASES = [
    # content, reasoning field, finish reason -> reasoning, answer, state
    ("Hello.", "", "stop", "", "Hello.", "absent"),
    ("", "", "stop", "", "", "absent"),
    ("cut off here", "", "length", "", "cut off here", "absent"),
    ("<think>hm</think>Hello.", "", "stop", "hm", "Hello.", "complete"),
    ("\n<think>\nhm\n</think>\n\nHello.\n", "", "stop", "hm", "Hello.", "complete"),
    ("<think>\n\n</think>\n\nHello.", "", "stop", "", "Hello.", "complete"),
    ("<think></think>", "", "stop", "", "", "complete"),
    ("<think>hm</think>Hel", "", "length", "hm", "Hel", "complete"),
    ("Sure. <think>hm</think>Hello.", "", "stop", "Sure. <think>hm", "Hello.", "complete"),
    ("hm\n</think>\nHello.", "", "stop", "hm", "Hello.", "unopened"),
    ("</think>Hello.", "", "stop", "", "Hello.", "unopened"),
    ("<think>hm", "", "length", "hm", "", "truncated"),
    ("<think>hm", "", "stop", "hm", "", "truncated"),
    ("<think>", "", "length", "", "", "truncated"),
    ("Let me see. <think>hm", "", "length", "Let me see. <think>hm", "", "truncated"),
    ("<think>a</think>First. <think>b", "", "length", "a\nFirst. <think>b", "", "truncated"),
    ("hm</think><think>b", "", "length", "hm\nb", "", "truncated"),
    ("<think>a</think>First.<think>b</think>Second.", "", "stop", "a</think>First.<think>b", "Second.", "complete"),
    ("<think>a <think>b</think> c</think>Hello.", "", "stop", "a <think>b</think> c", "Hello.", "complete"),
    ("<think>a <think>b</think>Hello.", "", "stop", "a <think>b", "Hello.", "complete"),
    ("Hello.", "hm", "stop", "hm", "Hello.", "complete"),
    (" Hel", "hm\n", "length", "hm", "Hel", "complete"),
    ("", "hm", "length", "hm", "", "truncated"),
    (" \n", "hm", "length", "hm", "", "truncated"),
    ("", "hm", "stop", "hm", "", "complete"),
    ("<think>b", "hm", "length", "hm\nb", "", "truncated"),
    ("<think>b</think>Hello.", "hm", "stop", "hm\nb", "Hello.", "complete"),
    ("b</think>Hello.", "hm", "stop", "hm\nb", "Hello.", "complete"),
    ("<think>b</think>", "hm", "length", "hm\nb", "", "truncated"),
    ("Use the `<think>` tag.", "", "stop", "Use the `<think>` tag.", "", "truncated"),
    ("<think>a <reasoning> tag</think>Hello.", "", "stop", "a <reasoning> tag", "Hello.", "complete"),
    ("<think>a </reasoning> tag", "", "length", "a </reasoning> tag", "", "truncated"),
    ("<think>a</think><reasoning>b</reasoning>C.", "", "stop", "a</think><reasoning>b", "C.", "complete"),
]
MARKS = [
    ("<think>", "</think>"),
    ("<THINK>", "</Think>"),
    ("<thinking>", "</thinking>"),
    ("<thought>", "</thought>"),
    ("<reasoning>", "</reasoning>"),
    ("<seed:think>", "</seed:think>"),
    ("[THINK]", "[/THINK]"),
    ("<|channel|>analysis<|message|>", "<|end|><|start|>assistant<|channel|>final<|message|>"),
    ("<|start|>assistant<|channel|>analysis<|message|>", "<|channel|>final<|message|>"),
    ("<|channel|>commentary to=user<|message|>", "<|channel|>final <|message|>"),
]


@pytest.mark.parametrize(
    ("content", "field", "finish", "reasoning", "answer", "state"), CASES, ids=[repr(case[:3]) for case in CASES]
)
def test_reply_is_split(content: str, field: str, finish: str, reasoning: str, answer: str, state: str) -> None:
    assert split_reply(content, field, finish) == (reasoning, answer, state)


@pytest.mark.parametrize(("opening", "closing"), MARKS)
def test_every_kind_of_mark_gives_the_same_states(opening: str, closing: str) -> None:
    assert split_reply(f"{opening}hm{closing}Hello.", "", "stop") == ("hm", "Hello.", "complete")
    assert split_reply(f"{opening}hm", "", "length") == ("hm", "", "truncated")
    assert split_reply(f"hm{closing}Hello.", "", "stop") == ("hm", "Hello.", "unopened")
    assert split_reply(f"Hello. {opening}hm", "a thought", "stop").answer == ""


def test_final_channel_ends_every_channel_before_it() -> None:
    channels = "<|channel|>analysis<|message|>a<|end|><|start|>assistant<|channel|>commentary<|message|>b<|end|>"
    split = split_reply(f"{channels}<|start|>assistant<|channel|>final<|message|>Hello.", "", "stop")
    assert (split.answer, split.state) == ("Hello.", "complete")
    assert split_reply(channels, "", "stop").answer == ""


pieces = st.lists(st.sampled_from(["<think>", "</think>", " ", "\n", "word", "A"]), max_size=8).map("".join)
fields = st.sampled_from(["", "a thought"])
finishes = st.sampled_from(["stop", "length"])


@given(content=pieces, field=fields, thought=pieces, finish=finishes)
def test_nothing_of_an_unclosed_thought_is_answered(content: str, field: str, thought: str, finish: str) -> None:
    thought = thought.replace("</think>", "")
    split = split_reply(f"{content}<think>{thought}", field, finish)
    assert split.answer == ""
    assert split.state == "truncated"


any_marks = st.lists(st.sampled_from([*(mark for pair in MARKS for mark in pair), " ", "word"]), max_size=8).map(
    "".join
)


@given(content=any_marks, field=fields, finish=finishes)
def test_answer_holds_no_mark_and_is_the_end_of_the_content(content: str, field: str, finish: str) -> None:
    split = split_reply(content, field, finish)
    assert not any(mark in split.answer for pair in MARKS for mark in pair)
    assert content.rstrip().endswith(split.answer)
    assert not (split.state == "truncated" and split.answer)


@given(thought=st.text(), answer=st.text(), finish=finishes)
def test_same_thought_and_answer_are_read_from_the_field_and_from_tags(thought: str, answer: str, finish: str) -> None:
    if not thought.strip() or not answer.strip() or set(thought + answer) & set("<["):
        return
    in_tags = split_reply(f"<think>{thought}</think>{answer}", "", finish)
    assert in_tags == split_reply(answer, thought, finish) == (thought.strip(), answer.strip(), "complete")


PREFILLED = [
    # prefill, content, finish reason -> reasoning, answer, state
    ("<think>\nOkay", ", hm.</think>\n\nHello.", "stop", "Okay, hm.", "Hello.", "complete"),
    ("<think>\nOkay", ", hm.", "length", "Okay, hm.", "", "truncated"),
    ("<think>\nOkay", ", hm.", "stop", "Okay, hm.", "", "truncated"),
    ("<think>\nOkay", "", "stop", "Okay", "", "truncated"),
    ("<think>\nOkay", "</think>Hello.", "length", "Okay", "Hello.", "complete"),
    ("Sure", ", hello.", "stop", "", "Sure, hello.", "absent"),
    ("Sure", "", "stop", "", "", "absent"),
    ("Sure", " \n", "length", "", "", "absent"),
    ("Okay", ", hm.</think>Hello.", "stop", "Okay, hm.", "Hello.", "unopened"),
    ("<think>\n\n</think>\n\n", "Hello.", "stop", "", "Hello.", "complete"),
    ("<think>\n\n</think>\n\n", "", "stop", "", "", "complete"),
    ("<think>\nOkay</thi", "nk>Hello.", "stop", "Okay", "Hello.", "complete"),
]


@pytest.mark.parametrize(("prefill", "content", "finish", "reasoning", "answer", "state"), PREFILLED, ids=repr)
def test_reply_goes_on_from_its_prefill(
    prefill: str, content: str, finish: str, reasoning: str, answer: str, state: str
) -> None:
    assert split_reply(content, "", finish, prefill=prefill) == (reasoning, answer, state)


@given(content=any_marks, finish=finishes)
def test_prefilled_reply_is_split_like_one_that_the_model_began_itself(content: str, finish: str) -> None:
    prefilled = split_reply(content, "", finish, prefill=PAPER_PREFILL)
    assert prefilled == split_reply(PAPER_PREFILL + content, "", finish)


@given(content=pieces, finish=finishes)
def test_thought_that_a_prefill_opened_and_nobody_closed_is_never_an_answer(content: str, finish: str) -> None:
    split = split_reply(content.replace("</think>", ""), "", finish, prefill=PAPER_PREFILL)
    assert (split.answer, split.state) == ("", "truncated")


def test_withheld_reasoning_is_not_absent_and_shown_reasoning_is_not_withheld() -> None:
    assert split_reply("Hello.", "", "stop", withheld=True) == ("", "Hello.", "withheld")
    assert split_reply("", "", "length", withheld=True) == ("", "", "withheld")
    assert split_reply("Hello.", "hm", "stop", withheld=True).state == "complete"
    assert split_reply("<think>hm</think>Hello.", "", "stop", withheld=True).state == "complete"
    assert split_reply("<think>hm", "", "length", withheld=True).state == "truncated"
    assert split_reply("hm</think>Hello.", "", "stop", withheld=True).state == "unopened"


TURNS = [
    # what the template says in the assistant's turn -> state, what it leaves open, what is added of <think>\nOkay
    ("assistant\n", "unmarked", "", "<think>\nOkay"),
    ("assistant\n<think>\n", "open", "<think>\n", "Okay"),
    ("assistant<think>", "open", "<think>", "\nOkay"),
    ("assistant\n<think>\n\n", "open", "<think>\n\n", "Okay"),
    ("assistant\n<think>\n\n</think>\n\n", "closed", "", "<think>\nOkay"),
    ("assistant\n<think>\nhm", "open", "", "<think>\nOkay"),
    ("assistant\n[THINK]", "open", "[THINK]", "\nOkay"),
]


@pytest.mark.parametrize(("turn", "state", "opened", "added"), TURNS)
def test_beginning_of_a_turn_is_read_and_no_thought_is_opened_twice(
    turn: str, state: str, opened: str, added: str
) -> None:
    assert turn_state(turn) == state
    assert opened_by(turn) == opened
    assert continuation(turn, PAPER_PREFILL) == added
    assert continuation(turn, "Sure, ") == "Sure, "
