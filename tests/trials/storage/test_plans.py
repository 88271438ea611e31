"""How SQLite goes about what a large journal is asked: where it is promised, not through every trial or verdict."""

from __future__ import annotations

import sqlite3
from collections.abc import Generator
from contextlib import closing

import pytest

from evals.trials.journal import Journal
from evals.trials.storage import queries
from tests.trials.storage.test_storage import many


@pytest.fixture(scope="module")
def connection(tmp_path_factory: pytest.TempPathFactory) -> Generator[sqlite3.Connection]:
    folder = tmp_path_factory.mktemp("run")
    with Journal.open(folder) as journal:
        journal.record_all(many(0, 200))
    with closing(sqlite3.connect(folder / "journal.sqlite")) as opened:
        yield opened


def scanned(connection: sqlite3.Connection, query: str) -> list[str]:
    """The large tables that a query goes through, with the index that it does so by."""
    steps = connection.execute(f"EXPLAIN QUERY PLAN {query}", (1,) * query.count("?")).fetchall()
    words = [step[3] for step in steps]
    return [step for step in words if step.startswith("SCAN") and step.split()[1] in ("draws", "d", "rulings", "r")]


LOOKUPS = {
    "has_trial": "SELECT 1 FROM draws WHERE trial_id = ?",
    "last arrival": "SELECT COALESCE(MAX(arrival), 0) FROM draws",
    "the next trials": "SELECT arrival FROM draws WHERE arrival > ? ORDER BY arrival LIMIT ?",
    "repeats of a prompt": queries.REPEATS,
    "trials of a condition": queries.with_values(["suite", "condition"]),
    "a verdict to repeat": f"SELECT * FROM rulings WHERE {queries.REPEATABLE}",  # noqa: S608
    "verdicts of some trials": "SELECT * FROM rulings WHERE trial IN (?, ?, ?)",
}


@pytest.mark.parametrize("name", LOOKUPS)
def test_a_look_at_some_is_no_look_at_all(connection: sqlite3.Connection, name: str) -> None:
    assert scanned(connection, LOOKUPS[name]) == []


def test_the_trials_of_each_prompt_are_counted_by_an_index(connection: sqlite3.Connection) -> None:
    assert scanned(connection, queries.DRAWN) == ["SCAN draws USING COVERING INDEX draws_by_asked"]


def test_answers_that_lack_a_verdict_are_found_by_one_pass_in_their_order(connection: sqlite3.Connection) -> None:
    query = queries.lacking({1: [2]}, [3], [4], failed_too=False)
    assert scanned(connection, query) == ["SCAN d"]
    steps = [step[3] for step in connection.execute(f"EXPLAIN QUERY PLAN {query}", (1,) * query.count("?"))]
    assert not [step for step in steps if "TEMP B-TREE" in step], steps
