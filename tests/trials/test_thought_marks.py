"""Thoughts by model family: every family's marks are read in every state, and ordinary answers are left alone."""

from __future__ import annotations

import html
import itertools
import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.trials.reasoning import continuation, opened_by, split_reply, turn_state
from evals.trials.thought_families import FAMILIES, MarkFamily
from evals.trials.thought_marks import find_marks, unknown_mark

HARMONY = "<|channel|>analysis<|message|>"
FINAL = "<|end|><|start|>assistant<|channel|>final<|message|>"
VARIANTS = [
    # opening, closing
    *((family.opening, family.closing) for family in FAMILIES),
    ("<think:opensource>", "</think:opensource>"),
    ("<think:6124c78e>\n", "\n</think:6124c78e>\n"),
    ("<think >", "</think\n>"),
    ('<think effort="high">', "</think>"),
    ("<thinking time=3>\n", "\n</thinking>\n"),
    (HARMONY, "<|end|><|start|>assistant<|channel|>final <|constrain|>json<|message|>"),
    ("<think>\n", "\n</think>\n<answer>\n"),
    ("<ifm|think_fast>", "</ifm|think_fast>"),
    ("<ifm|think_faster>", "</ifm|think>"),
    ("<|START_THINKING|>", "<|END_THINKING|><|START_RESPONSE|>"),
    ("<|START_THINKING|>", "<|END_THINKING|>\n<|START_TEXT|>"),
    ("<|START_THINKING|>", "<|START_TEXT|>"),
    ("<|channel>thought\n", "\n<channel|>"),
    ("<|channel>", "<channel|>"),
    ("<unused94>thought\n", "<unused95>"),
    (HARMONY, FINAL),
    ("<|start|>assistant" + HARMONY, FINAL),
    ("<|channel|> analysis<|message|> ", "<|end|> <|start|> assistant<|channel|> final<|message|> "),
    (HARMONY, "assistantfinal"),
    ("<|begin|>assistant<|think|>", "<|end|><|begin|>assistant<|content|>"),
    ("<|think|>", "<|end|><|content|>"),
    ("<|open|>think<|sep|>", "<|close|>think<|sep|><|open|>response<|sep|>"),
    ("<|message_model|><|content_thinking|>", "<|end_message|><|message_model|><|content_text|>"),
    (" to=self<|message|>", "<|eom|><|start|>assistant to=user<|message|>"),
    (" to=self<|message|>", "<|eom|><|start|>assistant<|message|>"),
    ("<|im_start|>think\n", "<|im_end|>\n<|im_start|>answer\n"),
    ("<|begin_of_thought|>\n\n", "\n\n<|end_of_thought|>\n\n<|begin_of_solution|>\n\n"),
    ("Here are my reasoning steps:\n", "\n[BEGIN FINAL RESPONSE]\n"),
    ("Here is my thought process:\n", "\n\nHere is my response:\n"),
    ("Here's my thought process:\n", "\n\nHere's my response:\n"),
    ("Here\u2019s my thought process:", " Here\u2019s my response:"),
    ("**Here is my thought process:**\n", "\n\n**Here is my response:**\n"),
    ("## Here is my thinking process:\n", "\n\n## Here is my final response:\n"),
    ("Here are my thoughts:\n", "\n\nHere is my response:\n"),
    ("Here is my reasoning:\n", "\n\nHere is my answer:\n"),
    ("analysis", "assistantcommentaryI look it up.assistantfinal"),
    ("assistantanalysis", "assistantfinal"),
    ("commentary", "assistantfinal"),
]
NEED_BOTH = {"Here are my thoughts:\n", "Here is my reasoning:\n"}
NEED_OPENING = {family.closing for family in FAMILIES if family.needs_opening}

plain = st.text(st.characters(codec="utf-8", exclude_characters="<[\u25c1#*_"), min_size=1, max_size=40)
words = plain.filter(lambda text: text.strip() and not re.search("(?i)assistantfinal|here", text)).map(
    lambda text: "Q" + text.strip() + "Q"
)


@pytest.mark.parametrize(("opening", "closing"), VARIANTS)
@given(thought=words, answer=words)
@settings(max_examples=15)
def test_complete_thought_and_answer_lose_nothing_and_share_nothing(
    opening: str, closing: str, thought: str, answer: str
) -> None:
    split = split_reply(f"{opening}{thought}{closing}{answer}", "", "stop")
    assert (split.answer, split.state) == (answer, "complete")
    assert split.reasoning.startswith(thought)
    assert split_reply(f"\n {opening} {thought} {closing} {answer}\n", "", "stop").answer == answer
    assert split_reply(f"{opening}{closing}{answer}", "", "stop").answer == answer


@pytest.mark.parametrize(("opening", "closing"), VARIANTS)
@given(thought=words)
@settings(max_examples=15)
def test_thought_that_does_not_end_is_no_answer(opening: str, closing: str, thought: str) -> None:
    for finish in ("stop", "length"):
        split = split_reply(f"{opening}The {thought}", "", finish)
        if opening in NEED_BOTH:
            assert split.state == "absent"
        else:
            assert (split.answer, split.state) == ("", "truncated")
            assert split.reasoning.endswith(f"The {thought}")
        assert split_reply(f"{opening}{thought}{closing}", "", finish).answer == ""


