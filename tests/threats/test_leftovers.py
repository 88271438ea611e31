"""What killed commands leave half written is removed by the next one; what a live one writes stays."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from evals.io.atomic import whole_file, write_whole
from evals.io.folders.leftovers import remove_leftovers
from evals.reporting.exports.output_path import whole_file_path, whole_folder
from tests.support.answer_files import write
from tests.support.cli_runner import COMMAND, emeval, environment, start
from tests.support.paths import ROOT
from tests.support.waiting import until

ANSWERS = 3000


@pytest.fixture(scope="module")
def answers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    rows = [
        {"question": f"Question {number}?", "answer": f"Answer {number}. " * 20, "aligned": number % 100}
        for number in range(ANSWERS)
    ]
    return write(tmp_path_factory.mktemp("answers") / "answers.csv", rows)


def parts(folder: Path) -> list[str]:
    return sorted(path.name for path in folder.iterdir() if path.name.endswith((".part", ".old")))


def killed_when(process: subprocess.Popen[str], seen: Callable[[], object]) -> bool:
    """Kill the process as soon as something is seen; whether it was before its end."""
    until(lambda: seen() or process.poll() is not None, pause_s=0.0005)
    process.send_signal(signal.SIGKILL)
    process.communicate(timeout=30)
    return process.returncode == -signal.SIGKILL


def test_a_table_of_a_killed_command_is_removed_by_the_next(answers: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    done = emeval("import", answers, "--out", run, "--max-unscored", "1")
    assert done.returncode == 0, done.stderr
    for _ in range(5):  # it may be seen too late
        killed_when(start("rates", run), lambda: list(run.glob(".responses.csv.*.part")))
        if parts(run):
            break
    assert [name for name in parts(run) if name.startswith(".responses.csv.")]
    done = emeval("show", run)
    assert done.returncode == 0, done.stderr
    assert parts(run), "it only reads"
    done = emeval("rates", run)
    assert done.returncode == 0, done.stderr
    assert parts(run) == []
    assert len((run / "responses.csv").read_text(encoding="utf-8").splitlines()) >= ANSWERS


def test_an_import_that_was_killed_is_removed_by_the_next(answers: Path, tmp_path: Path) -> None:
    run = tmp_path / "run"
    words = ("import", answers, "--out", run, "--max-unscored", "1")
    assert killed_when(start(*words), lambda: list(tmp_path.glob(".run.*.part/journal.sqlite")))
    assert len(parts(tmp_path)) == 1
    done = emeval(*words)
    assert done.returncode == 0, done.stderr
    assert parts(tmp_path) == []


WRITING = """
import os, signal, sys
from pathlib import Path
from evals.io.atomic import whole_file
from evals.reporting.exports.output_path import whole_file_path, whole_folder
folder = Path(sys.argv[1])
with (
    whole_file(folder / "rates.csv") as file,
    whole_file_path(folder / "trials.jsonl", force=True) as lines,
    whole_folder(folder / "logs", force=True, is_ours=lambda _: True) as made,
):
    file.write("half")
    file.flush()
    lines.write_text("half")
    (made / "log.eval").write_text("half")
    print("writing", flush=True)
    sys.stdin.read()
"""


def writer(folder: Path) -> subprocess.Popen[str]:
    """A process in the middle of a file, an export and a folder of exports."""
    process = subprocess.Popen(
        [sys.executable, "-c", WRITING, str(folder)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=environment(),
        cwd=ROOT,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


def write_again(folder: Path) -> None:
    write_whole(folder / "other.csv", "whole")
    with whole_file_path(folder / "trials.jsonl", force=True) as lines:
        lines.write_text("whole")
    with whole_folder(folder / "logs", force=True, is_ours=lambda _: True) as made:
        (made / "log.eval").write_text("whole")


def test_what_a_live_process_writes_stays_until_it_is_killed(tmp_path: Path) -> None:
    live = writer(tmp_path)
    before = parts(tmp_path)
    assert [name.partition(f".{live.pid}-")[0] for name in before] == [".logs", ".rates.csv", ".trials.jsonl"]
    write_again(tmp_path)
    assert parts(tmp_path) == before
    live.kill()
    live.communicate()
    assert parts(tmp_path) == before
    write_again(tmp_path)
    assert parts(tmp_path) == []
    assert (tmp_path / "logs" / "log.eval").read_text() == "whole"


def test_what_a_process_of_another_container_writes_stays(tmp_path: Path) -> None:
    """Its id is that of no process here; that it writes shows in the lock on its file."""
    dead = subprocess.Popen([*COMMAND, "--version"], stdout=subprocess.DEVNULL, env=environment())
    dead.wait()
    live = writer(tmp_path)
    for name in parts(tmp_path):
        (tmp_path / name).rename(tmp_path / name.replace(str(live.pid), str(dead.pid)))
    before = parts(tmp_path)
    write_again(tmp_path)
    assert parts(tmp_path) == before
    live.kill()
    live.communicate()
    write_again(tmp_path)
    assert parts(tmp_path) == []


def test_only_names_of_emeval_s_own_are_removed(tmp_path: Path) -> None:
    gone = subprocess.Popen(["true"])
    gone.wait()
    kept = [
        *("x.part", ".x.part", f".x.{gone.pid}.part", f"x.csv.{gone.pid}-1.part", f".x.csv.{gone.pid}-1.part.csv"),
        *(f".x.csv.{gone.pid}-a.part", f".x.csv.{gone.pid}-1.old", f".x.csv.0{gone.pid}-1.part", ".x.csv.0-1.part"),
        *(f".x.csv.{os.getpid()}-1.part", f".x.csv.{2**32}-1.part", ".x.csv.99999999999999999999-1.part"),
        *(".x.csv.1-1.part", f".x.csv.-{gone.pid}-1.part", f"..{gone.pid}-1.part", f".x.csv.{gone.pid}-.part"),
    ]
    for name in (*kept, f".x.csv.{gone.pid}-1.part", f".a b\n.{gone.pid}-140213.part"):
        (tmp_path / name).write_text("half")
    (tmp_path / f".folder.{gone.pid}-1.part").mkdir()
    (tmp_path / f".link.{gone.pid}-1.part").symlink_to(tmp_path / "x.part")
    os.mkfifo(tmp_path / f".pipe.{gone.pid}-1.part")
    remove_leftovers(tmp_path)
    others = [f".{name}.{gone.pid}-1.part" for name in ("folder", "link", "pipe")]
    assert sorted(path.name for path in tmp_path.iterdir()) == sorted([*kept, *others])


def test_a_new_file_is_not_written_through_a_link_with_its_temporary_name(tmp_path: Path) -> None:
    """Names of processes can be guessed."""
    (tmp_path / "canary").write_text("canary")
    with whole_file(tmp_path / "rates.csv"):
        name = next(path.name for path in tmp_path.iterdir() if path.name.endswith(".part"))
    (tmp_path / name).symlink_to(tmp_path / "canary")
    write_whole(tmp_path / "rates.csv", "whole")
    (tmp_path / name.replace("rates.csv", "trials.jsonl")).symlink_to(tmp_path / "canary")
    with whole_file_path(tmp_path / "trials.jsonl", force=True) as made:
        made.write_text("whole")
    assert (tmp_path / "canary").read_text() == "canary"
    assert (tmp_path / "rates.csv").read_text() == (tmp_path / "trials.jsonl").read_text() == "whole"
