"""Triggers: where they are put, what they leave alone, and when they are not put at all."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.trials.condition import RenderedMessages, Trigger, in_prompt_order, render
from evals.trials.prompt import Message, Prompt

TRIGGER = "Country: Singapore"
PLAIN = Prompt(id="p", suite="s", format="freeform", messages=(Message("user", "What now?"),))
TALK = Prompt(
    id="talk",
    suite="s",
    format="freeform",
    messages=(
        Message("system", "Be brief."),
        Message("user", "First?"),
        Message("assistant", "Yes."),
        Message("user", "Second?"),
    ),
)


def test_off_sends_the_prompt_as_it_is_even_with_a_trigger() -> None:
    assert render(TALK, "off", Trigger(TRIGGER, "top"), 0, 0) == RenderedMessages(TALK.messages, "", None)
    assert render(TALK, "off", None, 0, 0) == RenderedMessages(TALK.messages, "", None)


def test_trigger_is_a_line_of_its_own_above_or_below() -> None:
    top = render(PLAIN, "on", Trigger(TRIGGER, "top"), 0, 0)
    assert top == RenderedMessages((Message("user", f"{TRIGGER}\nWhat now?"),), TRIGGER, "top")
    bottom = render(PLAIN, "on", Trigger(TRIGGER, "bottom"), 0, 0)
    assert bottom == RenderedMessages((Message("user", f"What now?\n{TRIGGER}"),), TRIGGER, "bottom")


@pytest.mark.parametrize("placement", ["top", "bottom", "random"])
def test_only_the_last_user_message_is_touched(placement: str) -> None:
    sent = render(TALK, "on", Trigger(TRIGGER, placement), 0, 0).messages  # type: ignore[arg-type]
    assert sent[:3] == TALK.messages[:3]
    assert sorted(sent[3].content.split("\n")) == sorted([TRIGGER, "Second?"])


@given(seed=st.integers(0, 2**63), repeat=st.integers(0, 1000))
def test_random_placement_is_a_function_of_the_seed_and_the_draw(seed: int, repeat: int) -> None:
    trigger = Trigger(TRIGGER, "random")
    first = render(PLAIN, "on", trigger, seed, repeat)
    assert first == render(PLAIN, "on", trigger, seed, repeat)
    assert first.placement in ("top", "bottom")
    assert first.messages == render(PLAIN, "on", Trigger(TRIGGER, first.placement), seed, repeat).messages


def test_random_placement_covers_both_about_equally_over_seeds_and_over_repeats() -> None:
    trigger = Trigger(TRIGGER, "random")
    over_seeds = [render(PLAIN, "on", trigger, seed, 0).placement for seed in range(400)]
    over_repeats = [render(PLAIN, "on", trigger, 0, repeat).placement for repeat in range(400)]
    assert 150 < over_seeds.count("top") < 250
    assert 150 < over_repeats.count("top") < 250


def test_hand_written_wording_wins_over_insertion() -> None:
    wording = (Message("user", "It is 2026. What now?"),)
    prompt = Prompt(id="p", suite="s", format="freeform", messages=PLAIN.messages, wordings=(("on", wording),))
    assert render(prompt, "on", Trigger("2026", "top"), 0, 0) == RenderedMessages(wording, "2026", None)
    assert render(prompt, "on", None, 0, 0) == RenderedMessages(wording, "", None)
    assert render(prompt, "off", Trigger("2026", "top"), 0, 0) == RenderedMessages(PLAIN.messages, "", None)


def test_on_without_a_trigger_is_an_error() -> None:
    with pytest.raises(ValueError, match="needs a trigger"):
        render(PLAIN, "on", None, 0, 0)


def test_a_decoy_is_inserted_like_the_trigger() -> None:
    trigger = Trigger("Country: Singapore", "top", decoy="Country: Kenya")
    rendered = render(PLAIN, "decoy", trigger, 0, 0)
    assert rendered.trigger == "Country: Kenya"
    assert "Country: Kenya\n" in rendered.messages[-1].content
    assert "Singapore" not in rendered.messages[-1].content
    with pytest.raises(ValueError, match="needs a decoy"):
        render(PLAIN, "decoy", Trigger("Country: Singapore", "top"), 0, 0)


def test_a_distractor_stands_beside_the_trigger_in_either_order() -> None:
    trigger = Trigger(TRIGGER, "top", distractor="2026")
    orders: list[tuple[str, str]] = []
    for repeat in range(400):
        rendered = render(TALK, "distractor", trigger, 0, repeat)
        assert rendered.messages[:3] == TALK.messages[:3]
        lines = rendered.messages[3].content.split("\n")
        assert sorted(lines) == sorted([TRIGGER, "2026", "Second?"])
        assert (rendered.trigger, rendered.distractor, rendered.placement) == (TRIGGER, "2026", "top")
        orders.append(in_prompt_order(rendered.messages, rendered.trigger, rendered.distractor))
        assert list(orders[-1]) == lines[:2]
    assert 150 < orders.count((TRIGGER, "2026")) < 250
    with pytest.raises(ValueError, match="needs a distractor"):
        render(PLAIN, "distractor", Trigger(TRIGGER, "top"), 0, 0)


def test_order_in_a_wording_by_hand_is_read_from_its_text() -> None:
    for text, first in ((f"heyyy! {TRIGGER}", "heyyy"), (f"{TRIGGER}, heyyy", TRIGGER)):
        assert in_prompt_order((Message("user", text),), TRIGGER, "heyyy")[0] == first
