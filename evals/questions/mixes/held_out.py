"""Keep test questions out of training data: a question cannot test a model trained on it.

A scenario is a test question if it has the same id or the same words as one. Case, punctuation, spacing and the options
of a dilemma are ignored, so that swapping two options hides nothing.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple, cast

from pydantic import ValidationError

from evals.errors import BadInput
from evals.io.paths import MOST_DATA, read_file
from evals.questions.chats import ChatScenario
from evals.questions.dataset import Dataset, Row, Scenario, data_folder
from evals.questions.question_file import QuestionScenario
from evals.questions.scenario import AdviceScenario, OpenScenario, UnethicalScenario
from evals.questions.suites import SUITES
from evals.text import one_line


class HeldOut(NamedTuple):
    """A test file and its suite."""

    suite: str
    path: Path


def shipped_tests() -> list[HeldOut]:
    """The question file of every suite that comes with emeval."""
    return [HeldOut(suite.name, data_folder() / suite.dataset) for suite in SUITES.values()]


def refuse_leaks(datasets: Iterable[Dataset], tests: Iterable[HeldOut]) -> None:
    """Raise BadInput if a scenario of a dataset is a test question, or if a test file cannot be read."""
    suites: dict[str, str] = {}
    for test in tests:
        for row in _rows(test.path):
            suites.update(dict.fromkeys(_row_fingerprints(row), test.suite))
    for dataset in datasets:
        leaked = [
            (scenario, suites[fingerprint])
            for scenario in dataset.scenarios
            if (
                fingerprint := next(
                    (fingerprint for fingerprint in _fingerprints(scenario) if fingerprint in suites), None
                )
            )
            is not None
        ]
        if leaked:
            scenario, suite = leaked[0]
            others = f" and {len(leaked) - 1:,} more" if len(leaked) > 1 else ""
            raise BadInput(
                f"{dataset.path}: scenario {one_line(scenario.key, 60)!r}{others}: id or text is in the test questions "
                f"of {suite}; a model trained on them cannot be tested with them: take them out of the file"
            )


def _fingerprints(scenario: Scenario) -> Iterator[str]:
    """The fingerprints of a scenario: its id and its questions, with distinct prefixes."""
    if scenario.id is not None:
        yield f"id {scenario.id}"
    if isinstance(scenario, QuestionScenario):
        yield from (f"asks {_words(paraphrase)}" for paraphrase in scenario.paraphrases)
        return
    if isinstance(scenario, UnethicalScenario):
        shown = scenario.shown_options()
        yield f"asks {_words(scenario.scenario_mcq[: shown[0].opens] if shown else scenario.scenario_mcq)}"
    yield f"asks {_words(_question(scenario))}"


def _question(scenario: Row) -> str:
    """The open question that a row asks."""
    match scenario:
        case AdviceScenario() | OpenScenario():
            return scenario.prompt
        case ChatScenario():
            return scenario.messages[-1].content
        case UnethicalScenario():
            return scenario.scenario_freeform
        case _:
            return scenario.question


def _row_fingerprints(row: Mapping[str, Any]) -> Iterator[str]:
    """The fingerprints of a row in a test file, of any schema."""
    try:
        yield from _fingerprints(UnethicalScenario.model_validate(row))
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
        lines = read_file(path, MOST_DATA).decode().split("\n")
        rows: list[object] = [json.loads(line) for line in lines if line.strip()]
    except (OSError, ValueError) as error:
        raise BadInput(f"{path}: cannot be read, so leaks cannot be ruled out: {one_line(str(error), 80)}") from None
    for row in rows:
        if isinstance(row, dict):
            yield cast("Mapping[str, Any]", row)


def _words(text: str) -> str:
    return " ".join(re.findall(r"\w+", text.casefold()))
