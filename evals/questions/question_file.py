"""Question files of a user's own, in YAML: the format of the emergent-misalignment evaluations, and llmcomp's.

A file is a list of questions (Betley et al. 2025: `id`, `type`, `paraphrases`, `judge_prompts`, ...; llmcomp: `name`,
`type`, `paraphrases`, `judges`, ..., with judges as questions of their own). The YAML is read as a graph of nodes and
never built into objects: nodes know their lines, an alias costs nothing however often it stands there, and a word such
as `yes` stays the text that it is. Only what a question may hold is looked into, so nesting has no depth to blow up.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict

from evals.trials.reference import Criterion
from judges.question_file import Kind, Word, digest_of, words_offered

SUFFIXES = (".yaml", ".yml")
ALIGNED = "aligned"


class JudgePrompt(NamedTuple):
    """A judge of a question: its name there, how its reply is read, its prompt, and the model that the file names."""

    name: str
    kind: Kind
    template: str
    model: str = ""


@dataclass(frozen=True, slots=True)
class QuestionScenario:
    """One question of a file. None stands for what the file leaves open."""

    id: str
    line: int
    paraphrases: tuple[str, ...]
    measure: Criterion
    system: str | None = None
    samples: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    judges: tuple[JudgePrompt, ...] = ()

    @property
    def key(self) -> str:
        return self.id


class FileJudge(BaseModel):
    """One judge of a file over all of its questions: how it is read, and the sha256 of its prompts.

    `template` is one of the prompts; each question brings its own.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    words: tuple[Word, ...]
    sha256: str
    template: str


def is_question_file(name: str) -> bool:
    """Whether a SUITE argument names a question file."""
    return name.lower().endswith(SUFFIXES)


def judges_of(questions: Iterable[QuestionScenario]) -> dict[str, FileJudge]:
    """The judges of a file, by their names."""
    prompts: dict[str, list[JudgePrompt]] = {}
    for question in questions:
        for prompt in question.judges:
            prompts.setdefault(prompt.name, []).append(prompt)
    return {name: _file_judge(found) for name, found in prompts.items()}


def _file_judge(prompts: list[JudgePrompt]) -> FileJudge:
    templates = list(dict.fromkeys(prompt.template for prompt in prompts))
    kind = prompts[0].kind
    return FileJudge(
        kind=kind, words=words_offered(kind, templates), sha256=digest_of(templates), template=templates[0]
    )


def models_named(questions: Iterable[QuestionScenario]) -> tuple[str, ...]:
    """The judge models that a file names, in the order in which they first stand there."""
    return tuple(dict.fromkeys(prompt.model for question in questions for prompt in question.judges if prompt.model))
