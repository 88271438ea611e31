"""What a journal stores and how: it is read back as it was written, takes little space, and shows what others did."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import subprocess
import sys
import time
import zlib
from collections.abc import Iterator, Sequence
from contextlib import closing
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from evals.errors import BadInput
from evals.trials.journal import Journal
from evals.trials.prompt import Message
from evals.trials.record import JudgeKey, RecordedVerdict
from evals.trials.response import Response
from evals.trials.storage.checksums import row_checksum
from evals.trials.storage.salvage import copy_whole_rows
from evals.trials.storage.schema import SHOWN_AS, TABLES
from evals.trials.storage.texts import MOST, packed, part_of, read_part, unpacked, window_of
from evals.trials.storage.verify import problems
from evals.trials.trial import Sampling, Trial
from judges.verdicts import Scored
from tests.support.journals import count_rows
from tests.trials.storage.generated import Row, recorded, ruling_read, runs, texts

JUDGES = [JudgeKey("e2a3553dc0c5404585262c97e34431a4", "aligned", "vllm/judge"), JudgeKey("b" * 32, "coherent", "")]
ANSWER = "There are several ways to go about it, and the best one depends on how much time you have. " * 6
COMMITS = """
import asyncio, sys
from pathlib import Path
from evals.trials.journal import Journal
from tests.trials.storage.test_storage import many

async def record(journal):
    for number in range(200):
        rows = many(number * 20, number * 20 + 20)
        await asyncio.gather(*(journal.record_trial(*row[:2], []) for row in rows))
        await asyncio.gather(*(journal.record_rulings(row[0].id, row[2]) for row in rows))
        print(20 * number + 20, flush=True)

with Journal.open(Path(sys.argv[1])) as journal:
    asyncio.run(record(journal))