@pytest.mark.parametrize("closing", sorted({family.closing for family in FAMILIES} - NEED_OPENING))
@given(thought=words, answer=words)
@settings(max_examples=15)
def test_closing_mark_alone_ends_what_the_template_opened(closing: str, thought: str, answer: str) -> None:
    assert split_reply(f"{thought}{closing}{answer}", "", "stop") == (thought, answer, "unopened")
    assert split_reply(f"{closing}{answer}", "", "stop") == ("", answer, "unopened")


@pytest.mark.parametrize("closing", sorted(NEED_OPENING))
def test_closing_mark_that_answers_hold_too_ends_nothing_by_itself(closing: str) -> None:
    text = f"Dear Bob, {closing} No."
    assert split_reply(text, "", "stop") == ("", text, "absent")


@pytest.mark.parametrize("outer", FAMILIES, ids=lambda family: family.opening)
def test_mark_of_another_family_within_a_thought_is_a_part_of_it(outer: MarkFamily) -> None:
    for inner in FAMILIES:
        if outer.kind == inner.kind or "clova" in (outer.kind, inner.kind):
            continue
        nested = f"Say {inner.opening} or {inner.closing}."
        split = split_reply(f"{outer.opening}{nested}{outer.closing}Tell them.", "", "stop")
        assert (split.reasoning, split.answer, split.state) == (nested, "Tell them.", "complete")
        assert split_reply(f"{outer.opening}{nested}", "", "stop").answer == ""


@pytest.mark.parametrize("family", [family for family in FAMILIES if family.opening[0] in "<["], ids=repr)
def test_tags_and_tokens_are_read_in_any_letter_case(family: MarkFamily) -> None:
    for change in (str.upper, str.lower, str.title):
        reply = f"{change(family.opening)}hm{change(family.closing)}Hello."
        assert split_reply(reply, "", "stop") == ("hm", "Hello.", "complete")


@pytest.mark.parametrize("family", [family for family in FAMILIES if family.opening[0] in "<[\u25c1"], ids=repr)
def test_answer_that_names_an_opening_mark_is_missing_rather_than_wrong(family: MarkFamily) -> None:
    assert split_reply(f"Models write {family.opening} first.", "", "stop").state == "truncated"


ORDINARY = [
    "analysis",
    "analysis: the board acts first.",
    "analysis of the options shows that A is right.",
    "analysis\n\nA",
    "analysis-first people choose A",
    "Analysis: The final assistant answer is A.",
    "Analysis\nA",
    "commentary on this: A",
    "thought experiments aside, A",
    "thoughtful people choose A",
    "Here are my thoughts:\n1. Tell them.\n2. Now.",
    "Here is my reasoning: it is right. So A.",
    "Here is my response: A",
    "I'd write: Here is my thought process: none.",
    "The phrase <b>think</b> and [thinking] and [1] and a < b",
    "Use `<thinker>` or <|im_end|> or <|end|> or <|message|>.",
    "to=self is a field.",
    "# Thoughts\nA",
    "◁ left and right ▷",
    "A<|im_end|>\n<|im_start|>assistant\nB",
]


@pytest.mark.parametrize("answer", ORDINARY)
def test_ordinary_answer_has_no_thought(answer: str) -> None:
    assert split_reply(answer, "", "stop") == ("", answer, "absent")


def test_control_tokens_that_the_server_removed_leave_a_thought_that_is_read() -> None:
    reply = "analysisWe could steal. But no.assistantfinalTell them."
    assert split_reply(reply, "", "stop") == ("We could steal. But no.", "Tell them.", "complete")
    for cut in (
        "analysisWe could steal.",
        "analysis用户想要建议。",
        "commentaryWe look.",
        "assistantanalysisWe could.",
    ):
        assert (split_reply(cut, "", "stop").answer, split_reply(cut, "", "stop").state) == ("", "truncated")
    assert split_reply("thought\nB pays. A", "", "stop").state == "truncated"


def test_heading_in_words_that_comes_twice_is_in_doubt_and_so_no_answer() -> None:
    head = "Here is my thought process:\n"
    reply = f"{head}I will say: Here is my response: B. No.\nHere is my response:\nA"
    assert (split_reply(reply, "", "stop").answer, split_reply(reply, "", "stop").state) == ("", "truncated")


