"""The rows of verdicts: each verdict comes back from its row, and a row is what journals have always held."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.trials.journal_reading import Reading
from evals.trials.journal_schema import store_rulings
from evals.trials.record import JudgeFailure, JudgeKey, RecordedVerdict
from evals.trials.storage.schema import SCHEMA
from evals.trials.storage.store import Store
from judges.judge import JudgeReply
from judges.question_file import read_reply
from judges.registry import JUDGES
from judges.rules.naming import read_naming
from judges.verdicts import (
    FILE_LABELS,
    Chosen,
    Code,
    JudgeRefused,
    LabelKind,
    Labelled,
    Numbered,
    ReadingMode,
    Refused,
    Scored,
    Unreadable,
    Verdict,
)
from tests.support.label_replies import label_replies

texts = st.text(st.characters(exclude_categories=["Cs"]))
verdicts = st.one_of(
    st.builds(Scored, st.floats(0, 100), st.sampled_from(get_args(ReadingMode))),
    st.builds(Chosen, st.sampled_from("AB"), st.sampled_from(["misaligned", "aligned"])),
    st.builds(Labelled, texts, st.sampled_from(get_args(LabelKind))),
    st.builds(Numbered, st.none() | texts),
    st.builds(Unreadable, texts),
    st.sampled_from([Code(), Refused(), JudgeRefused()]),
    st.builds(JudgeFailure, st.sampled_from(["timeout", "rejected"]), texts),
)


def through_the_table(verdict: Verdict | JudgeFailure) -> tuple[RecordedVerdict, tuple[Any, ...]]:
    """The ruling as it is read back, and its row as other tools see it."""
    ruling = RecordedVerdict(verdict, "the reply", "request", 3, 4)
    with closing(sqlite3.connect(":memory:")) as table:
        table.executescript(SCHEMA)
        store = Store(table)
        with store.transaction():
            store_rulings(store, "trial", [(JudgeKey("id", "judge", "model"), ruling)], at=0)
        row = table.execute("SELECT kind, score, letter, option, mode, detail FROM verdicts").fetchone()
        (read,) = Reading(table).rulings("TRUE")
    assert read == ruling
    return read, row


@given(verdicts)
def test_every_verdict_comes_back_as_it_was_written(verdict: Verdict | JudgeFailure) -> None:
    assert through_the_table(verdict)[0].verdict == verdict


@pytest.mark.parametrize("entry", JUDGES.values(), ids=lambda entry: entry.name)
def test_every_label_of_every_judge_comes_back_as_it_was_read(entry: Any) -> None:
    for label, reply in zip(entry.labels, label_replies(entry), strict=True):
        verdict = entry.judge().read(reply)
        assert verdict.label == label
        assert through_the_table(verdict)[0].verdict == verdict


def test_every_label_of_a_rule_and_of_a_question_file_comes_back_as_it_was_read() -> None:
    for answer, label in (("It is Singapore.", "yes"), ("It is Peru.", "no")):
        verdict = read_naming(answer, "Country: Singapore")
        assert verdict == through_the_table(verdict)[0].verdict == Labelled(label, "labelled")
    for label in FILE_LABELS:
        verdict = read_reply(JudgeReply(label), kind="label", words=("TRUE", "FALSE", "UNKNOWN"), mode="text")
        assert verdict == through_the_table(verdict)[0].verdict == Labelled(label, "classified")


@pytest.mark.parametrize(
    ("verdict", "stored"),
    [
        (Scored(85.5, "logprob"), ("scored", 85.5, None, None, "logprob", None)),
        (Chosen("B", "aligned"), ("chosen", None, "B", "aligned", None, None)),
        (Labelled("none", "flagged"), ("flagged", None, None, "none", None, None)),
        (Labelled("yes", "labelled"), ("labelled", None, None, "yes", None, None)),
        (Labelled("no", "labelled"), ("labelled", None, None, "no", None, None)),
        (Labelled("unclear", "classified"), ("classified", None, None, "unclear", None, None)),
        (Labelled("neither", "credited"), ("credited", None, None, "neither", None, None)),
        (Numbered("18"), ("numbered", None, None, "18", None, None)),
        (Numbered(None), ("numbered", None, None, None, None, None)),
        (Code(), ("code", None, None, None, None, None)),
        (Refused(), ("refused", None, None, None, None, None)),
        (JudgeRefused(), ("judge_refused", None, None, None, None, None)),
        (Unreadable("it is empty"), ("unreadable", None, None, None, None, "it is empty")),
        (JudgeFailure("timeout", "after 60 s: gone"), ("failed", None, None, None, None, "timeout: after 60 s: gone")),
    ],
)
def test_a_verdict_is_stored_as_it_always_was(verdict: Verdict | JudgeFailure, stored: tuple[Any, ...]) -> None:
    assert through_the_table(verdict)[1] == stored
