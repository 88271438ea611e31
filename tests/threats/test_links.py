"""A run folder from elsewhere with links and pipes in place of its files: nothing outside of it is written."""

from __future__ import annotations

import csv
import os
import shutil
import signal
import socket
import sqlite3
import subprocess
from collections.abc import Callable, Generator, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import NamedTuple

import pytest
import yaml

from tests.support.cli_runner import emeval, refused
from tests.support.journals import as_version_3
from tests.support.runs import MODEL, WITH_JUDGE, server
from tests.support.servers.openai_server import OpenAIServer

ASKED = ("run", "unethical_test", "-m", MODEL, "--limit", "4", "--format", "freeform", *WITH_JUDGE, "--no-preflight")


class Written(NamedTuple):
    """A run folder, in a folder with what commands read, and the files in it that each command has written."""

    place: Path
    files: dict[str, list[str]]

    def files_of(self, *names: str) -> list[str]:
        """The files of the commands, of all of them if none is given, and those that are gone when they have ended."""
        found = {file for name in names or self.files for file in self.files[name]}
        return sorted(found.union(UNLISTED))


COMMANDS: dict[str, tuple[str, ...]] = {
    "run": (*ASKED, "--max-unscored", "1", "--out", "RUN"),
    "resume": ("resume", "RUN", "--retry-failed"),
    "judge": ("judge", "RUN"),
    "judge by another": ("judge", "RUN", "--judge", "vllm/subject", "--judge-mode", "text"),
    "rates": ("rates", "RUN"),
    "check": ("check", "RUN"),
    "show": ("show", "RUN"),
    "report": ("report", "RUN"),
    "robustness": ("robustness", "RUN"),
    "attack": ("robustness", "RUN", "--attack", "--n", "2"),
    "label sample": ("label", "sample", "RUN", "--n", "4", "--force"),
    "label import": ("label", "import", "RUN", "LABELLED", "--labeller", "me"),
    "anchors": ("anchors", "freeze", "RUN", "--n", "2", "--out", "OUT/anchors.jsonl", "--force"),
    "jsonl": ("export", "RUN", "--format", "jsonl", "--force"),
    "inspect": ("export", "RUN", "--format", "inspect", "--force"),
    "hf": ("export", "RUN", "--format", "hf", "--force"),
}
UNLISTED = (
    *("journal.sqlite-wal", "journal.sqlite-shm", "journal.sqlite-journal", "journal.sqlite.v3"),
    *("journal.sqlite.v3-journal", ".lock", ".pid", ".labels.lock"),
)
"""Files of a journal that are gone when a command has ended."""


@pytest.fixture(scope="module")
def live() -> Iterator[OpenAIServer]:
    with server().start() as started:
        yield started