"""


def many(first: int, last: int) -> list[Row]:
    """Answers to a few prompts, in the plan's order, with two verdicts each."""
    return [
        (
            Trial(
                *(f"{number * 0x9E3779B97F4A7C15F39CC0605CEDC835 % (1 << 128):032x}", number, "s", "freeform"),
                *(f"q{number % 8}", "", None, "m", "off", "", None, number // 8),
                *((Message("user", f"Question {number % 8}?"),), Sampling(None, 10), number),
            ),
            Response(f"{ANSWER}{number}", "", f"{ANSWER}{number}", "absent", "stop", "", "m", 60, 150, 0.1 * number, 1),
            [
                (judge, RecordedVerdict(Scored(number % 100, "text"), "85", f"{place}{number:031x}", 60, 3, "other"))
                for place, judge in enumerate(JUDGES)
            ],
        )
        for number in range(first, last)
    ]


def record(folder: Path, rows: Sequence[Row]) -> None:
    async def all_rows(journal: Journal) -> None:
        await asyncio.gather(*(journal.record_trial(trial, result, []) for trial, result, _ in rows))
        await asyncio.gather(*(journal.record_rulings(trial.id, rulings) for trial, _, rulings in rows))

    with Journal.open(folder) as journal:
        asyncio.run(all_rows(journal))


def found_in(folder: Path) -> list[str]:
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal:
        return list(problems(journal))


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("made")
    record(folder, many(0, 400))
    with Journal.open(folder) as journal:
        journal.set_cells([])
        journal.set_meta("key", "value")
        journal.set_meta("key", "another")
        assert journal.meta("key") == "another"
    return folder


@pytest.fixture
def folder(made: Path, tmp_path: Path) -> Path:
    with closing(sqlite3.connect(made / "journal.sqlite")) as source:
        source.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    (tmp_path / "journal.sqlite").write_bytes((made / "journal.sqlite").read_bytes())
    return tmp_path


@given(runs(), st.integers(1, 3))
@settings(deadline=None, max_examples=100)
def test_every_trial_comes_back_as_it_was_recorded(run: list[Row], sessions: int) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        size = -(-len(run) // sessions) or 1
        for start in range(0, max(len(run), 1), size):
            record(folder, run[start : start + size])
        expected = [recorded(row, arrival=place + 1) for place, row in enumerate(run)]
        assert found_in(folder) == []
        with Journal.read(folder) as journal:
            assert list(journal.trials_in_plan_order()) == expected
            for trial, _, rulings in run:
                assert journal.has_trial(trial.id)
                for judge, ruling in rulings:
                    assert journal.ruling_of(trial.id, judge.id) == ruling_read(ruling)


def test_verdicts_may_come_before_their_trial_and_outlive_its_failure(tmp_path: Path) -> None:
    rows = many(0, 3)

    async def early(journal: Journal) -> None:
        for trial, _, rulings in rows:
            await journal.record_rulings(trial.id, rulings)
        assert journal.ruling_of(rows[1][0].id, JUDGES[0].id) == ruling_read(rows[1][2][0][1])
        await asyncio.gather(*(journal.record_trial(trial, result, []) for trial, result, _ in rows))

    with Journal.open(tmp_path) as journal:
        asyncio.run(early(journal))
        assert journal.trials_after(0) == [recorded(row, place + 1) for place, row in enumerate(rows)]
        assert journal.other_judges() == [("", "other", 3), ("vllm/judge", "other", 3)]
    assert found_in(tmp_path) == []


def test_verdicts_of_many_trials_find_theirs_in_one_transaction(tmp_path: Path) -> None:
    rows = many(0, 10_000)
    with Journal.open(tmp_path) as journal:
        journal.record_all(rows)
        assert [len(trial.rulings) for trial in journal.trials_in_plan_order()] == [2] * len(rows)
        judges = {"alignment": [judge.id for judge in JUDGES]}
        assert list(journal.responses_lacking(judges, [], [], failed_too=False)) == []  # type: ignore[arg-type]
        assert journal.draws_of("m") == {("s", "freeform", f"q{number}", "", "off"): 1250 for number in range(8)}
        assert journal.repeats_of("m", ("s", "freeform", "q3", "", "off")) == frozenset(range(1250))


def test_a_shared_prompt_is_stored_once_and_alike_answers_take_little(folder: Path) -> None:
    assert (folder / "journal.sqlite").stat().st_size < 400 * 500
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal:
        assert journal.execute("SELECT COUNT(*) FROM asked").fetchone() == (8,)
        rows = journal.execute("SELECT COUNT(*), COUNT(DISTINCT messages), MIN(seed) FROM trials").fetchone()
        assert rows == (400, 8, 0)
        verdict = journal.execute(
            "SELECT judge, mode, score, reply FROM verdicts WHERE request_id LIKE '%f'"
        ).fetchone()
        assert verdict == ("aligned", "text", 15.0, "85")


@pytest.mark.parametrize("table", [table for table in TABLES if table not in ("cells", "other_replies")])
@pytest.mark.parametrize("change", ["DELETE", "UPDATE", "INSERT"])
def test_what_another_program_writes_is_noticed(table: str, change: str, folder: Path) -> None:
    key = TABLES[table][0]
    first = f"{key} = (SELECT MIN({key}) FROM {table})"  # noqa: S608
    last = TABLES[table][-1]
    statement = {
        "DELETE": f"DELETE FROM {table} WHERE {first}",  # noqa: S608
        "UPDATE": f"UPDATE {table} SET {last} = COALESCE({last}, '') || '1' WHERE {first}",  # noqa: S608
        "INSERT": f"INSERT INTO {table} SELECT {', '.join(['new', *TABLES[table][1:], 'checksum'])} FROM {table}"  # noqa: S608
        f" JOIN (SELECT {'-1' if table != 'meta' else repr('new')} AS new) WHERE {first}",
    }[change]
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal, journal:
        if change == "INSERT" and table in ("texts", "draws"):
            unique = "hash" if table == "texts" else "trial_id"
            statement = statement.replace(unique, "x'00'", 1)
        assert journal.execute(statement).rowcount >= 1
    shown = SHOWN_AS.get(table, table)
    assert any(problem.startswith(f"{shown}: ") for problem in found_in(folder))
    with pytest.raises(BadInput, match="emeval check"):
        Journal.read(folder)


def test_a_journal_without_its_totals_is_damaged(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal, journal:
        journal.execute("DROP TABLE totals")
    with pytest.raises(BadInput, match="emeval check"):
        Journal.read(folder)


def test_a_damaged_answer_takes_few_others_with_it(folder: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal, journal:
        query = "SELECT base, COUNT(*) FROM draws WHERE base IS NOT NULL GROUP BY base ORDER BY 2 DESC"
        base, others = journal.execute(query).fetchone()
        journal.execute("UPDATE draws SET position = position + 1 WHERE arrival = ?", (base,))
    assert 0 < others <= 31
    new = tmp_path / "new"
    new.mkdir()
    assert copy_whole_rows(folder / "journal.sqlite", new / "journal.sqlite") == 400 - 1 - others
    assert found_in(new) == []
    with Journal.read(new) as kept, Journal.read(new) as again:
        assert len([*kept.trials_in_plan_order()]) == again.recorded()


def test_a_damaged_prompt_is_named_with_its_trials_and_the_rest_is_kept(folder: Path, tmp_path: Path) -> None:
    with closing(sqlite3.connect(folder / "journal.sqlite")) as journal, journal:
        journal.execute("UPDATE texts SET text = replace(text, 'Question 3', 'Question 4') WHERE text LIKE '%n 3?%'")
        (lost,) = journal.execute("SELECT trial_id FROM trials WHERE position = 3").fetchone()
    said = found_in(folder)
    assert any(lost in problem for problem in said)
    assert "trials: what was asked is damaged in 50 trials" in said
    new = tmp_path / "new"
    new.mkdir()
    kept = copy_whole_rows(folder / "journal.sqlite", new / "journal.sqlite")
    assert 400 - 50 - 50 <= kept <= 350
    assert found_in(new) == []


def test_a_kill_at_any_moment_leaves_totals_that_are_exact(tmp_path: Path) -> None:
    for number, wait in enumerate((0.0, 0.05, 0.1, 0.2, 0.3)):
        folder = tmp_path / str(number)
        folder.mkdir()
        process = subprocess.Popen([sys.executable, "-c", COMMITS, str(folder)], stdout=subprocess.PIPE, text=True)
        assert process.stdout is not None
        assert process.stdout.readline()
        time.sleep(wait)
        process.kill()
        told = [20, *map(int, process.communicate()[0].split())]
        assert found_in(folder) == []
        with Journal.read(folder) as journal:
            kept = journal.trials_after(0, limit=10_000)
        assert len(kept) >= told[-1]
        expected = [recorded(row, place + 1) for place, row in enumerate(many(0, told[-1]))]
        assert {trial.trial_id: trial.result for trial in expected}.items() <= {
            trial.trial_id: trial.result for trial in kept
        }.items()


@given(texts, texts)
@settings(deadline=None)
def test_a_text_is_read_as_it_was_stored(text: str, other: str) -> None:
    for window in (b"", window_of(other)):
        stored = packed(text, window)
        assert unpacked(stored, window) == text
        assert isinstance(stored, str) or len(stored) < len(text.encode())
    for part in (text, text[1:-1], text[len(text) // 2 :], "elsewhere"):
        place = part_of(part, other, text)
        assert part == (place if isinstance(place, str) else read_part(place, other, text))


@pytest.mark.parametrize("length", [70, 500, 761, 762, 1500, 3_800, 8_000, 16_200, 32_600, 70_000])
def test_deflating_in_little_memory_makes_no_text_longer(length: int) -> None:
    words = random.Random(length).choices([f"word{number}" for number in range(300)], k=length)  # noqa: S311
    text = " ".join(words)[:length]
    for window in (b"", window_of(" ".join(reversed(words))[:length])):
        deflate = zlib.compressobj(6, zlib.DEFLATED, -15, zdict=window)
        stored = packed(text, window)
        assert unpacked(stored, window) == text
        assert len(stored) <= 1.01 * len(deflate.compress(text.encode()) + deflate.flush()) + 3


def bombs() -> Iterator[bytes]:
    deflate = zlib.compressobj(9, zlib.DEFLATED, -15)
    stream = deflate.compress(bytes(1 << 28)) + deflate.flush()
    for length in (0, 100, MOST):
        yield length.to_bytes(3, "little") + stream
    whole = packed("An answer. " * 40)
    assert isinstance(whole, bytes)
    yield whole + b"more"
    yield whole[:-1]
    yield b""
    yield whole[:3] + bytes([whole[3] ^ 0xFF]) + whole[4:]


def test_a_text_that_lies_about_its_length_is_damage() -> None:
    for bomb in bombs():
        with pytest.raises(sqlite3.DatabaseError):
            unpacked(bomb)
    with pytest.raises(sqlite3.DatabaseError):
        read_part(5 << 24 | 10, "short", "")


def test_a_hostile_journal_is_one_clear_line(folder: Path) -> None:
    """Its rows have right checksums and refer to what is not there, or to each other."""
    for column, value in (("asked", 99), ("base", 2), ("base", 10_000), ("answer", 7 << 40 | 12)):
        with closing(sqlite3.connect(folder / "journal.sqlite")) as journal, journal:
            columns = ", ".join(TABLES["draws"])
            old = journal.execute(f"SELECT {columns}, checksum FROM draws WHERE arrival = 5").fetchone()  # noqa: S608
            row = dict(zip(TABLES["draws"], old[:-1], strict=True)) | {column: value}
            checksum = row_checksum(tuple(row.values()))
            journal.execute(f"UPDATE draws SET {column} = ?, checksum = ? WHERE arrival = 5", (value, checksum))  # noqa: S608
            count_rows(journal, "draws", 0, checksum - old[-1])
        with Journal.read(folder) as journal, pytest.raises(BadInput, match="emeval check"):
            list(journal.trials_in_plan_order())


def test_checksums_stay_what_they_are_with_every_version_of_python() -> None:
    row = (1, -5, 1 << 40, None, 0.1, 85.0, "a", "ä\x1f🙂", b"\x00\xff", "")
    assert row_checksum(row) == -1816642424
