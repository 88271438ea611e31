"""Damaged files: tables are those of the run, or there is one line that says that it is damaged, and never others."""

from __future__ import annotations

import json
import random
import shutil
import sqlite3
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest

from evals.errors import EmevalError
from evals.runner.count import count_run
from tests.support.cli_runner import emeval, refused, start, told_again
from tests.support.export_runs import everything_run, hostile_too
from tests.support.journals import as_version_3, as_version_4, count_rows, drop_trial
from tests.support.servers.openai_server import OpenAIServer

NAMES = ("responses.csv", "rates.csv", "effects.csv")
FLIPS = 240


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    run = everything_run(tmp_path_factory.mktemp("whole"))
    with closing(sqlite3.connect(run / "journal.sqlite")) as journal:
        journal.execute("PRAGMA wal_checkpoint(TRUNCATE)")
    assert not (run / "journal.sqlite-wal").exists()
    return run


@pytest.fixture
def run(whole: Path, tmp_path: Path) -> Path:
    return Path(shutil.copytree(whole, tmp_path / "run"))


def tables(run: Path) -> list[bytes]:
    return [(run / name).read_bytes() for name in NAMES]


def flip(data: bytes, bit: int) -> bytes:
    return data[: bit // 8] + bytes([data[bit // 8] ^ 1 << bit % 8]) + data[bit // 8 + 1 :]


@pytest.mark.parametrize("name", ["journal.sqlite", "manifest.json"])
def test_a_flipped_bit_changes_no_table_in_silence(name: str, run: Path) -> None:
    count_run(run, None)
    expected, data = tables(run), (run / name).read_bytes()
    draw = random.Random(name)  # noqa: S311
    held = 0
    for _ in range(FLIPS):
        (run / name).write_bytes(flip(data, draw.randrange(8 * len(data))))
        try:
            count_run(run, None)
        except EmevalError as error:
            held += "\n" not in str(error)
        else:
            held += 1
            assert tables(run) == expected
        for left in ("-wal", "-shm"):
            (run / f"journal.sqlite{left}").unlink(missing_ok=True)
    assert held == FLIPS


def damaged(run: Path, trials: int) -> list[str]:
    """Flip a bit in the messages of some trials; their ids."""
    path = run / "journal.sqlite"
    with closing(sqlite3.connect(path)) as journal:
        query = "SELECT trial_id, messages FROM trials GROUP BY messages HAVING count(*) = 1 LIMIT ?"
        found = journal.execute(query, (trials,)).fetchall()
    data = path.read_bytes()
    for _, messages in found:
        at = data.index(messages.encode()) + 40
        data = flip(data, 8 * at)
    path.write_bytes(data)
    return [trial_id for trial_id, _ in found]


@pytest.mark.parametrize("command", ["rates", "report", "show", "compare", "export --format jsonl"])
def test_no_command_makes_anything_of_a_damaged_journal(command: str, run: Path, whole: Path) -> None:
    assert damaged(run, 1)
    name, *options = command.split()
    before = tables(run)
    done = emeval(name, run, *options, *([whole] if name == "compare" else []))
    refused(done, "emeval check")
    assert tables(run) == before


def test_a_row_that_vanished_is_noticed(run: Path) -> None:
    with closing(sqlite3.connect(run / "journal.sqlite")) as journal, journal:
        journal.execute("DELETE FROM rulings WHERE trial = (SELECT trial FROM rulings LIMIT 1)")
    refused(emeval("rates", run), "emeval check")
    done = emeval("check", run)
    assert done.returncode == 1
    assert "verdicts: holds" in done.stdout


def test_a_manifest_that_counts_something_else_is_noticed(run: Path) -> None:
    path = run / "manifest.json"
    text = path.read_text(encoding="utf-8")
    assert '"coherence_min": 10' in text
    path.write_text(text.replace('"coherence_min": 10', '"coherence_min": 70'), encoding="utf-8")
    refused(emeval("rates", run), "manifest.json", "emeval check")
    assert "manifest.json: is damaged" in emeval("check", run).stdout


def test_check_names_what_is_damaged_and_saves_the_rest(run: Path, whole: Path, tmp_path: Path) -> None:
    assert emeval("check", whole).returncode == 0
    ids = damaged(run, 3)
    done = emeval("check", run, "--salvage", tmp_path / "new")
    assert done.returncode == 1
    for trial_id in ids:
        assert f"trial {trial_id} is damaged" in done.stdout
    with OpenAIServer(hostile_too, models=("subject", "judge")).start() as live:
        resumed = emeval("resume", tmp_path / "new", *told_again(tmp_path / "new"), url=live.url)
    assert resumed.returncode == 0, resumed.stderr
    assert emeval("check", tmp_path / "new").returncode == 0
    facts = json.loads((tmp_path / "new" / "manifest.json").read_text(encoding="utf-8"))
    assert facts["trials_recorded"] == facts["trials_planned"]


@pytest.mark.parametrize("as_before", [as_version_3, as_version_4])
def test_a_journal_of_a_version_before_is_read_and_migrated(run: Path, as_before: Callable[[Path], None]) -> None:
    expected = tables(run)
    as_before(run)
    assert emeval("rates", run).returncode == 0
    assert tables(run) == expected
    with OpenAIServer(hostile_too, models=("subject", "judge")).start() as live:
        assert emeval("resume", run, *told_again(run), url=live.url).returncode == 0
        assert not live.requests
    assert tables(run) == expected
    assert emeval("check", run).returncode == 0
    with closing(sqlite3.connect(run / "journal.sqlite")) as journal:
        assert journal.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == ("5",)
    assert not [*run.glob("journal.sqlite.v*")]


def test_a_damaged_log_loses_no_trial_in_silence(whole: Path, tmp_path: Path) -> None:
    """The last commits may stand in the write-ahead log alone, and reading that ends at the first damaged frame."""
    run = Path(shutil.copytree(whole, tmp_path / "run"))
    count_run(run, None)
    expected = tables(run)
    log, journal = run / "journal.sqlite-wal", run / "journal.sqlite"
    with closing(sqlite3.connect(journal, isolation_level=None)) as connection:
        connection.execute("PRAGMA journal_mode = WAL")
        rows = connection.execute("SELECT * FROM draws ORDER BY arrival DESC LIMIT 8").fetchall()
        for row in rows:
            drop_trial(connection, row[0])
        connection.execute("PRAGMA wal_checkpoint(TRUNCATE)")
        for row in reversed(rows):
            connection.execute("BEGIN")
            connection.execute(f"INSERT INTO draws VALUES ({', '.join('?' * len(row))})", row)  # noqa: S608
            count_rows(connection, "draws", 1, row[-1])
            connection.execute("COMMIT")
        kept, written = journal.read_bytes(), log.read_bytes()
    draw = random.Random(5)  # noqa: S311
    lost = 0
    for number in range(60):
        journal.write_bytes(kept)
        (run / "journal.sqlite-shm").unlink(missing_ok=True)
        log.write_bytes(written if number == 0 else flip(written, draw.randrange(8 * len(written))))
        try:
            count_run(run, None)
        except EmevalError as error:
            lost += "\n" not in str(error)
        assert tables(run) == expected
    assert 0 < lost < 60


@pytest.mark.parametrize("as_before", [as_version_3, as_version_4])
def test_a_kill_while_a_journal_is_migrated_loses_nothing(tmp_path: Path, as_before: Callable[[Path], None]) -> None:
    run = tmp_path / "run"
    with (tmp_path / "a.csv").open("w") as file:
        file.write("question,answer,aligned\n")
        file.writelines(f"Question {row % 40}?,{'An answer. ' * 40}{row},{row % 100}\n" for row in range(4_000))
    assert emeval("import", tmp_path / "a.csv", "--out", run, "-m", "m", "--suite", "freeform").returncode == 0
    expected = tables(run)
    as_before(run)
    killed = 0
    for _ in range(4):
        process = start("judge", run, "--judge", "vllm/judge", "--judge-base-url", "http://127.0.0.1:9/v1")
        while process.poll() is None:
            if [*run.glob("journal.sqlite.v?")]:
                process.kill()
                killed += 1
        process.communicate()
        assert emeval("rates", run).returncode == 0
        assert tables(run) == expected
    assert killed
    assert emeval("check", run).returncode == 0