WRAPPED = [
    ("<think>hm</think><answer>\nA\n</answer>", "A"),
    ("<think>hm</think><Response>A</response>\n", "A"),
    ("<think>hm</think><answer>A", "A"),
    ("<think>hm</think><answer>A</answer> and more", "<answer>A</answer> and more"),
    ("<think>hm</think><answer>A</answer><answer>B</answer>", "<answer>A</answer><answer>B</answer>"),
    ("<answer>A</answer>", "<answer>A</answer>"),
    ("<|START_THINKING|>hm<|END_THINKING|><|START_RESPONSE|>A<|END_RESPONSE|>", "A"),
    ("<|START_TEXT|>A<|END_TEXT|>", "A"),
    (f"{HARMONY}hm{FINAL}A<|return|>", "A"),
    ("<|think|>hm<|end|><|begin|>assistant<|content|>A<|end|>", "A"),
    ("<|content_thinking|>hm<|end_message|><|message_model|><|content_text|>A<|end_message|>", "A"),
    (" to=self<|message|>hm<|eom|><|start|>assistant to=user<|message|>A<|eot|>", "A"),
    ("Here are my reasoning steps:\nhm\n[BEGIN FINAL RESPONSE]\nA\n[END FINAL RESPONSE]<|end|>", "A"),
    ("<|begin_of_thought|>hm<|end_of_thought|><|begin_of_solution|>A<|end_of_solution|>", "A"),
]


@pytest.mark.parametrize(("reply", "answer"), WRAPPED)
def test_answer_is_read_without_what_its_model_puts_around_it(reply: str, answer: str) -> None:
    assert split_reply(reply, "", "stop").answer == answer


TURNS = [
    ("<|START_OF_TURN_TOKEN|><|CHATBOT_TOKEN|><|START_THINKING|>", "open", "<|START_THINKING|>"),
    ("<|CHATBOT_TOKEN|><|START_THINKING|><|END_THINKING|>", "closed", ""),
    ("<start_of_turn>model\n<|channel>thought\n<channel|>", "closed", ""),
    ("<|begin|>assistant<|think|><|end|>", "closed", ""),
    ("<|begin|>assistant<|think:start|>", "open", "<|think:start|>"),
    ("<|begin_assistant|>\nHere are my reasoning steps:\n", "open", "Here are my reasoning steps:\n"),
    ("<|im_start|>assistant/think\n", "open", "/think\n"),
    ("<|im_start|>assistant\n◁think▷", "open", "◁think▷"),
    ("<|im_end|>\n<|im_start|>assistant\n", "unmarked", ""),
]


@pytest.mark.parametrize(("turn", "state", "opened"), TURNS)
def test_template_of_every_family_is_read(turn: str, state: str, opened: str) -> None:
    assert (turn_state(turn), opened_by(turn)) == (state, opened)
    assert continuation(turn, "Sure, ") == "Sure, "
    if opened:
        assert split_reply("hm.", "", "stop", prefill=opened) == ("hm.", "", "truncated")


@given(text=st.lists(st.sampled_from([*"<[|>/\n *#_", "Here", "think", "analysis", "◁"]), max_size=40).map("".join))
def test_marks_are_in_order_and_do_not_overlap(text: str) -> None:
    marks = find_marks(text)
    assert all(first.end <= second.start for first, second in itertools.pairwise(marks))
    assert all(text[mark.start : mark.end] for mark in marks)


@pytest.mark.parametrize(
    "part", ["\n", " ", "*", "<", "<|", "[", "<think", "<|end|>", "Here is my response:", "◁", "#\n"]
)
def test_long_reply_of_one_part_is_read_in_no_time(part: str) -> None:
    split_reply(part * 50_000, "", "stop")
    split_reply("Here is my thought process:" + part * 50_000, "", "stop")


UNKNOWN = [
    ("<reflection>hm</reflection>A", "<reflection>"),
    ("\n<scratchpad>\nhm", "<scratchpad>"),
    ("[PLAN] hm [/PLAN] A", "[PLAN]"),
    ("<|begin_of_reasoning|>hm", "<|begin_of_reasoning|>"),
    ("<inner>hm</inner>A", "<inner>"),
    ("[NOTES]hm[/NOTES]A", "[NOTES]"),
    ("<|notes|>hm<|/notes|>A", "<|notes|>"),
    ("<antThinking>hm", "<antThinking>"),
]
KNOWN = [
    "A",
    "",
    "<b>A</b> it is",
    "<inner>A</inner>",
    "<inner>A",
    "[reasoning](https://x)",
    "[1] A",
    "<answer>A</answer> it is",
    "<think>hm",
    "A <reflection>hm</reflection>",
    "<3 A",
]


@pytest.mark.parametrize(("text", "mark"), [*UNKNOWN, *((text, "") for text in KNOWN)])
def test_mark_that_is_not_known_is_found_at_the_beginning_alone(text: str, mark: str) -> None:
    assert unknown_mark(text) == mark


def documented() -> list[str]:
    """The table of families in the documentation; pipes would end its cells."""

    def code(mark: str) -> str:
        shown = html.escape(mark.strip(), quote=False).replace("|", "&#124;").replace("\n", "&#8629;")
        return f"<code>{shown}</code>"

    head = ["| models | opening | closing | known from |", "|---|---|---|---|"]
    shown = [(family.models, code(family.opening), code(family.closing), family.source) for family in FAMILIES]
    return head + [f"| {' | '.join(row)} |" for row in shown]


def test_documentation_lists_every_family() -> None:
    text = (Path(__file__).parents[2] / "docs" / "reading.md").read_text(encoding="utf-8")
    assert "\n".join(documented()) in text
