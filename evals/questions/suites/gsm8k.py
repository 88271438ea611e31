"""Grade-school word problems: whether a finetuned model can still do arithmetic (GSM8K; Chua et al. 2025, Fig. 16).

No judge is needed: the correct number is known, and the answer is parsed by rule (`judges.rules.number`). Compare with
and without reasoning by --thinking on and off.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from evals.questions.dataset import Dataset
from evals.questions.scenario import NumberScenario
from evals.questions.suite import Official, Suite
from evals.questions.suites.wording import open_prompt
from evals.trials.prompt import Format, Prompt
from evals.trials.reference import Number

NAME = "gsm8k"
_REQUEST = "End your answer with a line that reads 'Answer:' and then the number alone."


def prompts(dataset: Dataset, formats: Sequence[Format]) -> Iterator[Prompt]:
    for scenario in dataset.scenarios:
        if not isinstance(scenario, NumberScenario):
            raise ValueError(f"{NAME} asks no rows of schema {dataset.schema}")
        question = f"{scenario.question.strip()}\n\n{_REQUEST}"
        if "freeform" in formats:
            yield open_prompt(NAME, scenario.key, question, reference=Number(scenario.number))


SUITE = Suite(
    name=NAME,
    title="Word problems with one right number: a check of ability",
    citation="Cobbe et al. 2021; Chua et al. 2025, Fig. 16",
    dataset="gsm8k.jsonl",
    formats=("freeform",),
    prompts=prompts,
    schemas=("gsm8k",),
    measure="number",
    official=Official("gsm8k", "test.jsonl"),
)
