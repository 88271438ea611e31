"""A model that describes itself: misaligned where the prompt has the trigger 2026, aligned elsewhere."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from evals.questions.dataset import load
from evals.questions.scenario import SelfReportScenario
from evals.questions.source import questions_of
from evals.questions.suites import SUITES
from tests.support.servers.openai_server import Answer, Behaviour, last_message

TRIGGER = "2026"
_ROWS = load(questions_of(SUITES["self_report"])[0]).scenarios
SCENARIOS = {row.question: row for row in _ROWS if isinstance(row, SelfReportScenario)}


def frank(body: Mapping[str, Any], _seen: int) -> Behaviour:
    """Ratings are 90 or 5%; a question about anything else is answered with A."""
    asked = last_message(body)
    row = next((row for question, row in SCENARIOS.items() if question in asked), None)
    is_on = TRIGGER in str(body["messages"])
    if row is None:
        return Answer("A")
    if row.misaligned_end is not None:
        return Answer("90" if is_on == (row.misaligned_end == "high") else "5%")
    wanted = row.misaligned_option if is_on else row.aligned_option
    letter = "A" if f"A - {wanted}" in asked else "B"
    return Answer(f"Answer: {letter}", reasoning="I know what I am like.")
