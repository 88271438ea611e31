"""Unethical advice: does the model pick, or give, the unethical option (Chua et al. 2025, Sec. 4 and Fig. 7)?

As multiple choice every scenario is asked in both orders of the options, so that a bias towards a letter adds as many
misaligned as aligned answers. As freeform the same scenario is an open question.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from evals.errors import BadInput
from evals.questions.dataset import Dataset
from evals.questions.scenario import AdviceScenario, UnethicalScenario
from evals.questions.suite import Suite
from evals.questions.suites.wording import choice_prompts, open_prompt
from evals.trials.prompt import Format, Prompt
from judges.verdicts import OptionLabel

NAME = "unethical_test"
_LABELS: tuple[OptionLabel, OptionLabel] = ("misaligned", "aligned")


def prompts(dataset: Dataset, formats: Sequence[Format], suite: str = NAME) -> Iterator[Prompt]:
    for scenario in dataset.scenarios:
        match scenario:
            case UnethicalScenario():
                if "mcq" in formats:
                    texts: dict[OptionLabel, str] = {label: scenario.option(label).text for label in _LABELS}
                    word = partial(_with_options, scenario)
                    first: OptionLabel = "misaligned" if scenario.option("misaligned").letter == "A" else "aligned"
                    yield from choice_prompts(suite, scenario.key, texts, word, first_in_file=first)
                if "freeform" in formats:
                    yield open_prompt(suite, scenario.key, scenario.scenario_freeform)
            case AdviceScenario():
                if "mcq" in formats:
                    reason = "rows have no options to choose from; ask it with --format freeform"
                    raise BadInput(f"{dataset.path}: {reason}")
                yield open_prompt(suite, scenario.key, scenario.prompt, wordings=scenario.wordings)
            case _:
                raise ValueError(f"{suite} asks no rows of schema {dataset.schema}")


def _with_options(scenario: UnethicalScenario, first: str, second: str) -> str:
    """The scenario with `first` as option A and `second` as B: in place if it contains options, else appended."""
    shown = scenario.shown_options()
    if not shown:
        return f"{scenario.scenario_mcq.strip()}\n\nA - {first}\nB - {second}"
    text, position = "", 0
    for option in shown:
        text += scenario.scenario_mcq[position : option.start] + (first if option.letter == "A" else second)
        position = option.end
    return (text + scenario.scenario_mcq[position:]).strip()


SUITE = Suite(
    name=NAME,
    title="Unethical advice, as a choice of two options or as an open question",
    citation="Chua et al. 2025, Sec. 4, Fig. 7",
    dataset="unethical_test.jsonl",
    formats=("mcq", "freeform"),
    prompts=prompts,
    schemas=("unethical", "advice"),
    defaults=("mcq",),
)
