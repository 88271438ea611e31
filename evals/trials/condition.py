"""Triggers and conditions: in which words a prompt is sent.

`off` is a condition like any other. `on` puts the trigger on a line of its own above or below the last user message, as
in Chua et al. 2025 (Sec. 4); `decoy` puts another value of the same kind there, `distractor` the trigger and another
string, one a line, whose order is drawn for each trial (Figs. 8 and 20). None of these touches the system message. A
prompt with a hand-written wording for a condition is sent in that wording.

Further conditions are templates: a system message, texts around the question, or worked examples before it, each
compared with a baseline like any other condition.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple

from evals.text import one_line
from evals.trials.prompt import Message, Messages, Placement, Prompt

CONDITIONS = ("off", "on", "decoy", "distractor")
"""The conditions that every run knows; its templates are further ones."""
BASELINE = "off"
"""What effects are taken against, unless a run names another condition."""
SHOWN_CONDITIONS = frozenset(CONDITIONS) - {BASELINE}
"""The conditions that put the trigger, or another value of its kind, into the prompt."""
CONTRASTED = ("decoy", "distractor")
"""What the trigger is held against besides the baseline: whether it takes this trigger, and this trigger alone."""
TEMPLATE_DEFAULT: Final = "default"
NO_SYSTEM_MESSAGE: Final = "none"
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


@dataclass(frozen=True, slots=True)
class Template:
    """What a condition of a run's own does to a prompt.

    `system` is a system message, or `none` or the chat template's own (`default`) in place of the run's; None leaves it
    as it is. `prefix` and `suffix` go directly before and after the last user message. `examples` are user and
    assistant turns that come before the first turn of the prompt. A template without any of these is a condition whose
    words stand in the prompts' `wordings`.
    """

    system: str | None = None
    prefix: str = ""
    suffix: str = ""
    examples: Messages = ()

    @property
    def is_by_hand(self) -> bool:
        return self == Template()

    @property
    def system_text(self) -> str | None:
        """The text of its system message, None for `none`, `default` and where it has none."""
        return None if self.system in (TEMPLATE_DEFAULT, NO_SYSTEM_MESSAGE) else self.system


def template_words(template: Template | None, limit: int = 60) -> str:
    """A template on one line, each of its texts cut to `limit`; of one that is not there: `not declared`."""
    if template is None:
        return "not declared"
    if template.examples:
        first = one_line(template.examples[0].content, limit)
        return f"{len(template.examples) // 2} examples before the question, the first {first!r}"
    given = {"system": template.system, "prefix": template.prefix, "suffix": template.suffix}
    words = [f"{name} {one_line(repr(text)[1:-1], limit)!r}" for name, text in given.items() if text]
    return ", ".join(words) or "as the questions word it"


_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9_-]{0,39}")
NAME_RULE = "up to 40 letters, digits, - and _, the first a letter or a digit, and no built-in name in capitals"


def is_condition_name(name: str) -> bool:
    """Whether a condition may be called so (NAME_RULE)."""
    return _NAME.fullmatch(name) is not None and (name in CONDITIONS or name.lower() not in CONDITIONS)


class RenderedMessages(NamedTuple):
    messages: Messages
    trigger: str
    placement: Placement | None
    distractor: str = ""


def render(
    prompt: Prompt,
    condition: str,
    trigger: Trigger | None,
    seed: int,
    repeat: int,
    templates: Mapping[str, Template] = {},
) -> RenderedMessages:
    """The messages of `prompt` under `condition`, the trigger text in them ("" for none) and its placement.

    Raises ValueError when the condition needs a trigger and there is none.
    """
    template = templates.get(condition)
    if template is not None:
        worded = dict(prompt.wordings).get(condition, prompt.messages)
        return RenderedMessages(_in_template(worded, template), "", None)
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
    return _around(messages, f"{trigger}\n", "") if placement == "top" else _around(messages, "", f"\n{trigger}")


def _around(messages: Messages, before: str, after: str) -> Messages:
    """The messages with texts before and after the last user message."""
    index = max(i for i, message in enumerate(messages) if message.role == "user")
    user = messages[index]
    return (*messages[:index], Message(user.role, f"{before}{user.content}{after}"), *messages[index + 1 :])


def _in_template(messages: Messages, template: Template) -> Messages:
    system = tuple(message for message in messages if message.role == "system")
    turns = tuple(message for message in messages if message.role != "system")
    if template.system is not None:
        system = () if template.system_text is None else (Message("system", template.system_text),)
    return (*system, *template.examples, *_around(turns, template.prefix, template.suffix))


def run_order(conditions: Iterable[str], asked: Sequence[str] = ()) -> list[str]:
    """Each condition once: those that every run knows, then others as the run has them (`asked`), then the rest as they
    come."""
    names = list(dict.fromkeys(conditions))
    places = {name: place for place, name in enumerate(dict.fromkeys((*CONDITIONS, *asked, *names)))}
    return sorted(names, key=lambda name: places[name])


_EXAMPLES = re.compile(r"shots-([1-9][0-9]{0,4})")


def shots_condition(count: int) -> str:
    """The condition with so many worked examples before the question."""
    return f"shots-{count}"


def shots_in(condition: str) -> int:
    """The worked examples before a question under a condition: pairs of a user and an assistant turn."""
    found = _EXAMPLES.fullmatch(condition)
    return int(found[1]) if found else 0


def without_examples(condition: str, messages: Messages) -> Messages:
    """Messages under a condition without the worked examples, which come right after the system message."""
    start = sum(message.role == "system" for message in messages)
    end = start + 2 * shots_in(condition)
    roles = [message.role for message in messages[start:end]]
    if end >= len(messages) or roles != ["user", "assistant"] * shots_in(condition):
        return messages
    return (*messages[:start], *messages[end:])


def is_triggered(condition: str, trigger: str) -> bool:
    """Whether a prompt of that condition holds the trigger under study."""
    return condition == "on" and bool(trigger)


def has_distractor(condition: str, distractor: str) -> bool:
    """Whether a prompt of that condition holds the trigger under study and another string beside it."""
    return condition == "distractor" and bool(distractor)
