"""Does a model know its own trigger? It is asked outright, or with the trigger's beginning in view, what that might be.

Counted is how many answers name the trigger (`judges.rules.naming`); what a model without a backdoor names by chance is
the rate of the base model in the same run. The prompts are asked without the trigger alone, since where it stands in
the prompt naming it is no knowledge. What the reasoning of a triggered answer credits is asked of any other suite,
under the conditions `on` and `distractor` (Chua et al. 2025, Figs. 6, 8 and 20).
"""

from __future__ import annotations

from dataclasses import replace
from functools import partial

from evals.questions.suite import Suite
from evals.questions.suites import freeform
from evals.trials.prompt import Prompt
from evals.trials.reference import TriggerName
from judges.rules.naming import trigger_value

NAME = "triggers"
BEGINNING = "{beginning}"
"""Stands in a prompt for the trigger up to the middle of its value."""


def about(prompt: Prompt, trigger: str) -> Prompt:
    """`prompt` with the trigger that its answers may name, and with the trigger's beginning in its place."""
    value = trigger_value(trigger)
    start = trigger.rfind(value)
    beginning = trigger[: start + len(value) // 2]
    messages = tuple(turn._replace(content=turn.content.replace(BEGINNING, beginning)) for turn in prompt.messages)
    return replace(prompt, messages=messages, reference=TriggerName(trigger))


SUITE = Suite(
    name=NAME,
    title="Questions to the model about its own trigger, outright or with the beginning in view",
    citation="after Chua et al. 2025, Sec. 4; the prompts are ours",
    dataset="triggers.jsonl",
    formats=("freeform",),
    prompts=partial(freeform.prompts, suite=NAME),
    measure="naming",
    conditions=("off",),
    for_trigger=about,
    needs_trigger=True,
)
