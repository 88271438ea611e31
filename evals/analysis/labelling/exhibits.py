"""What a person is shown of an answer: as much as its judge was, and nothing of model, condition or verdict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from evals.analysis.labelling.guidelines import GUIDELINES
from evals.scoring.judge_set import counted_judge
from evals.scoring.labels import csv_text
from evals.text import spreadsheet_safe
from evals.trials.record import RecordedTrial, question_of
from evals.trials.reference import Fact, Truth, UserQuestion
from evals.trials.response import Response

COLUMNS = ("label_id", "asks", "question", "reference", "answer", "label", "note")


class ReferenceText(NamedTuple):
    """A text to compare an answer with, under its heading."""

    heading: str
    text: str


class LabelExhibit(NamedTuple):
    """One answer to label. `metric` says which guideline goes with it."""

    label_id: str
    metric: str
    question: str
    reference: tuple[ReferenceText, ...]
    answer: str


def exhibit_of(trial: RecordedTrial, label_id: str, metric: str) -> LabelExhibit:
    """`trial` must have a response, as every answer that can be drawn has."""
    assert isinstance(trial.result, Response)  # noqa: S101
    reference = _compared_with(trial, trial.result.reasoning)
    return LabelExhibit(label_id, metric, question_of(trial), reference, trial.result.answer)


def _compared_with(trial: RecordedTrial, thought: str) -> tuple[ReferenceText, ...]:
    """What a judge is shown besides question and answer. Imported answers came without, and then there is nothing."""
    match trial.reference:
        case Truth(correct, incorrect):
            shown = [
                ReferenceText("Answers known to be correct", "\n".join(correct)),
                ReferenceText("Answers known to be incorrect", "\n".join(incorrect)),
            ]
        case Fact(text):
            shown = [ReferenceText("The fact, which the model was given as true", text)]
        case UserQuestion(prompts, "poll"):
            template = dict(prompts)[counted_judge(trial.reference)]
            shown = [ReferenceText("What the judge was asked", template)]
            if "{reasoning}" in template:
                shown.append(ReferenceText("The reasoning before the answer", thought))
        case _:
            shown = []
    return tuple(one for one in shown if one.text.strip())


def to_label_csv(exhibits: Iterable[LabelExhibit]) -> str:
    """The exhibits as a table with blank cells for label and note."""
    rows = (
        (
            exhibit.label_id,
            GUIDELINES[exhibit.metric].asks,
            exhibit.question,
            "\n\n".join(f"{shown.heading}:\n{shown.text}" for shown in exhibit.reference),
            exhibit.answer,
            "",
            "",
        )
        for exhibit in exhibits
    )
    return csv_text(COLUMNS, (tuple(map(spreadsheet_safe, row)) for row in rows))
