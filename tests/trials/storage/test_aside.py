"""A large journal is verified and added up beside its run: exactly, from one state of it, and damage ends the run."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import BadInput
from evals.trials.journal import Journal
from evals.trials.record import Usage
from evals.trials.storage.checking import Aside
from tests.trials.storage.generated import Row, runs
from tests.trials.storage.test_storage import many

TRIALS = 40


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    with Journal.open(tmp_path) as journal:
        journal.record_all(many(0, TRIALS))
    return tmp_path


def changed(folder: Path, statement: str) -> None:
    """Change the journal in `folder` as another program would."""
    with closing(sqlite3.connect(folder / "journal.sqlite")) as connection, connection:
        connection.execute(statement)


def record(journal: Journal, rows: list[Row]) -> None:
    async def all_of_them() -> None:
        for trial, result, rulings in rows:
            await journal.record_trial(trial, result, rulings)

    asyncio.run(all_of_them())


@pytest.mark.parametrize(
    "damage",
    [
        "UPDATE rulings SET score = 3 WHERE trial = 7",
        "UPDATE draws SET prompt_tokens = 10 WHERE arrival = 7",
        "DELETE FROM rulings WHERE trial = 7",
        "DELETE FROM draws WHERE arrival = 40",
    ],
)
def test_damage_of_a_large_journal_ends_its_run_and_is_never_counted(folder: Path, damage: str) -> None:
    changed(folder, damage)
    with pytest.raises(BadInput, match="it is damaged"), Journal.open(folder):
        pass
    with Journal.open(folder, large=TRIALS - 1) as journal:
        with pytest.raises(BadInput, match="it is damaged"):
            list(journal.trials_in_plan_order())
        with pytest.raises(BadInput, match="it is damaged"):
            record(journal, many(TRIALS, TRIALS + 1))


def test_damage_in_a_small_table_is_found_before_a_large_journal_is_used(folder: Path) -> None:
    changed(folder, "UPDATE texts SET text = 'another' WHERE id = 1")
    with pytest.raises(BadInput, match="it is damaged"), Journal.open(folder, large=1):
        pass


def test_what_is_recorded_meanwhile_is_no_damage(folder: Path) -> None:
    with Journal.open(folder, large=1) as journal:
        record(journal, many(TRIALS, TRIALS + 20))
        journal.set_meta("note", "written meanwhile")
        assert len(list(journal.trials_in_plan_order())) == TRIALS + 20


@settings(max_examples=40, deadline=None)
@given(runs(), st.data())
def test_what_is_added_up_aside_is_what_was_committed_then(rows: list[Row], data: st.DataObject) -> None:
    first = data.draw(st.integers(0, len(rows)))
    with TemporaryDirectory() as scratch, Journal.open(Path(scratch)) as journal:
        journal.record_all(rows[:first])
        expected = journal.usage(), journal.failed(), journal.recorded()
        may_read = threading.Event()

        def read(then: Journal) -> tuple[list[Usage], int, int]:
            may_read.wait(30)
            return then.usage(), then.failed(), then.recorded()

        found = journal.aside(read)
        journal.record_all(rows[first:])
        may_read.set()
        assert found.result(30) == expected


def test_closing_ends_what_is_read_aside(folder: Path) -> None:
    endless = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT COUNT(*) FROM n"
    begun, may_go_on = threading.Event(), threading.Event()

    def read(connection: sqlite3.Connection) -> None:
        begun.set()
        may_go_on.wait(30)  # also between two statements
        connection.execute(endless).fetchone()

    aside = Aside(folder / "journal.sqlite", read)
    assert begun.wait(30)
    threading.Timer(0.05, may_go_on.set).start()
    aside.stop()
    with pytest.raises(sqlite3.OperationalError, match="interrupted"):
        aside.found.result()
