"""Trials are counted as they are stored: by what is the same in many of them, and as if each had been read whole."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import BadInput
from evals.scoring.judge_set import JudgePanel
from evals.scoring.rates.tally import CountedTrial
from evals.scoring.scored_trial import score_trial
from evals.scoring.sorting import Sorts
from evals.trials.journal import Journal
from evals.trials.response import Failure, Response
from tests.trials.storage.generated import Row, runs
from tests.trials.storage.test_storage import JUDGES, many

TRIALS = 60
DAMAGE = [
    "UPDATE rulings SET score = 'high' WHERE trial = 7",
    "UPDATE draws SET trial_id = 12 WHERE arrival = 7",
    "UPDATE draws SET base = 'none' WHERE arrival = 7",
    "DELETE FROM rulings WHERE trial = 60",
    "DELETE FROM draws WHERE arrival = 60",
]
PANELS = [JudgePanel(), JudgePanel(alignment="a" * 32, coherence="b" * 32, monitor="c" * 32, articulation="z")]


@given(runs(), runs(), st.sampled_from(PANELS))
@settings(deadline=None, max_examples=150)
def test_a_stored_trial_is_counted_as_the_whole_of_it_is(
    first: list[Row], second: list[Row], judges: JudgePanel
) -> None:
    known = {trial.id for trial, *_ in first}
    rows = [*first, *(row for row in second if row[0].id not in known)]
    with TemporaryDirectory() as scratch, Journal.open(Path(scratch)) as journal:
        journal.record_all(rows)
        expected = [*journal.trials_in_plan_order()]
        with journal.counting() as trials:
            sorts = Sorts(trials, judges, lambda scored: CountedTrial.of(scored, "judged"))
            without_texts = sorts.each()
            for (stored, known), trial, same in zip(sorts.whole(), expected, without_texts, strict=True):
                result = trial.result
                assert (stored.trial_id, stored.repeat) == (trial.trial_id, trial.repeat)
                assert stored.is_failure == isinstance(result, Failure)
                if isinstance(result, Response):
                    said = (stored.raw, stored.reasoning, stored.answer, stored.refusal, stored.prefill)
                    assert said == (result.raw, result.reasoning, result.answer, result.refusal, result.prefill)
                    assert stored.prompt_tokens == result.prompt_tokens
                    assert stored.completion_tokens == result.completion_tokens
                counted = CountedTrial.of(score_trial(trial, judges), "judged")
                assert repr(known) == repr(counted) == repr(same)  # NaN is no score


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Journal.open(tmp_path) as journal:
        journal.record_all(many(0, TRIALS))
    return tmp_path


def count(folder: Path) -> int:
    """The trials of a large journal, each of them scored."""
    judges = JudgePanel(alignment=JUDGES[0].id, coherence=JUDGES[1].id)
    with Journal.read(folder, large=TRIALS - 1) as journal, journal.counting() as trials:
        return sum(1 for _ in Sorts(trials, judges, lambda scored: CountedTrial.of(scored, "judged")).each())


def test_a_large_journal_is_counted_while_it_is_verified(folder: Path) -> None:
    assert count(folder) == TRIALS


def test_an_index_that_lacks_a_row_is_damage(folder: Path) -> None:
    """SQLite counts the rows of a table by the smallest of its indices."""
    with closing(sqlite3.connect(folder / "journal.sqlite")) as connection, connection:
        definition = "CREATE INDEX draws_by_asked ON draws (asked)"
        partial = f"{definition} WHERE arrival > 1"
        change = "UPDATE sqlite_master SET sql = ? WHERE name = 'draws_by_asked'"
        connection.execute("DROP INDEX draws_by_asked")
        connection.execute(partial)
        connection.execute("PRAGMA writable_schema = ON")
        connection.execute(change, (definition,))
    with pytest.raises(BadInput, match="it is damaged"):
        count(folder)


@pytest.mark.parametrize("damage", DAMAGE)
def test_nothing_comes_of_counting_a_large_journal_that_is_damaged(folder: Path, damage: str) -> None:
    with closing(sqlite3.connect(folder / "journal.sqlite")) as connection, connection:
        connection.execute(damage)
    with pytest.raises(BadInput, match="it is damaged"):
        count(folder)


def test_what_goes_wrong_with_a_whole_journal_is_not_called_damage(folder: Path) -> None:
    with Journal.read(folder, large=1) as journal, pytest.raises(ZeroDivisionError), journal.counting() as trials:
        next(1 // 0 for _ in trials.whole())


def test_a_large_journal_is_verified_where_no_process_can_be_used(
    folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("sys.executable", "/bin/false")
    assert count(folder) == TRIALS
    with closing(sqlite3.connect(folder / "journal.sqlite")) as connection, connection:
        connection.execute(DAMAGE[3])
    with pytest.raises(BadInput, match="it is damaged"):
        count(folder)