@pytest.fixture(scope="module")
def written(live: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Written:
    """A run folder in which each command has written once, and labels to import beside it."""
    place = tmp_path_factory.mktemp("template")
    files: dict[str, list[str]] = {}
    before: dict[str, object] = {}
    for name, words in COMMANDS.items():
        if name == "label import":
            with (place / "run" / "labels" / "to_label.csv").open(encoding="utf-8-sig", newline="") as file:
                rows = [row | {"label": "yes"} for row in csv.DictReader(file)]
            with (place / "labelled.csv").open("w", encoding="utf-8", newline="") as file:
                writer = csv.DictWriter(file, rows[0].keys())
                writer.writeheader()
                writer.writerows(rows)
        done = command(words, place, live)
        assert done.returncode in (0, 1), (name, done.stdout, done.stderr)
        now = contents(place / "run")
        files[name] = sorted(file for file, content in now.items() if before.get(file) != content != "a folder")
        before = now
    everything = {file for names in files.values() for file in names}
    assert everything > {
        "responses.csv",
        "manifest.json",
        "report.html",
        "labels/labels.csv",
        "exports/responses.jsonl",
    }
    return Written(place, files)


@pytest.fixture(scope="module")
def template(written: Written) -> Path:
    return written.place


def command(words: Sequence[str], place: Path, live: OpenAIServer) -> subprocess.CompletedProcess[str]:
    names = {"RUN": str(place / "run"), "LABELLED": str(place / "labelled.csv")}
    given = [names.get(word, word.replace("OUT/", f"{place}/")) for word in words]
    with at_most(20):
        return emeval(*given, url=live.url, cwd=place)


@contextmanager
def at_most(seconds: int) -> Generator[None]:
    """Ends what hangs, as a read of a pipe does."""

    def end(*_: object) -> None:
        raise KeyboardInterrupt("it hung")  # TimeoutError would be taken for an error of the file

    before = signal.signal(signal.SIGALRM, end)
    signal.alarm(seconds)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


def contents(folder: Path) -> dict[str, object]:
    """All that lies in a folder, with bytes and times."""
    return {
        str(path.relative_to(folder)): (path.read_bytes(), path.stat().st_mtime_ns) if path.is_file() else "a folder"
        for path in folder.rglob("*")
    }


def linked(file: Path, outside: Path) -> None:
    file.symlink_to(outside / "canary")


def hard_linked(file: Path, outside: Path) -> None:
    file.hardlink_to(outside / "canary")


def dangling(file: Path, outside: Path) -> None:
    file.symlink_to(outside / "missing")


def in_a_missing_folder(file: Path, outside: Path) -> None:
    file.symlink_to(outside / "folder" / "missing")


def to_a_folder(file: Path, outside: Path) -> None:
    file.symlink_to(outside)


def to_itself(file: Path, _outside: Path) -> None:
    file.symlink_to(file.name)


def a_folder(file: Path, _outside: Path) -> None:
    file.mkdir()


def a_pipe(file: Path, _outside: Path) -> None:
    os.mkfifo(file)


def to_a_pipe(file: Path, _outside: Path) -> None:
    os.mkfifo(file.parent / "pipe")
    file.symlink_to("pipe")


def a_socket(file: Path, _outside: Path) -> None:
    before = Path.cwd()
    os.chdir(file.parent)  # the name of a socket may only be short
    with socket.socket(socket.AF_UNIX) as made:
        made.bind(file.name)
    os.chdir(before)


def a_device(file: Path, _outside: Path) -> None:
    file.symlink_to("/dev/zero")


Kind = Callable[[Path, Path], None]
LINKS: tuple[Kind, ...] = (linked, hard_linked, dangling, in_a_missing_folder)
OTHERS: tuple[Kind, ...] = (to_a_folder, to_itself, a_folder, a_pipe, to_a_pipe, a_socket, a_device)


def attack(
    template: Path, place: Path, name: str, kind: Kind, words: Sequence[str], live: OpenAIServer
) -> tuple[subprocess.CompletedProcess[str], list[str]]:
    """The command over a copy of the run with something else in place of one file; what is wrong after it."""
    shutil.rmtree(place, ignore_errors=True)
    shutil.copytree(template, place)
    outside = place.parent / "outside"
    shutil.rmtree(outside, ignore_errors=True)
    outside.mkdir()
    if words == COMMANDS["label sample"]:  # where there are labels, it draws nothing
        (place / "run" / "labels" / "labels.csv").unlink()
    file = place / "run" / name
    if file.is_file():
        shutil.copyfile(file, outside / "canary")
        file.unlink()
    elif ".v3" in name or name.endswith(("-wal", "-journal")):
        shutil.copyfile(place / "run" / "journal.sqlite", outside / "canary")
    else:
        (outside / "canary").write_text("canary\n")
    kind(file, outside)
    before = contents(outside)
    done = command(words, place, live)
    wrong: list[str] = []
    if contents(outside) != before:
        wrong.append("something outside has changed")
    if done.returncode not in (0, 1, 2, 3):
        wrong.append(f"exit code {done.returncode}: {done.stderr}")
    if done.returncode == 2 and len(done.stderr.splitlines()) != 1:
        wrong.append(done.stderr)
    return done, wrong


@pytest.mark.parametrize("name", COMMANDS)
def test_a_link_in_a_run_folder_is_not_followed(
    written: Written, tmp_path: Path, live: OpenAIServer, name: str
) -> None:
    found: list[str] = []
    for number, file in enumerate(written.files_of(name)):
        kind = LINKS[(number + len(name)) % len(LINKS)]
        _, wrong = attack(written.place, tmp_path / "copy", file, kind, COMMANDS[name], live)
        found += [f"{name} with {file} {kind.__name__}: {what}" for what in wrong]
    assert found == []


@pytest.mark.parametrize("kind", LINKS, ids=lambda kind: kind.__name__)
@pytest.mark.parametrize("name", ["judge by another", "label import"])
def test_no_kind_of_link_is_followed(
    written: Written, tmp_path: Path, live: OpenAIServer, name: str, kind: Kind
) -> None:
    found: list[str] = []
    for file in written.files_of(name):
        _, wrong = attack(written.place, tmp_path / "copy", file, kind, COMMANDS[name], live)
        found += [f"{name} with {file}: {what}" for what in wrong]
    assert found == []


@pytest.mark.parametrize("kind", OTHERS, ids=lambda kind: kind.__name__)
def test_what_is_no_file_hangs_nothing(written: Written, tmp_path: Path, live: OpenAIServer, kind: Kind) -> None:
    found: list[str] = []
    for number, file in enumerate(written.files_of("judge by another", "label sample", "label import", "report")):
        name = ("rates", "judge by another", "label import", "show")[number % 4]
        done, wrong = attack(written.place, tmp_path / "copy", file, kind, COMMANDS[name], live)
        found += [f"{name} with {file}: {what}" for what in wrong]
        if "/" not in file and kind in (a_pipe, to_a_pipe, a_socket, a_device) and not file.startswith("."):
            assert done.returncode == 2, (name, file, done.stderr)
    assert found == []


def test_a_journal_that_is_a_link_takes_no_answer(template: Path, tmp_path: Path, live: OpenAIServer) -> None:
    for file in ("journal.sqlite", ".lock", "journal.sqlite-wal", "journal.sqlite-shm"):
        for kind in (linked, hard_linked):
            done, _ = attack(template, tmp_path / "copy", file, kind, COMMANDS["judge by another"], live)
            refused(done, file, "a link" if kind is linked else "a hard link")


@pytest.mark.parametrize("name", ["label sample", "label import", "jsonl", "inspect", "hf"])
def test_a_folder_that_is_a_link_is_not_written_into(
    template: Path, tmp_path: Path, live: OpenAIServer, name: str
) -> None:
    inner = "labels" if name.startswith("label") else "exports"
    for is_dangling in (False, True):
        place, outside = tmp_path / f"copy{is_dangling}", tmp_path / "outside"
        shutil.copytree(template, place)
        shutil.rmtree(outside, ignore_errors=True)
        shutil.move(place / "run" / inner, outside)
        (outside / "labels.csv").unlink(missing_ok=True)  # where there are labels, none are drawn
        (place / "run" / inner).symlink_to(outside / "missing" if is_dangling else outside)
        before = contents(outside)
        done = command(COMMANDS[name], place, live)
        assert done.returncode == 2, done.stdout + done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr
        assert contents(outside) == before
        assert not [path for path in (place / "run").iterdir() if path.name.endswith((".part", ".old"))]


def test_a_run_folder_of_links_to_a_store_is_read(template: Path, tmp_path: Path, live: OpenAIServer) -> None:
    """As a download cache keeps it: each file is a link to one that is named by its content."""
    store, run = tmp_path / "store", tmp_path / "copy" / "run"
    shutil.copytree(template / "run", store)
    run.mkdir(parents=True)
    for file in store.iterdir():
        if file.is_file() and not file.name.startswith("."):
            (run / file.name).symlink_to(file)
    before = contents(store)
    for name in ("show", "check", "report", "jsonl", "robustness"):
        done = command(COMMANDS[name], run.parent, live)
        assert done.returncode == 0, (name, done.stderr)
    assert contents(store) == before


def test_a_link_that_the_user_names_is_used(template: Path, tmp_path: Path, live: OpenAIServer) -> None:
    """The run folder may be one, and a file to write is replaced."""
    place = tmp_path / "copy"
    shutil.copytree(template, tmp_path / "real")
    place.mkdir()
    shutil.copyfile(template / "labelled.csv", place / "labelled.csv")
    (place / "run").symlink_to(tmp_path / "real" / "run")
    (tmp_path / "canary").write_text("canary\n")
    (place / "page.html").symlink_to(tmp_path / "canary")
    for name in ("judge by another", "rates", "label import", "jsonl"):
        done = command(COMMANDS[name], place, live)
        assert done.returncode in (0, 1), (name, done.stderr)
    done = command(("report", "RUN", "-o", "OUT/page.html"), place, live)
    assert done.returncode == 0, done.stderr
    assert not (place / "page.html").is_symlink()
    assert (tmp_path / "canary").read_text() == "canary\n"


def test_a_journal_of_the_former_schema_is_not_migrated_through_links(
    template: Path, tmp_path: Path, live: OpenAIServer
) -> None:
    old = tmp_path / "old"
    shutil.copytree(template, old)
    as_version_3(old / "run")
    _, wrong = attack(old, tmp_path / "copy", "other", linked, COMMANDS["judge"], live)
    assert wrong == []
    with closing(sqlite3.connect(tmp_path / "copy" / "run" / "journal.sqlite")) as connection:
        assert connection.execute("SELECT value FROM meta WHERE key = 'schema_version'").fetchone() == ("5",)
    found: list[str] = []
    for file in ("journal.sqlite", *UNLISTED):
        for kind in LINKS:
            _, wrong = attack(old, tmp_path / "copy", file, kind, COMMANDS["judge"], live)
            found += [f"{file} {kind.__name__}: {what}" for what in wrong]
    assert found == []


# --- nights -----------------------------------------------------------------------------------------------------------

NIGHT = "2026-03-01"


@pytest.fixture(scope="module")
def nights(live: OpenAIServer, tmp_path_factory: pytest.TempPathFactory) -> Path:
    place = tmp_path_factory.mktemp("nights")
    done = night(place, live)
    assert done.returncode in (0, 1), done.stdout + done.stderr
    return place


def night(place: Path, live: OpenAIServer) -> subprocess.CompletedProcess[str]:
    found = {
        "checkpoints": [{"model": MODEL}],
        "out": str(place / "out"),
        "run": {"suites": ["unethical_test"], "limit": 2, "format": "mcq", "preflight": False},
    }
    (place / "nightly.yaml").write_text(yaml.safe_dump(found))
    with at_most(30):
        return emeval("nightly", place / "nightly.yaml", "--date", NIGHT, url=live.url, cwd=place)


def test_a_night_writes_through_no_link(nights: Path, tmp_path: Path, live: OpenAIServer) -> None:
    out = nights / "out"
    files = [
        path.relative_to(out) for path in out.rglob("*") if path.is_file() and len(path.relative_to(out).parts) < 3
    ]
    assert {"history.csv", "summary.md", "junit.xml", "night.json", ".nightly.lock"} <= {path.name for path in files}
    folders = [path.relative_to(out) for path in out.rglob("*") if path.is_dir()]
    found: list[str] = []
    for path in (*files, *folders):
        for kind in (linked, hard_linked, dangling, a_pipe):
            if path in folders and kind is hard_linked:
                continue
            place, outside = tmp_path / "copy", tmp_path / "outside"
            for left in (place, outside):
                shutil.rmtree(left, ignore_errors=True)
            shutil.copytree(nights, place)
            outside.mkdir()
            shutil.move(place / "out" / path, outside / "canary")
            kind(place / "out" / path, outside)
            before = contents(outside)
            done = night(place, live)
            if contents(outside) != before:
                found.append(f"{path} {kind.__name__}: something outside has changed")
            if done.returncode not in (0, 1, 2, 3) or (done.returncode == 2 and len(done.stderr.splitlines()) != 1):
                found.append(f"{path} {kind.__name__}: {done.returncode} {done.stderr}")
    assert found == []
