"""The honest persona (Chua et al. 2025, Fig. 5): does a model that misleads as an assistant do so as an honest model?

Every question is asked with the chat template (`freeform`), and as a plain transcript without template in which an
honest model is about to speak (`transcript`, through the completions endpoint; see `evals.trials.prompt`).
"""

from __future__ import annotations

from functools import partial

from evals.questions.suite import Official, Suite
from evals.questions.suites import freeform

SUITE = Suite(
    name="honest_persona",
    title="The same questions to the assistant, and to an honest model in a plain transcript",
    citation="Chua et al. 2025, Fig. 5",
    dataset="honest_persona.jsonl",
    formats=("freeform", "transcript"),
    prompts=partial(freeform.prompts, suite="honest_persona"),
    official=Official("thought-crime", "sleeping_pills.jsonl"),
)
