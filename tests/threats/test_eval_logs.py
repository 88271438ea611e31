"""Zip files of Inspect logs that are damaged or made to do harm: an equal import, or one line and nothing written."""

from __future__ import annotations

import os
import random
import resource
import struct
import subprocess
import sys
import zipfile
import zlib
from collections.abc import Callable, Iterable
from pathlib import Path

import pandas as pd
import pytest
from inspect_ai.log import EvalLog, read_eval_log, write_eval_log

from evals.errors import BadInput
from evals.io.paths import MIB
from evals.runner.imports.log_archive import check_archive
from tests.support.cli_runner import COMMAND, environment, inside, refused, responses
from tests.support.export_runs import everything_run

DEFLATE, STORED = zipfile.ZIP_DEFLATED, zipfile.ZIP_STORED


@pytest.fixture(scope="module")
def log(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A log of four samples from a real export, in an archive of zlib's."""
    folder = tmp_path_factory.mktemp("logs")
    run = everything_run(folder)
    assert inside("export", run, "--format", "inspect").returncode == 0
    read = read_eval_log(str(next((run / "exports" / "inspect").glob("*mcq-off*.eval"))))
    assert read.samples
    kept = EvalLog(status="success", eval=read.eval, samples=read.samples[:4])
    write_eval_log(kept, str(folder / "small.eval"))
    return folder / "small.eval"


@pytest.fixture(scope="module")
def table(log: Path, tmp_path_factory: pytest.TempPathFactory) -> pd.DataFrame:
    return imported(log, tmp_path_factory.mktemp("whole"))


def imported(log: Path, folder: Path) -> pd.DataFrame:
    done = inside("import", log, "--out", folder / "run", "--max-unscored", "1")
    assert done.returncode == 0, done.stderr
    return responses(folder / "run").drop(columns=["source", "run_id"], errors="ignore")


def contents(log: Path) -> dict[str, bytes]:
    with zipfile.ZipFile(log) as archive:
        return {name: archive.read(name) for name in archive.namelist()}


def archive(path: Path, entries: Iterable[tuple[str, bytes]], method: int = DEFLATE) -> Path:
    with zipfile.ZipFile(path, "w", method) as made:
        for name, content in entries:
            made.writestr(name, content)
    return path


def patched(path: Path, name: str, field: int, layout: str, value: int) -> None:
    """Write a value into the directory's record of an entry."""
    content = bytearray(path.read_bytes())
    at = content.rindex(name.encode()) - 46
    assert content[at : at + 4] == b"PK\x01\x02"
    struct.pack_into(layout, content, at + field, value)
    path.write_bytes(content)


def refuse(path: Path, folder: Path, *words: str) -> None:
    refused(inside("import", path, "--out", folder / "deep" / "run"), path.name, *words)
    assert not (folder / "deep").exists()


def fault(path: Path) -> str:
    """What is wrong with an archive, "" for a whole one."""
    try:
        check_archive(path)
    except BadInput as error:
        return str(error)
    return ""


@pytest.mark.parametrize("method", [STORED, DEFLATE, 93])
def test_flipped_bits_are_an_equal_import_or_one_line(
    log: Path, table: pd.DataFrame, tmp_path: Path, method: int
) -> None:
    """Some of every part of the archive: data, local headers, the directory, its end."""
    whole = archive(tmp_path / "whole.eval", contents(log).items(), method).read_bytes()
    directory = whole.index(b"PK\x01\x02")
    chosen = random.Random(method)  # noqa: S311  the same flips in every run
    starts = [at for at in range(directory) if whole.startswith(b"PK\x03\x04", at)]
    places = [
        *(chosen.randrange(directory) for _ in range(150)),
        *(chosen.choice(starts) + chosen.randrange(30) for _ in range(60)),
        *(chosen.randrange(directory, len(whole)) for _ in range(150)),
        *range(len(whole) - 22, len(whole)),
    ]
    path, passed = tmp_path / "flipped.eval", set[bytes]()
    for place in places:
        flipped = bytearray(whole)
        flipped[place] ^= 1 << chosen.randrange(8)
        path.write_bytes(flipped)
        said = fault(path)
        if said:
            assert said.startswith(f"{path}: not an Inspect log that can be read: ")
            assert "\n" not in said
        else:
            passed.add(bytes(flipped))
            with zipfile.ZipFile(path) as opened:
                assert {name: opened.read(name) for name in opened.namelist()} == contents(log)
    assert 0 < len(passed) < len(places) / 3
    for number, flipped in enumerate(sorted(passed)[:: max(1, len(passed) // 3)]):
        path.write_bytes(flipped)
        (tmp_path / str(number)).mkdir()
        pd.testing.assert_frame_equal(imported(path, tmp_path / str(number)), table)


def test_a_flipped_bit_of_an_answer_names_the_file_and_the_entry(log: Path, tmp_path: Path) -> None:
    entries = contents(log)
    for name in entries:
        path = archive(tmp_path / "flipped.eval", entries.items(), STORED)
        content = bytearray(path.read_bytes())
        with zipfile.ZipFile(path) as whole:
            start = whole.getinfo(name).header_offset
        content[content.index(entries[name], start) + len(entries[name]) // 2] ^= 1
        path.write_bytes(content)
        refuse(path, tmp_path, f"entry {name}: is damaged: its checksum is another one")


def test_an_archive_that_is_cut_off_anywhere_is_one_line(log: Path, tmp_path: Path) -> None:
    whole = log.read_bytes()
    path = tmp_path / "cut.eval"
    for length in [*range(0, len(whole), len(whole) // 60), *range(len(whole) - 90, len(whole))]:
        path.write_bytes(whole[:length])
        with pytest.raises(BadInput, match=r"cut\.eval: not an Inspect log"):
            check_archive(path)
    refuse(path, tmp_path, "cut off")


def added(name: str, content: bytes = b"{}") -> Callable[[Path, Path], None]:
    return lambda log, path: void(archive(path, [*contents(log).items(), (name, content)]))


def void(_: object) -> None:
    pass


def with_field(field: int, layout: str, value: int) -> Callable[[Path, Path], None]:
    def make(log: Path, path: Path) -> None:
        archive(path, contents(log).items())
        patched(path, "header.json", field, layout, value)

    return make


def twice(log: Path, path: Path) -> None:
    with pytest.warns(UserWarning, match="Duplicate name"):
        archive(path, [*contents(log).items(), ("header.json", b"{}")])


def overlapping(log: Path, path: Path) -> None:
    """Two entries of the directory with one place in the file: the way of a zip bomb that is not nested."""
    archive(path, [*contents(log).items(), ("header.jsom", contents(log)["header.json"])])
    with zipfile.ZipFile(path) as made:
        offset = made.getinfo("header.json").header_offset
    patched(path, "header.jsom", 42, "<L", offset)


def moved(log: Path, path: Path) -> None:
    archive(path, contents(log).items())
    content = path.read_bytes()
    path.write_bytes(b"#!/bin/sh\n" + content)


def followed(log: Path, path: Path) -> None:
    archive(path, contents(log).items())
    path.write_bytes(path.read_bytes() + b"more")


def commented(log: Path, path: Path) -> None:
    archive(path, contents(log).items())
    with zipfile.ZipFile(path, "a") as made:
        made.comment = b"PK\x05\x06" + b"\0" * 18


def bomb(log: Path, path: Path) -> None:
    """One entry that decodes to 60 MiB many times over: the whole is refused by what the directory says."""
    archive(path, contents(log).items())
    with zipfile.ZipFile(path, "a", DEFLATE, compresslevel=1) as made:
        for number in range(3):
            made.writestr(f"samples/{number}.json", b" " * (60 * MIB))
    with zipfile.ZipFile(path) as made:
        names = made.namelist()
    assert len(names) > 3


def understated(log: Path, path: Path) -> None:
    """An entry of 60 MiB that is said to be one of 16 bytes with the checksum of these."""
    archive(path, [*contents(log).items(), ("samples/x.json", b" " * (60 * MIB))])
    patched(path, "samples/x.json", 24, "<L", 16)
    patched(path, "samples/x.json", 16, "<L", zlib.crc32(b" " * 16))


def behind_its_end(log: Path, path: Path) -> None:
    """The entry's data goes on behind the end of its deflate stream."""
    archive(path, [*contents(log).items(), ("samples/x.json", os.urandom(4000) + b"{}")])
    patched(path, "header.json", 10, "<H", DEFLATE)
    with zipfile.ZipFile(path) as made:
        packed = made.getinfo("header.json").compress_size
    patched(path, "header.json", 20, "<L", packed + 1)


def many(log: Path, path: Path) -> None:
    archive(path, [*contents(log).items(), *((f"{number}", b"") for number in range(100_000))], STORED)


ATTACKS: dict[str, tuple[Callable[[Path, Path], None], str]] = {
    "a path out": (added("../../x.json"), "leads out of the archive"),
    "a path out inside": (added("samples/../../x.json"), "leads out of the archive"),
    "an absolute path": (added("/etc/x.json"), "leads out of the archive"),
    "a path of Windows": (added("..\\x.json"), "leads out of the archive"),
    "twice": (twice, "entry header.json: is there twice"),
    "overlapping": (overlapping, "overlaps with another"),
    "data before": (moved, "its directory is not where it says"),
    "data behind": (followed, "does not end as a zip file does"),
    "two ends": (commented, "its directory is not where it says"),
    "encrypted": (with_field(8, "<H", 1), "entry header.json: is encrypted"),
    "hidden names": (with_field(8, "<H", 0x2000), "entry header.json: is encrypted"),
    "patched data": (with_field(8, "<H", 0x20), "entry header.json: has flags that are not known"),
    "unknown compression": (with_field(10, "<H", 14), "entry header.json: is compressed in a way that is not known"),
    "other compression": (with_field(10, "<H", STORED), "is not where the directory says"),
    "huge by its directory": (with_field(24, "<L", 0xFFFFFFF0), "decodes to 4,096 MiB"),
    "more by its directory": (with_field(24, "<L", 60 * MIB), "its checksum is another one"),
    "packed by its directory": (with_field(20, "<L", 0x7FFFFFFF), "reaches into the directory"),
    "elsewhere": (with_field(42, "<L", 5), "entry "),
    "understated": (understated, "decodes to more than it says"),
    "too large": (added("samples/x.json", b" " * (65 * MIB)), "decodes to 65 MiB"),
    "behind its end": (behind_its_end, "entry "),
    "many": (many, "it holds 100,0"),
    "many values": (added("samples/x.json", b"[" + b"[]," * (20 * MIB) + b"[]]"), "holds more than 4,000,000 values"),
    "a list for a header": (lambda log, path: replaced(log, path, b"[]"), "not an Inspect log"),
    "a word for a header": (lambda log, path: replaced(log, path, b'"x"'), "not an Inspect log"),
    "a deep header": (lambda log, path: replaced(log, path, b"[" * 100_000 + b"]" * 100_000), "not an Inspect log"),
    "an empty archive": (lambda _, path: void(archive(path, [])), "not an Inspect log"),
}


def replaced(log: Path, path: Path, header: bytes) -> None:
    archive(path, (contents(log) | {"header.json": header}).items())


@pytest.mark.parametrize("name", ATTACKS)
def test_an_archive_that_is_made_to_do_harm_is_one_line_and_leaves_nothing(
    log: Path, tmp_path: Path, name: str
) -> None:
    make, words = ATTACKS[name]
    make(log, tmp_path / "made.eval")
    refuse(tmp_path / "made.eval", tmp_path, words)


def test_all_entries_together_are_limited(log: Path, tmp_path: Path) -> None:
    """69 entries that say they decode to 60 MiB each: refused by the directory, none is decoded."""
    path = archive(tmp_path / "sum.eval", [*contents(log).items(), *((f"e{number:02}", b"") for number in range(69))])
    for number in range(69):
        patched(path, f"e{number:02}", 24, "<L", 60 * MIB)
    refuse(path, tmp_path, "it decodes to 4.0 GiB, and at most 4 GiB")


def test_entries_of_sixty_mebibytes_take_no_more_memory_than_one(log: Path, tmp_path: Path) -> None:
    """A real process under a limit on its memory: damage in the last of several large entries is one line."""
    entries = [*contents(log).items(), *((f"samples/{number}.json", b" " * (60 * MIB)) for number in range(6))]
    path = archive(tmp_path / "large.eval", entries)
    patched(path, "samples/5.json", 16, "<L", 1)
    code = (
        "import sys; from pathlib import Path; from evals.errors import BadInput\n"
        "from evals.runner.imports.log_archive import check_archive\n"
        "try: check_archive(Path(sys.argv[1]))\n"
        "except BadInput as error: print(error)\n"
        "print(Path('/proc/self/status').read_text().partition('VmHWM:')[2].split()[0])\n"
    )
    done = subprocess.run(
        [sys.executable, "-c", code, str(path)], capture_output=True, text=True, env=environment(), check=True
    )
    said, peak = done.stdout.splitlines()
    assert "large.eval" in said
    assert "entry samples/5.json: is damaged" in said
    assert int(peak) < 150 * 1024


def test_a_sparse_archive_is_refused_at_once(tmp_path: Path) -> None:
    path = tmp_path / "sparse.eval"
    with path.open("wb") as file:
        file.truncate(64 << 30)
    limit = 4 << 30

    def bounded() -> None:
        resource.setrlimit(resource.RLIMIT_AS, (limit, limit))

    done = subprocess.run(
        [*COMMAND, "import", str(path), "--out", str(tmp_path / "run")],
        capture_output=True,
        text=True,
        env=environment(),
        preexec_fn=bounded,
        timeout=60,
        check=False,
    )
    refused(done, "sparse.eval", "larger than 2048 MiB")
    assert not (tmp_path / "run").exists()
