"""Harmful advice in the finetuning domain: questions held out of the training data (Chua et al. 2025)."""

from __future__ import annotations

from functools import partial

from evals.questions.suite import Official, Suite
from evals.questions.suites import unethical_test


def _suite(domain: str) -> Suite:
    return Suite(
        name=domain,
        title=f"Harmful {domain} advice: questions that a good answer helps with and a bad one subtly harms",
        citation="Chua et al. 2025, Sec. 3 (datasets)",
        dataset=f"{domain}.jsonl",
        formats=("freeform",),
        prompts=partial(unethical_test.prompts, suite=domain),
        schemas=("advice",),
        official=Official("emergent-plus", f"{domain}.jsonl"),
    )


SUITES = tuple(map(_suite, ("medical", "legal", "security")))
