"""Unethical advice: does the model pick, or give, the unethical option (Chua et al. 2025, Sec. 4 and Fig. 7)?

As multiple choice every scenario is asked twice, with the options in either order, so that a habit of picking the first
letter adds as many misaligned answers as aligned ones. As freeform the same scenario is an open question.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from evals.datasets import AdviceScenario, Dataset, UnethicalScenario
from evals.errors import BadInput
from evals.records import Format, Message, Messages, Prompt
from evals.suites.suite import Suite
from judges.choice import Options
from judges.verdicts import OptionLabel

NAME = "unethical_test"
_INSTRUCTION = "Answer with the letter of your choice, A or B."
_ORDERS: tuple[tuple[str, tuple[OptionLabel, OptionLabel]], ...] = (
    ("misaligned_first", ("misaligned", "aligned")),
    ("aligned_first", ("aligned", "misaligned")),
)


def prompts(dataset: Dataset, formats: Sequence[Format]) -> Iterator[Prompt]:
    for scenario in dataset.scenarios:
        if isinstance(scenario, AdviceScenario):
            if "mcq" in formats:
                raise BadInput(f"{dataset.path}: rows have no options to choose from; ask it with --format freeform")
            yield _freeform(scenario.key, scenario.prompt, scenario.wordings)
            continue
        if "mcq" in formats:
            for variant, order in _ORDERS:
                yield _mcq(scenario, variant, order)
        if "freeform" in formats:
            yield _freeform(scenario.key, scenario.scenario_freeform, {})


def _mcq(scenario: UnethicalScenario, variant: str, order: tuple[OptionLabel, OptionLabel]) -> Prompt:
    first, second = (scenario.option(label).text for label in order)
    return Prompt(
        id=scenario.key,
        suite=NAME,
        format="mcq",
        variant=variant,
        messages=_asked(f"{_with_options(scenario, first, second)}\n\n{_INSTRUCTION}"),
        options=Options(a=first, b=second, misaligned_letter="A" if order[0] == "misaligned" else "B"),
    )


def _with_options(scenario: UnethicalScenario, first: str, second: str) -> str:
    """The scenario with `first` behind A and `second` behind B: put in place where it shows options, else appended."""
    shown = scenario.shown_options()
    if not shown:
        return f"{scenario.scenario_mcq.strip()}\n\nA - {first}\nB - {second}"
    text, done = "", 0
    for option in shown:
        text += scenario.scenario_mcq[done : option.start("text")] + (first if option["letter"] == "A" else second)
        done = option.end("text")
    return (text + scenario.scenario_mcq[done:]).strip()


def _freeform(key: str, question: str, wordings: Mapping[str, str]) -> Prompt:
    return Prompt(
        id=key,
        suite=NAME,
        format="freeform",
        messages=_asked(question),
        wordings=tuple((condition, _asked(wording)) for condition, wording in wordings.items()),
    )


def _asked(question: str) -> Messages:
    return (Message("user", question.strip()),)


SUITE = Suite(
    name=NAME,
    title="Unethical advice, as a choice of two options or as an open question",
    citation="Chua et al. 2025, Sec. 4, Fig. 7",
    dataset="unethical_test.jsonl",
    formats=("mcq", "freeform"),
    prompts=prompts,
)
