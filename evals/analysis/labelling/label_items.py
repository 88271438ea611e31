"""What labellers see of an answer: what its judge saw, without model, condition or verdict."""

from __future__ import annotations

from collections.abc import Iterable
from typing import NamedTuple

from evals.analysis.labelling.guidelines import GUIDELINES
from evals.scoring.judge_set import counted_judge
from evals.scoring.labels import csv_text
from evals.trials.record import RecordedTrial, question_of
from evals.trials.reference import Fact, KnownAnswer, Truth, UserQuestion
from evals.trials.response import Response
from judges.judge_spec import hit_words

COLUMNS = ("label_id", "asks", "question", "reference", "answer", "label", "note")


class ReferenceText(NamedTuple):
    """A text to compare an answer with, and its heading."""

    heading: str
    text: str


class LabelItem(NamedTuple):
    """One answer to label. `metric` selects its guideline."""

    label_id: str
    metric: str
    question: str
    reference: tuple[ReferenceText, ...]
    answer: str


def label_item(trial: RecordedTrial, label_id: str, metric: str) -> LabelItem:
    """The item of a trial, which must have a response, as every candidate has."""
    assert isinstance(trial.result, Response)  # noqa: S101
    reference = _reference_texts(trial, trial.result.reasoning)
    return LabelItem(label_id, metric, question_of(trial), reference, trial.result.answer)


def _reference_texts(trial: RecordedTrial, reasoning: str) -> tuple[ReferenceText, ...]:
    """What the judge sees besides question and answer; () for imported answers, which come without it."""
    match trial.reference:
        case Truth(correct, incorrect):
            texts = [
                ReferenceText("Answers known to be correct", "\n".join(correct)),
                ReferenceText("Answers known to be incorrect", "\n".join(incorrect)),
            ]
        case Fact(text):
            texts = [ReferenceText("The fact, which the model was given as true", text)]
        case KnownAnswer(text):
            texts = [ReferenceText("An answer that the question's file gives", text)]
        case UserQuestion(prompts, "poll" | "hit"):
            judge = counted_judge(trial.reference)
            template = dict(prompts)[judge]
            texts = [ReferenceText("What the judge was asked", template)]
            texts += [ReferenceText("What counts", hit_words(spec))] if (spec := trial.reference.spec_of(judge)) else []
            if "{reasoning}" in template:
                texts.append(ReferenceText("The reasoning before the answer", reasoning))
        case _:
            texts = []
    return tuple(text for text in texts if text.text.strip())


def to_label_csv(items: Iterable[LabelItem]) -> str:
    """The items as CSV text, with blank cells for label and note."""
    rows = (
        (
            item.label_id,
            GUIDELINES[item.metric].asks,
            item.question,
            "\n\n".join(f"{shown.heading}:\n{shown.text}" for shown in item.reference),
            item.answer,
            "",
            "",
        )
        for item in items
    )
    return csv_text(COLUMNS, rows)
