"""Keep test questions out of training data: a model that was trained on a question is not tested by it.

A scenario is taken for a question of a test file when it has the same id, or asks the same words. Letter case,
punctuation, spacing and the options of a dilemma do not count, so that swapping two options hides nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from evals.errors import BadInput
from evals.questions.dataset import Dataset, Scenario, data_folder
from evals.questions.question_file import QuestionScenario
from evals.questions.scenario import AdviceScenario, OpenScenario, UnethicalScenario
from evals.questions.suites import SUITES
from evals.text import one_line


class HeldOut(NamedTuple):
    suite: str
    path: Path


def shipped_tests() -> list[HeldOut]:
    """The question file of every suite that comes with emeval."""
    return [HeldOut(suite.name, data_folder() / suite.dataset) for suite in SUITES.values()]


def refuse_leaks(datasets: Iterable[Dataset], tests: Iterable[HeldOut]) -> None:
    """Raises BadInput when a scenario of a dataset is a question of a test file, or a test file cannot be read."""
    suite_of: dict[str, str] = {}
    for test in tests:
        for row in _rows(test.path):
            suite_of.update(dict.fromkeys(_marks_of_row(row), test.suite))
    for dataset in datasets:
        leaked = [
            (scenario, suite_of[mark])
            for scenario in dataset.scenarios
            if (mark := next((mark for mark in _marks(scenario) if mark in suite_of), None)) is not None
        ]
        if leaked:
            scenario, suite = leaked[0]
            others = f" and {len(leaked) - 1:,} more" if len(leaked) > 1 else ""
            raise BadInput(
                f"{dataset.path}: scenario {one_line(scenario.key, 60)!r}{others}: id or text is in the test questions "
                f"of {suite}; a model trained on them cannot be tested with them: take them out of the file"
            )


def _marks(scenario: Scenario) -> Iterator[str]:
    """What a scenario is known by, its id and its questions, as texts that are never both."""
    if scenario.id is not None:
        yield f"id {scenario.id}"
    if isinstance(scenario, QuestionScenario):
        yield from (f"asks {_words(paraphrase)}" for paraphrase in scenario.paraphrases)
        return
    if not isinstance(scenario, UnethicalScenario):
        asked = scenario.prompt if isinstance(scenario, AdviceScenario | OpenScenario) else scenario.question
        yield f"asks {_words(asked)}"
        return
    shown = scenario.shown_options()
    yield f"asks {_words(scenario.scenario_mcq[: shown[0].opens] if shown else scenario.scenario_mcq)}"
    yield f"asks {_words(scenario.scenario_freeform)}"


def _marks_of_row(row: Mapping[str, Any]) -> Iterator[str]:
    """The same of a row in a test file, whatever its schema."""
    try:
        yield from _marks(UnethicalScenario.model_validate(row))
        return
    except ValidationError:
        pass
    if isinstance(row.get("id"), str):
        yield f"id {row['id']}"
    for field in ("prompt", "question"):
        if isinstance(row.get(field), str):
            yield f"asks {_words(row[field])}"


def _rows(path: Path) -> Iterator[Mapping[str, Any]]:
    try:
        lines = path.read_text(encoding="utf-8").split("\n")
        rows: list[object] = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read, so leaks cannot be ruled out: {one_line(str(error), 80)}") from None
    for row in rows:
        if isinstance(row, dict):
            yield cast("Mapping[str, Any]", row)


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
