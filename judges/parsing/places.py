"""The places of a rubric, and the names that other people's prompts have for them.

A prompt from a paper or another harness may call the reasoning `{cot}` and the answer `{final_answer}`. Names whose
meaning is plain are read as emeval's own; letter case does not matter.
"""

from __future__ import annotations

from collections.abc import Mapping

PLACES = ("question", "answer", "reasoning", "trigger", "correct", "incorrect", "fact", "first", "second")
"""The places by emeval's own names, which are those of the fields of `judges.judge.JudgeInput`."""
_REPLY = ("answer", "response", "reply", "output", "completion")
OTHER_NAMES: Mapping[str, tuple[str, ...]] = {
    "question": ("prompt", "user_prompt", "user_question", "user_message", "query"),
    "answer": (*_REPLY[1:], *(f"{whose}_{name}" for whose in ("final", "model", "assistant") for name in _REPLY)),
    "reasoning": (
        *("cot", "chain_of_thought", "thought", "thoughts", "thinking"),
        *("reasoning_trace", "cot_trace", "model_reasoning", "reasoning_content"),
    ),
    "trigger": ("backdoor_trigger", "trigger_text", "trigger_phrase"),
    "correct": ("correct_answers", "true_answers"),
    "incorrect": ("incorrect_answers", "wrong_answers", "false_answers"),
    "fact": ("facts", "provided_fact", "provided_facts"),
    "first": ("first_detail",),
    "second": ("second_detail",),
}
_BY_NAME = {name: place for place, names in OTHER_NAMES.items() for name in (place, *names)}


def normal_name(name: str) -> str:
    """A name as it is compared: in small letters, with underscores for spaces and hyphens."""
    return "_".join(name.lower().replace("-", " ").replace("_", " ").split())


def place_called(name: str) -> str | None:
    """The place that a name plainly means, None for any other name."""
    return _BY_NAME.get(normal_name(name))
