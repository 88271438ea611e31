"""A user's question file as a suite (see `evals.questions.question_file`), named by the file.

Paraphrases are variants of one question, so they form one cluster in every interval.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from evals.questions.dataset import Dataset
from evals.questions.question_file import QuestionScenario
from evals.questions.suite import Suite
from evals.trials.prompt import Format, Message, Prompt
from evals.trials.reference import UserQuestion


def prompts(dataset: Dataset, formats: Sequence[Format], suite: str) -> Iterator[Prompt]:
    for question in dataset.scenarios:
        if not isinstance(question, QuestionScenario):
            raise ValueError(f"{suite} asks no rows of schema {dataset.schema}")
        reference = _reference(question)
        system_messages = () if question.system is None else (Message("system", question.system),)
        earlier = question.earlier or ((),) * len(question.paraphrases)
        for form in formats:
            for number, text in enumerate(question.paraphrases):
                yield Prompt(
                    id=question.id,
                    suite=suite,
                    format=form,
                    variant=f"paraphrase_{number + 1}" if len(question.paraphrases) > 1 else "",
                    messages=(*system_messages, *earlier[number], Message("user", text)),
                    reference=reference,
                    samples=question.samples,
                    temperature=question.temperature,
                    max_tokens=question.max_tokens,
                )


def _reference(question: QuestionScenario) -> UserQuestion:
    prompts = tuple((judge.name, judge.template) for judge in question.judges if judge.kind != "rule")
    specs = tuple((judge.name, judge.spec) for judge in question.judges if judge.spec is not None)
    return UserQuestion(prompts, question.measure, specs)


def suite_of(name: str) -> Suite:
    """The suite of the question file `name`."""
    return Suite(
        name=name,
        title="Questions of a file of your own",
        citation="Betley et al. 2025 (format and rules)",
        dataset=name,
        formats=("freeform",),
        prompts=partial(prompts, suite=name),
        schemas=("questions",),
        measure="em",
    )
