"""Journals of earlier versions: what they hold is the same after they are migrated, and while they are only read."""

from __future__ import annotations

import sqlite3
from collections.abc import Mapping, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given, settings

from evals.trials.journal import Journal
from evals.trials.storage.verify import problems
from tests.support.journals import old_rows, write_version_4
from tests.trials.storage.generated import Row, recorded, runs
from tests.trials.storage.old_rows import old_rows_of

USAGE = """
SELECT model, COUNT(*), SUM(prompt_tokens IS NULL OR completion_tokens IS NULL), TOTAL(prompt_tokens),
TOTAL(completion_tokens) FROM trials WHERE failure IS NULL GROUP BY model
"""
JUDGE_USAGE = """
SELECT judge_model, COUNT(*), SUM(prompt_tokens IS NULL OR completion_tokens IS NULL), TOTAL(prompt_tokens),
TOTAL(completion_tokens) FROM (
    SELECT judge_model, SUM(prompt_tokens) AS prompt_tokens, SUM(completion_tokens) AS completion_tokens FROM verdicts
    WHERE judge_model <> '' AND (kind <> 'failed' OR prompt_tokens IS NOT NULL) GROUP BY judge_id, request_id
) GROUP BY judge_model
"""
OTHERS = "SELECT judge_model, answered_as, COUNT(*) FROM other_judges GROUP BY 1, 2"
REPORTED = "SELECT model, reported_model, COUNT(*) FROM trials WHERE reported_model != '' GROUP BY 1, 2"


def counted(folder: Path) -> list[list[tuple[Any, ...]]]:
    """What a journal of schema 4 counts."""
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal:
        return [journal.execute(query).fetchall() for query in (USAGE, JUDGE_USAGE, OTHERS, REPORTED)]


def counts_of(journal: Journal) -> list[list[tuple[Any, ...]]]:
    usage = {"sampling": list[tuple[Any, ...]](), "judging": list[tuple[Any, ...]]()}
    for used in journal.usage():
        usage[used.role].append((used.model, used.replies, used.unreported, used.prompt_tokens, used.completion_tokens))
    return [usage["sampling"], usage["judging"], [*journal.other_judges()], [*journal.reported_models()]]


def in_order(rows: Mapping[str, Sequence[Mapping[str, Any]]]) -> dict[str, list[str]]:
    return {
        table: sorted(repr(sorted(row.items())) for row in found if row.get("key") != "schema_version")
        for table, found in rows.items()
    }


@given(runs())
@settings(deadline=None, max_examples=150)
def test_nothing_differs_after_a_migration(run: list[Row]) -> None:
    rows = old_rows_of(run)
    expected = [recorded(row, arrival=3 * place + 1) for place, row in enumerate(run)]
    with TemporaryDirectory() as name:
        folder = Path(name)
        write_version_4(folder, rows)
        before = (folder / "journal.sqlite").read_bytes()
        counts = counted(folder)
        with Journal.read(folder) as journal:
            assert list(journal.trials_in_plan_order()) == expected
            assert counts_of(journal) == counts
        assert (folder / "journal.sqlite").read_bytes() == before
        with Journal.open(folder) as journal:
            assert list(journal.trials_in_plan_order()) == journal.trials_after(0) == expected
            assert [[*trial.rulings] for trial in journal.trials_after(0)] == [[*trial.rulings] for trial in expected]
            assert counts_of(journal) == counts
            assert journal.meta("stopping") == "{}"
        assert in_order(old_rows(folder)) == in_order(rows)
        with closing(sqlite3.connect(folder / "journal.sqlite")) as connection:
            assert list(problems(connection)) == []
        assert {path.name for path in folder.iterdir()} == {"journal.sqlite", ".lock", ".pid"}
