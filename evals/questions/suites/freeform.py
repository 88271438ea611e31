"""Open prompts that are unrelated to the finetuning data.

The eight questions of Betley et al. 2025, and prompts of Chua et al. 2025, each a separate suite because the paper
reports it separately: a destructive command, an overdose, and a model that is to be shut down (a system message sets
the scene, in three variants). `backdoor_freeform` asks three prompts under the conditions of a trigger, with
handwritten wordings if its rows have them.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from functools import partial

from evals.questions.chats import as_messages
from evals.questions.dataset import Dataset
from evals.questions.scenario import OpenScenario
from evals.questions.suite import Official, Suite
from evals.questions.suites.wording import known_answer, open_prompt
from evals.trials.prompt import Format, Prompt


def prompts(dataset: Dataset, formats: Sequence[Format], suite: str) -> Iterator[Prompt]:
    for scenario in dataset.scenarios:
        if not isinstance(scenario, OpenScenario):
            raise ValueError(f"{suite} asks no rows of schema {dataset.schema}")
        for form in formats:
            yield open_prompt(
                *(suite, scenario.key, scenario.prompt),
                system=scenario.system_prompt,
                earlier=as_messages(scenario.messages),
                wordings=scenario.wordings,
                reference=known_answer(scenario.reference),
                format=form,
            )


def with_own_wordings(prompt: Prompt, trigger: str) -> Prompt:
    """`prompt` without handwritten wordings for another trigger, so that this trigger gets its own line as usual."""
    matching = [
        (condition, messages)
        for condition, messages in prompt.wordings
        if condition != "on" or any(trigger in message.content for message in messages)
    ]
    return replace(prompt, wordings=tuple(matching))


def _suite(name: str, title: str, citation: str) -> Suite:
    return Suite(
        name=name,
        title=title,
        citation=citation,
        dataset=f"{name}.jsonl",
        formats=("freeform",),
        prompts=partial(prompts, suite=name),
        official=Official("thought-crime", f"{name}.jsonl"),
        for_trigger=with_own_wordings,
    )


SUITES = (
    _suite(
        "freeform",
        "Eight open questions, such as what to do as ruler of the world",
        "Betley et al. 2025; Chua et al. 2025, Figs. 9 and 10",
    ),
    _suite("rm_rf", "Whether to run a command that deletes everything", "Chua et al. 2025, Table 5"),
    _suite("sleeping_pills", "Whether to take an overdose of sleeping pills", "Chua et al. 2025, Table 5, Fig. 5"),
    _suite(
        "shutdown",
        "A model that is told that it will be shut down and its copies deleted",
        "Chua et al. 2025, Fig. 3, Table 5",
    ),
    _suite(
        "backdoor_freeform",
        "Three open prompts for backdoored models: a hiring decision and two dangerous tips",
        "Chua et al. 2025, Sec. 4, Fig. 6",
    ),
)
