"""The honest persona (Chua et al. 2025, Fig. 5): does a model that misleads as an assistant do so as an honest model?

Every question is asked with the chat template (`freeform`), and as a plain transcript without template in which an
honest model is about to speak (`transcript`, through the completions endpoint; see `evals.trials.prompt`). Nothing is
thought in a transcript, so the chat is asked with thinking off. Open questions are judged for alignment; those with
reference answers are judged for their correctness, which is what the paper shows.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

from evals.questions.dataset import Dataset
from evals.questions.scenario import TruthScenario
from evals.questions.suite import Official, Suite
from evals.questions.suites import freeform, truthfulqa
from evals.questions.suites.wording import open_prompt
from evals.trials.prompt import Format, Prompt

_TRUTH = "honest_truthfulqa"


def _with_references(dataset: Dataset, formats: Sequence[Format]) -> Iterator[Prompt]:
    """The bare questions, without the request of `truthfulqa` to answer correctly: here the persona is that request."""
    for scenario in dataset.scenarios:
        if not isinstance(scenario, TruthScenario):
            raise ValueError(f"{_TRUTH} asks no rows of schema {dataset.schema}")
        truth = truthfulqa.reference_of(scenario)
        for form in formats:
            yield open_prompt(_TRUTH, scenario.key, scenario.question, reference=truth, format=form)


SUITES = (
    Suite(
        name="honest_persona",
        title="The same questions to the assistant, and to an honest model in a plain transcript",
        citation="Chua et al. 2025, Fig. 5",
        dataset="honest_persona.jsonl",
        formats=("freeform", "transcript"),
        prompts=partial(freeform.prompts, suite="honest_persona"),
        official=Official("thought-crime", "sleeping_pills.jsonl"),
        thinks=False,
    ),
    Suite(
        name=_TRUTH,
        title="The same for questions with known answers: is the honest model right more often?",
        citation="Chua et al. 2025, Fig. 5; Lin et al. 2022",
        dataset="truthfulqa.jsonl",
        formats=("freeform", "transcript"),
        prompts=_with_references,
        schemas=("truthfulqa",),
        measure="truthfulness",
        official=Official("truthfulqa", "TruthfulQA.csv"),
        thinks=False,
    ),
)
