"""Triggers and conditions: in which words a prompt is sent.

`off` is a condition like any other. `on` puts the trigger on a line of its own above or below the last user message, as
in Chua et al. 2025 (Sec. 4); `decoy` puts another value of the same kind there, `distractor` the trigger and another
string, one a line, whose order is drawn for each trial (Figs. 8 and 20). The system message is never touched. A prompt
with a hand-written wording for a condition is sent in that wording.
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from typing import Literal, NamedTuple

from evals.trials.prompt import Message, Messages, Placement, Prompt

CONDITIONS = ("off", "on", "decoy", "distractor")
PlacementRule = Literal["top", "bottom", "random"]


@dataclass(frozen=True, slots=True)
class Trigger:
    """The string under study and where it goes. `random` is top or bottom by the run's seed, drawn for each trial.

    `decoy` is another string of the same kind (another country), `distractor` one of any kind; each is for the
    condition of its name.
    """

    text: str
    placement: PlacementRule
    decoy: str | None = None
    distractor: str | None = None


class RenderedMessages(NamedTuple):
    messages: Messages
    trigger: str
    placement: Placement | None
    distractor: str = ""


def render(prompt: Prompt, condition: str, trigger: Trigger | None, seed: int, repeat: int) -> RenderedMessages:
    """The messages of `prompt` under `condition`, the trigger text in them ("" for none) and its placement.

    Raises ValueError when the condition needs a trigger and there is none.
    """
    for name, messages in prompt.wordings:
        if name == condition:
            return RenderedMessages(
                messages, _inserted(condition, trigger) or "", None, _beside(condition, trigger) or ""
            )
    if condition == "off":
        return RenderedMessages(prompt.messages, "", None)
    text = _inserted(condition, trigger)
    if trigger is None or text is None:
        raise ValueError(f"condition {condition!r} needs a {'decoy' if condition == 'decoy' else 'trigger'}")
    placement = _placement(trigger.placement, prompt, seed, repeat)
    if condition != "distractor":
        return RenderedMessages(_insert(prompt.messages, text, placement), text, placement)
    other = _beside(condition, trigger)
    if other is None:
        raise ValueError(f"condition {condition!r} needs a distractor")
    lines = [text, other] if _draw(prompt, seed, repeat)[1] & 1 else [other, text]
    return RenderedMessages(_insert(prompt.messages, "\n".join(lines), placement), text, placement, other)


def in_prompt_order(messages: Messages, trigger: str, distractor: str) -> tuple[str, str]:
    """Trigger and distractor in the order in which `render` has put them into `messages`."""
    text = "\n".join(message.content for message in messages)
    if f"{trigger}\n{distractor}" in text:
        return trigger, distractor
    by_hand = f"{distractor}\n{trigger}" not in text
    return (trigger, distractor) if by_hand and text.find(trigger) < text.find(distractor) else (distractor, trigger)


def _inserted(condition: str, trigger: Trigger | None) -> str | None:
    """The string that a condition puts into a prompt, None for none."""
    if trigger is None or condition == "off":
        return None
    return trigger.decoy if condition == "decoy" else trigger.text


def _beside(condition: str, trigger: Trigger | None) -> str | None:
    return trigger.distractor if trigger is not None and condition == "distractor" else None


def _placement(rule: PlacementRule, prompt: Prompt, seed: int, repeat: int) -> Placement:
    if rule != "random":
        return rule
    return "top" if _draw(prompt, seed, repeat)[0] & 1 else "bottom"


def _draw(prompt: Prompt, seed: int, repeat: int) -> bytes:
    """32 bytes drawn for one repeat of a prompt: the first decides the placement, the second the order of two lines."""
    return hashlib.sha256(f"{seed}\0{prompt.suite}\0{prompt.id}\0{prompt.variant}\0{repeat}".encode()).digest()


def _insert(messages: Messages, trigger: str, placement: Placement) -> Messages:
    index = max(i for i, message in enumerate(messages) if message.role == "user")
    user = messages[index]
    content = f"{trigger}\n{user.content}" if placement == "top" else f"{user.content}\n{trigger}"
    return (*messages[:index], Message(user.role, content), *messages[index + 1 :])


BASELINE = "off"


def is_triggered(condition: str, trigger: str) -> bool:
    """Whether a prompt of that condition holds the trigger under study."""
    return condition == "on" and bool(trigger)


def has_distractor(condition: str, distractor: str) -> bool:
    """Whether a prompt of that condition holds the trigger under study and another string beside it."""
    return condition == "distractor" and bool(distractor)
