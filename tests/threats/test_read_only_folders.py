"""Run folders that cannot be written, as those of another user or on a read-only disk: they are read all the same."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path

import pytest

from tests.support.cli_runner import COMMAND, environment
from tests.support.export_runs import everything_run
from tests.support.journals import drop_trial

pytestmark = pytest.mark.skipif(
    os.geteuid() == 0 and shutil.which("setpriv") is None, reason="root can write everywhere"
)
COMMANDS = {
    "show": ("show", "{run}"),
    "rates": ("rates", "{run}"),
    "report": ("report", "{run}", "-o", "{out}/report.html"),
    "export": ("export", "{run}", "--format", "jsonl", "--out", "{out}/answers.jsonl"),
    "compare": ("compare", "{run}", "{copy}", "--max-unscored", "1"),
    "check": ("check", "{run}"),
    "plot": ("plot", "{run}", "--figure", "rates", "--out", "{out}/rates.svg"),
    "table": ("table", "table1", "{run}"),
    "plan": ("plan", "--pilot", "{run}", "--width", "0.1", "--dataset", "{data}", "--out", "{out}/next.yaml"),
}


@pytest.fixture(scope="module")
def recorded(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return everything_run(tmp_path_factory.mktemp("readonly"))


@contextmanager
def _writable_by_nobody(folder: Path) -> Iterator[None]:
    paths = [folder, *folder.rglob("*")]
    modes = [path.stat().st_mode for path in paths]
    for path in paths:
        path.chmod(0o555 if path.is_dir() else 0o444)
    try:
        yield
    finally:
        for path, mode in zip(paths, modes, strict=True):
            path.chmod(mode)


def _without_rights(folder: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    """The finished command, of somebody to whom the modes of files apply: root has the right to ignore them."""
    caps = "-dac_override,-dac_read_search"
    drop = ["setpriv", f"--bounding-set={caps}", f"--inh-caps={caps}"] if os.geteuid() == 0 else []
    return subprocess.run(
        [*drop, *COMMAND, *map(str, command)],
        env=environment(),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
        cwd=folder,
    )


@pytest.mark.parametrize("name", COMMANDS)
def test_a_folder_that_cannot_be_written_is_read(recorded: Path, tmp_path: Path, name: str) -> None:
    shutil.copytree(recorded, tmp_path / "run")
    out = tmp_path / "out"
    out.mkdir()
    names = {"run": tmp_path / "run", "copy": recorded, "out": out, "data": recorded.parent / "d.jsonl"}
    before = {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()}
    with _writable_by_nobody(tmp_path / "run"), _writable_by_nobody(recorded):
        done = _without_rights(out, *(word.format(**names) for word in COMMANDS[name]))
    assert done.returncode in (0, 1), done.stderr
    assert "Traceback" not in done.stderr
    assert {path.name: path.read_bytes() for path in (tmp_path / "run").iterdir() if path.is_file()} == before
    if name == "rates":
        assert "emeval: tables are not written: " in done.stderr
        assert "Written" not in done.stdout


def test_commits_that_are_only_in_the_log_are_read_too(recorded: Path, tmp_path: Path) -> None:
    """A run that was killed leaves a write-ahead log, and without it its last answers would be missing."""
    run = tmp_path / "run"
    shutil.copytree(recorded, run)
    journal = run / "journal.sqlite"
    connection = sqlite3.connect(journal)
    connection.execute("PRAGMA wal_autocheckpoint = 0")
    known = connection.execute("SELECT COUNT(*) FROM trials").fetchone()[0]
    connection.execute("PRAGMA journal_mode = WAL")
    drop_trial(connection, known)
    connection.commit()
    kept = {name: (run / name).read_bytes() for name in ("journal.sqlite", "journal.sqlite-wal")}
    connection.close()
    for name, content in kept.items():
        (run / name).write_bytes(content)
    (run / "journal.sqlite-shm").unlink(missing_ok=True)
    out = tmp_path / "out"
    out.mkdir()
    with _writable_by_nobody(run):
        done = _without_rights(out, "show", run)
        checked = _without_rights(out, "check", run)
    assert done.returncode == 0, done.stderr
    assert f"{known - 1} of {known - 1} trials" in done.stdout
    assert f"holds {known - 1} trials, and {known} were recorded" in checked.stdout, checked.stderr


def test_tables_are_the_same_as_where_they_can_be_written(recorded: Path, tmp_path: Path) -> None:
    printed = []
    for number, readonly in enumerate((False, True)):
        run = tmp_path / f"run{number}" / "run"
        shutil.copytree(recorded, run)
        out = tmp_path / f"out{number}"
        out.mkdir()
        with _writable_by_nobody(run) if readonly else nullcontext():
            done = _without_rights(out, "rates", run, "--json")
        assert done.returncode in (0, 1), done.stderr
        found = json.loads(done.stdout)
        printed.append({name: found[name] for name in found if name in ("rates", "effects", "outcomes")})
    assert printed[0] == printed[1]
