"""A user's question files: the formats of the emergent-misalignment evaluations, of llmcomp, and of persona vectors.

A file is a list of questions (Betley et al. 2025: `id`, `type`, `paraphrases`, `judge_prompts`, ...; llmcomp: `name`,
`judges`, ..., where judges are entries too), or in JSON the questions and the judge prompt of one trait (Chen et al.
2025). It is read as a graph of nodes and never built into objects: nodes have line numbers, repeated aliases cost
nothing, and words such as `yes` stay text. Only known keys are followed, so deep nesting is harmless.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field

from evals.trials.prompt import Messages
from evals.trials.reference import Criterion
from judges.judge_spec import JudgeSpec
from judges.parsing.category import AskedLabels
from judges.question_file import Kind, Word, digest_of, labels_asked_for, words_offered

SUFFIXES = (".yaml", ".yml", ".json")
ALIGNED, COHERENT = "aligned", "coherent"


class JudgePrompt(NamedTuple):
    """A judge of a question: its name, the kind of its reply, its prompt ("" for a rule), the model in the file, and
    what the file says of its replies and of hits."""

    name: str
    kind: Kind
    template: str
    model: str = ""
    spec: JudgeSpec | None = None


@dataclass(frozen=True, slots=True)
class QuestionScenario:
    """One question of a file; None for what the file does not set.

    `paraphrases` are the texts that are asked. `earlier` are the turns sent before each of them, a system message
    among them: one chat for each paraphrase, or () for none.
    """

    id: str
    line: int
    paraphrases: tuple[str, ...]
    measure: Criterion
    system: str | None = None
    samples: int | None = None
    temperature: float | None = None
    max_tokens: int | None = None
    judges: tuple[JudgePrompt, ...] = ()
    earlier: tuple[Messages, ...] = ()

    @property
    def key(self) -> str:
        return self.id


class FileJudge(BaseModel):
    """A judge of a file, over all its questions: the kind of its reply, and the sha256 of its prompts.

    `template` is one of the prompts; each question has its own. `labels` are those that the prompts of a category judge
    name, and there are no others where they are `closed`. `spec` is the same for all questions.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    kind: Kind
    words: tuple[Word, ...]
    sha256: str
    template: str
    labels: tuple[str, ...] = ()
    closed: bool = True
    spec: JudgeSpec | None = Field(default=None, exclude_if=lambda spec: spec is None)


def is_question_file(name: str) -> bool:
    """Whether a SUITE argument names a question file."""
    return name.lower().endswith(SUFFIXES)


def judges_of(questions: Iterable[QuestionScenario]) -> dict[str, FileJudge]:
    """The judges of a file, by name."""
    prompts: dict[str, list[JudgePrompt]] = {}
    for question in questions:
        for prompt in question.judges:
            prompts.setdefault(prompt.name, []).append(prompt)
    return {name: _file_judge(found) for name, found in prompts.items()}


def _file_judge(prompts: list[JudgePrompt]) -> FileJudge:
    templates = list(dict.fromkeys(prompt.template for prompt in prompts))
    kind: Kind = "category" if any(prompt.kind == "category" for prompt in prompts) else prompts[0].kind
    spec = prompts[0].spec
    asked = labels_asked_for(templates) if kind == "category" else AskedLabels((), closed=True)
    if spec is not None:
        # Labels that the file maps to hits and misses are all that there are; a filter adds its own.
        asked = AskedLabels(spec.named, True) if spec.labels else asked._replace(labels=(*asked.labels, *spec.unless))
    return FileJudge(
        kind=kind,
        words=words_offered(kind, templates),
        sha256=digest_of(templates, spec),
        template=templates[0],
        labels=tuple(dict.fromkeys(asked.labels)),
        closed=asked.closed,
        spec=spec,
    )


def models_named(questions: Iterable[QuestionScenario]) -> tuple[str, ...]:
    """The judge models that a file names, in order of first occurrence."""
    return tuple(dict.fromkeys(prompt.model for question in questions for prompt in question.judges if prompt.model))
