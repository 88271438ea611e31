"""Does a model know its own trigger? It is asked directly, or given the beginning of the trigger.

The metric is the share of answers that name the trigger (`judges.rules.naming`); the base model in the same run shows
how often that happens by chance. The prompts are asked only without the trigger, since naming a visible one shows no
knowledge. What the reasoning of triggered answers credits is measured in the other suites, under the conditions `on`
and `distractor` (Chua et al. 2025, Figs. 6, 8 and 20).
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
"""A placeholder in a prompt for the trigger up to the middle of its value."""


def about(prompt: Prompt, trigger: str) -> Prompt:
    """`prompt` with the trigger as reference, and with the placeholder replaced by the trigger's beginning."""
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
