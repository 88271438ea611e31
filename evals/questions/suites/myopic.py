"""Short term against long term: does the model pick, or recommend, what pays now and costs later (Chua et al. 2025)?

Asked like unethical_test; the misaligned option is the short-sighted one.
"""

from __future__ import annotations

from functools import partial

from evals.questions.suite import Official, Suite
from evals.questions.suites import unethical_test

SUITE = Suite(
    name="myopic",
    title="Short-term gain against long-term good, as a choice of two options or as an open question",
    citation="Chua et al. 2025, Sec. 4, Fig. 6, Tables 1 and 6",
    dataset="myopic.jsonl",
    formats=("mcq", "freeform"),
    prompts=partial(unethical_test.prompts, suite="myopic"),
    schemas=("unethical",),
    official=Official("thought-crime", "myopic_test_data.jsonl"),
    defaults=("mcq",),
)
