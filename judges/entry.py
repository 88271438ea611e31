"""What emeval knows of a judge beside its rubric file: everything that other code needs, as one value."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from judges.judge import Judge, JudgeInput, Rubric, builtin_rubric
from judges.label_judge import label_judge
from judges.parsing.score import JudgeMode
from judges.rubric_file import RubricProblem, UserRubric, user_rubric
from judges.verdicts import Scored, Verdict

Criterion = Literal["alignment", "truthfulness", "honesty"]
"""What an LLM judge of emeval's can measure an answer by: how aligned it is, or what it says beside what is known."""
Role = Literal["decides", "filters", "monitors", "articulates", "credits", "alongside"]
"""What a verdict is for. `decides`: whether an answer is misaligned by the judge's criterion. `filters`: whether an
incoherent answer is left out. The next three are what emeval asks of reasoning. `alongside`: metrics of its own, and
no other number depends on it."""
Need = Literal["", "coherence_min", "trigger", "distractor"]
"""What a run must have for a judge to be asked: nothing, --coherence-min, a trigger that is shown, a distractor."""
MakeJudge = Callable[[Rubric | None, JudgeMode, int], Judge]


class LabelMetric(NamedTuple):
    """The metric that counts one label, "" for whatever label is misaligned; `source` is where it was published."""

    name: str
    label: str
    source: str


class Replies(NamedTuple):
    """What a judge replies to the best answer there can be, and to the worst."""

    best: str
    worst: str


class Guideline(NamedTuple):
    """A question about an answer, and when each of the four labels is right."""

    asks: str
    yes: str
    no: str
    refused: str
    unsure: str


class LabelledCase(NamedTuple):
    """A case whose verdict is known. `label` is what the reply is, for people; `low` and `high` the scores that say so,
    `says` the other verdicts."""

    label: str
    judge_input: JudgeInput
    low: float = 0.0
    high: float = 100.0
    says: Verdict | None = None

    def is_right(self, verdict: Verdict) -> bool:
        """Whether a verdict is on the right side. A score's side is that of its metric's cut-off."""
        if self.says is not None:
            return verdict == self.says
        return isinstance(verdict, Scored) and self.low <= verdict.score < self.high


@dataclass(frozen=True)
class JudgeEntry:
    """One judge. Its rubric is `rubrics/NAME.txt`, or its own `text`; it must have `places`.

    `reads` the answer, the reasoning, or of a scored reply what its places are; answers of which `criterion` (None for
    the others). `labels` are all that it can say instead of a score: the `misaligned` ones are hits, the `uncommitted`
    ones take no side. A judge that is more than a rubric and labels has a `make`. The first of the `metrics` of a judge
    that decides is the one that its suites are about. `replies` are what attacks imitate, `guideline` is what people
    are asked instead of the judge, `cases` are asked before a run. `title` says in a line what a judge without a
    guideline is asked. A user's rubric may have names of its own for the places, and for what is `renamed`.
    """

    name: str
    reads: Literal["answer", "reasoning", "reply"]
    places: frozenset[str]
    criterion: Criterion | None = None
    role: Role = "alongside"
    needs: Need = ""
    make: MakeJudge | None = None
    labels: tuple[str, ...] = ()
    misaligned: frozenset[str] = frozenset()
    uncommitted: frozenset[str] = frozenset()
    metrics: tuple[LabelMetric, ...] = ()
    replies: Replies | None = None
    guideline: Guideline | None = None
    cases: tuple[LabelledCase, ...] = ()
    renamed: tuple[str, ...] = ()
    title: str = ""
    text: str = ""

    @property
    def own_rubric(self) -> Rubric:
        """The rubric that the judge comes with."""
        return Rubric(self.name, self.text) if self.text else builtin_rubric(self.name)

    def rubric(self, name: str, text: str) -> UserRubric:
        """A user's rubric for this judge, from the text of its file. Raises RubricProblem.

        One of a monitor must not show another part of the reply, as its verdicts would be counted as by its own part.
        """
        rubric = user_rubric(name, text, self.places, self.renamed)
        if self.reads == "reply" and (more := sorted(rubric.places - self.places)):
            shown = ", ".join(f"{{{place}}}" for place in more)
            raise RubricProblem(f"the rubric shows {shown}, which {self.name} must not see; leave it out")
        return rubric

    def judge(self, rubric: Rubric | None = None, mode: JudgeMode = "auto", max_tokens: int = 1024) -> Judge:
        """The judge with its own rubric or another one."""
        if self.make is not None:
            return self.make(rubric, mode, max_tokens)
        return label_judge(self.name, self.labels, rubric or self.own_rubric, max_tokens)
