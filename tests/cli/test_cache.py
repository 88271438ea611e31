"""`emeval cache`: its size, and deleting entries of it and nothing else."""

from __future__ import annotations

import json
import os
import time
from pathlib import Path

import pytest

from tests.support.cli_runner import emeval, refused, scenarios
from tests.support.runs import run, server


@pytest.fixture(scope="module")
def used(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The cache of a run of four questions in two option orders."""
    place = tmp_path_factory.mktemp("cache")
    with server().start() as live:
        data = scenarios(place / "d.jsonl", 4)
        done = run(place / "run", data, live.url, "--format", "mcq", "--cache", place / "answers")
    assert done.returncode == 0, done.stderr
    return place / "answers"


def files(folder: Path) -> list[Path]:
    return sorted(path for path in folder.rglob("*") if path.is_file())


def test_the_cache_is_shown_and_pruned_by_age_and_size(used: Path) -> None:
    whole = files(used)
    assert len(whole) == 8
    shown = emeval("cache", "show", used)
    assert shown.stdout == f"{used}: 8 entries (0.0 MB)\n"
    size = sum(path.stat().st_size for path in whole)
    assert json.loads(emeval("cache", "show", used, "--json").stdout) == {
        "folder": str(used), "entries": 8, "bytes": size,
    }  # fmt: skip
    (used / "notes.txt").write_text("mine")
    (used / whole[0].parent.name / "other").write_text("mine")
    (used / "ab").mkdir(exist_ok=True)
    (used / "ab" / ("0" * 62)).symlink_to(used / "notes.txt")
    for number, path in enumerate(whole):
        at = time.time() - 86400 * (40 if number < 3 else 1) - number
        os.utime(path, (at, at))
    done = emeval("cache", "prune", used, "--older", "30d")
    assert done.stdout == f"{used}: 3 entries (0.0 MB) deleted, 5 entries (0.0 MB) left\n"
    assert not any(path.exists() for path in whole[:3])
    assert emeval("cache", "prune", used, "--max", "1MB").stdout.startswith(f"{used}: 0 entries")
    done = emeval("cache", "prune", used, "--max", "0MB")
    assert "5 entries" in done.stdout
    assert {path.name for path in files(used)} == {"notes.txt", "other", "0" * 62}, "what is no entry stays"


def test_a_cache_that_no_run_has_used_is_empty(tmp_path: Path) -> None:
    shown = emeval("cache", "show", env={"EMEVAL_DATA": str(tmp_path)})
    assert shown.stdout == f"{tmp_path / 'answers'}: 0 entries (0.0 MB)\n"


def test_bad_input_is_one_line(tmp_path: Path) -> None:
    refused(emeval("cache", "prune", tmp_path), "--older 30d, --max 2GB")
    for age in ("30", "-1d", "d", "30 years"):
        refused(emeval("cache", "prune", tmp_path, f"--older={age}"), "--older", "12h, 30d or 4w")
    for size in ("2", "2 PB", "GB"):
        refused(emeval("cache", "prune", tmp_path, f"--max={size}"), "--max", "500MB or 2GB")
    refused(emeval("cache", "show", tmp_path / "none"), "none: cannot be read: No such file or directory")
    (tmp_path / "file").write_text("")
    refused(emeval("cache", "show", tmp_path / "file"), "cannot be read: Not a directory")
