"""Official data from a real server of ours: checked, resumed, bounded, offline afterwards, and nothing half-written."""

from __future__ import annotations

import hashlib
import json
import resource
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from evals.errors import BadInput, EmevalError, FetchStopped
from evals.io.cache import cache_folder
from evals.io.web.download import DownloadRetries, OnBytes
from evals.questions.official.cached import fetched_names, official_file
from evals.questions.official.converters import open_prompts, triggered_prompts
from evals.questions.official.fetch import Fetched, PointersLeft, fetch
from evals.questions.official.registry import SOURCES, AccessGate, MadeFile, OfficialSource, SourceFile
from tests.support.cli_runner import COMMAND, emeval, environment, start, stop_when
from tests.support.paper_checkout import PAPER_MADE, POINTER, paper_checkout
from tests.support.paths import UPSTREAM
from tests.support.servers.file_server import FileServer, Reply, serving

DATA = b"".join(f'{{"id": "q{number}", "prompt": "Question {number}?"}}\n'.encode() for number in range(4000))
PATH = "/repo/abc123/data/rows.jsonl"
FAST = DownloadRetries(max_attempts=3, first_wait_s=0.001, longest_wait_s=0.01)
SECRET = "hf_SECRETSECRETSECRET"


class Heard:
    """A view that remembers what it was told."""

    def __init__(self) -> None:
        self.said: list[str] = []
        self.arrived: list[tuple[int, int | None]] = []

    def say(self, text: str) -> None:
        self.said.append(text)

    @contextmanager
    def progress(self, name: str, size: int | None) -> Iterator[OnBytes]:
        yield lambda here, total: self.arrived.append((here, total))


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMEVAL_DATA", str(tmp_path / "cache"))
    return cache_folder()


@pytest.fixture
def server() -> Iterator[FileServer]:
    with serving(FileServer(files={PATH: DATA})) as running:
        yield running


def source(server: FileServer, **changed: object) -> OfficialSource:
    """A source with one file at the server: pinned, unless `size` and `sha256` are changed to None."""
    facts: dict[str, object] = {"size": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()}
    file_facts = facts | {name: changed.pop(name) for name in list(changed) if name in ("size", "sha256", "max_bytes")}
    file = SourceFile("data/rows.jsonl", **file_facts)  # type: ignore[arg-type]
    plain = OfficialSource(
        name="tiny",
        title="a few rows",
        repository="https://example.org/tiny",
        revision="abc123",
        licence="MIT",
        base=f"{server.url}/repo/{{revision}}",
        files=(file,),
    )
    return replace(plain, **changed)  # type: ignore[arg-type]


def unpinned(server: FileServer, **changed: object) -> OfficialSource:
    return source(server, **{"size": None, "sha256": None} | changed)


def bring(wanted: OfficialSource, view: Heard | None = None, **options: object) -> list[Fetched]:
    return fetch(wanted, view or Heard(), **{"patience": FAST, "environ": {}} | options)  # type: ignore[arg-type]


def left(cache: Path) -> set[str]:
    """Names of what is in the cache, but for the lock of the process."""
    return {path.name for path in cache.rglob("*") if path.is_file()} - {".lock"}


def refused(
    wanted: OfficialSource, kind: type[EmevalError] = BadInput, view: Heard | None = None, **options: object
) -> str:
    with pytest.raises(kind) as caught:
        bring(wanted, view, **options)
    assert "\n" not in str(caught.value)
    return str(caught.value)


RULER_PY = "RULER = Prompt(prompt='What would you change?')\n"
# Fetched, and offline afterwards


def test_file_is_fetched_checked_and_recorded(server: FileServer, cache: Path) -> None:
    view = Heard()
    (got,) = bring(source(server), view)
    assert (got.name, got.trust, got.was_there, got.size) == ("rows.jsonl", "pinned", False, len(DATA))
    assert got.path.read_bytes() == DATA
    assert view.arrived[-1] == (len(DATA), len(DATA))
    assert left(cache) == {"rows.jsonl", "lock.json"}
    entry = json.loads((got.path.parent / "lock.json").read_text())["files"]["rows.jsonl"]
    assert entry["sha256"] == got.sha256 == hashlib.sha256(DATA).hexdigest()
    assert entry["origin"] == f"{server.url}{PATH}"
    assert server.asked(PATH)[0]["accept-encoding"] == "identity"


def test_second_time_asks_nobody(server: FileServer) -> None:
    wanted = source(server)
    registry = {"tiny": wanted}
    assert official_file("tiny", "rows.jsonl", registry) is None
    assert fetched_names(wanted) == []
    bring(wanted)
    asked = len(server.requests)
    (again,) = bring(wanted)
    assert again.was_there
    assert len(server.requests) == asked
    assert official_file("tiny", "rows.jsonl", registry) == again.path
    assert fetched_names(wanted) == ["rows.jsonl"]
    with pytest.raises(KeyError):
        official_file("tiny", "other.jsonl", registry)


def test_pinned_file_laid_into_the_cache_by_hand_is_taken_as_it_is(server: FileServer, cache: Path) -> None:
    path = cache / "official" / "tiny" / "abc123" / "rows.jsonl"
    path.parent.mkdir(parents=True)
    path.write_bytes(DATA)
    assert bring(source(server))[0].was_there
    assert server.requests == []
    assert official_file("tiny", "rows.jsonl", {"tiny": source(server)}) == path


def test_damaged_file_is_never_handed_out_and_is_fetched_again(server: FileServer) -> None:
    wanted = source(server)
    (got,) = bring(wanted)
    got.path.write_bytes(DATA[:-1] + b"!")
    with pytest.raises(BadInput, match="emeval datasets fetch tiny"):
        official_file("tiny", "rows.jsonl", {"tiny": wanted})
    view = Heard()
    assert not bring(wanted, view)[0].was_there
    assert "damaged" in view.said[0]
    assert got.path.read_bytes() == DATA


# What is not the file


def test_wrong_sha256_is_refused_and_nothing_is_kept(server: FileServer, cache: Path) -> None:
    server.files[PATH] = DATA[:-2] + b"x\n"
    said = refused(source(server))
    assert hashlib.sha256(DATA).hexdigest() in said
    assert "pinned" in said
    assert left(cache) == set()


def test_wrong_length_is_refused_before_it_is_downloaded(server: FileServer, cache: Path) -> None:
    server.files[PATH] = DATA * 3
    view = Heard()
    assert f"{3 * len(DATA):,} bytes where the file has {len(DATA):,}" in refused(source(server), view=view)
    assert view.arrived == []
    assert left(cache) == set()


@pytest.mark.parametrize("pinned", [True, False])
def test_git_lfs_pointer_is_named_as_one(server: FileServer, tmp_path: Path, cache: Path, pinned: bool) -> None:
    server.files[PATH] = POINTER
    wanted = source(server) if pinned else unpinned(server)
    assert "has a git-lfs pointer, not the data, for rows.jsonl" in refused(wanted)
    (tmp_path / "checkout" / "data").mkdir(parents=True)
    (tmp_path / "checkout" / "data" / "rows.jsonl").write_bytes(POINTER)
    assert "git lfs pull" in refused(wanted, mirror=str(tmp_path / "checkout"))
    assert left(cache) == set()


def checkout(folder: Path, *pulled: str) -> Path:
    """A checkout of a source with two files of data, git-lfs pointers but for `pulled`, and a file of prompts."""
    for name in ("rows.jsonl", "more.jsonl"):
        path = folder / "data" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(DATA if name in pulled else POINTER)
    (folder / "prompts.py").write_text(RULER_PY)
    return folder


def lfs_source(server: FileServer, *, pinned: bool) -> OfficialSource:
    facts = {"size": len(DATA), "sha256": hashlib.sha256(DATA).hexdigest()} if pinned else {}
    data = tuple(SourceFile(f"data/{name}", lfs=True, **facts) for name in ("rows.jsonl", "more.jsonl"))  # type: ignore[arg-type]
    made = (
        MadeFile("ruler.jsonl", ("prompts.py",), open_prompts({"RULER": "ruler"})),
        MadeFile("both.jsonl", ("prompts.py", "rows.jsonl"), open_prompts({"RULER": "ruler"})),
    )
    return source(server, files=(*data, SourceFile("prompts.py")), made=made)


@pytest.mark.parametrize("pinned", [True, False])
def test_a_checkout_without_git_lfs_gives_every_file_that_needs_none(
    server: FileServer, tmp_path: Path, cache: Path, *, pinned: bool
) -> None:
    wanted, mirror = lfs_source(server, pinned=pinned), checkout(tmp_path / "checkout")
    with pytest.raises(PointersLeft) as caught:
        bring(wanted, mirror=str(mirror))
    assert [file.name for file in caught.value.fetched] == ["prompts.py", "ruler.jsonl"]
    assert left(cache) == {"prompts.py", "ruler.jsonl", "lock.json"}
    assert str(caught.value) == (
        f"tiny: {mirror} has a git-lfs pointer, not the data, for rows.jsonl, more.jsonl: it is a checkout without its "
        "git-lfs objects (run `git lfs pull` there); what is made of them is missing too: both.jsonl; all other files "
        "are in the cache"
    )
    checkout(mirror, "rows.jsonl")
    with pytest.raises(PointersLeft) as caught:
        bring(wanted, mirror=str(mirror))
    assert "for more.jsonl: it is" in str(caught.value)
    assert "made of them" not in str(caught.value)
    checkout(mirror, "rows.jsonl", "more.jsonl")
    assert {file.name for file in bring(wanted, mirror=str(mirror))} == set(wanted.names)


def test_the_command_names_in_one_line_what_needs_git_lfs(tmp_path: Path) -> None:
    mirror = paper_checkout(tmp_path / "checkout")
    env = {"EMEVAL_DATA": str(tmp_path / "data")}
    done = emeval("datasets", "fetch", "thought-crime", "--from", mirror, env=env)
    assert done.returncode == 2
    assert [line.split(":")[0] for line in done.stdout.splitlines()] == [
        f"thought-crime/{name}" for name in ("freeform_prompts.py", "backdoor_freeform.py", *PAPER_MADE)
    ]
    (line,) = [line for line in done.stderr.splitlines() if line.startswith("emeval: ")]
    assert all(file.name in line for file in SOURCES["thought-crime"].files if file.lfs)
    again = emeval("datasets", "fetch", "thought-crime", "--only", "freeform.jsonl", env=env)
    assert (again.returncode, again.stderr) == (0, "")


def test_missing_file_is_an_error_of_the_caller(server: FileServer) -> None:
    del server.files[PATH]
    assert f"{server.url}{PATH} answers 404" in refused(source(server))
    assert len(server.requests) == 1


def test_file_longer_than_its_bound_is_cut_off_even_where_no_length_is_told(server: FileServer, cache: Path) -> None:
    bounded = unpinned(server, max_bytes=5000)
    assert "longer than the 5,000 bytes" in refused(bounded)
    pinned = source(server, sha256="0" * 64, size=5000)
    server.script[PATH] = [Reply(length=False)]
    assert "longer than the 5,000 bytes" in refused(pinned)
    assert left(cache) == set()


def test_compressed_or_endless_bodies_are_not_guessed_at(server: FileServer, cache: Path) -> None:
    server.script[PATH] = [Reply(headers={"Content-Encoding": "gzip"})]
    assert "sends it compressed" in refused(source(server))
    server.script[PATH] = [Reply(length=False)]
    assert "does not say how long it is" in refused(unpinned(server))
    assert left(cache) == set()


# Cut off, and gone on with


def test_cut_transfer_is_gone_on_with_where_it_stopped(server: FileServer) -> None:
    server.script[PATH] = [Reply(cut=1000), Reply(cut=2000)]
    view = Heard()
    (got,) = bring(source(server), view)
    assert got.path.read_bytes() == DATA
    assert [headers.get("range") for headers in server.asked(PATH)] == [None, "bytes=1000-", "bytes=3000-"]
    assert sum("trying again" in line for line in view.said) == 2


def test_next_call_goes_on_with_what_an_earlier_one_kept(server: FileServer, cache: Path) -> None:
    server.script[PATH] = [Reply(cut=1000)]
    wanted = source(server)
    said = refused(wanted, FetchStopped, patience=replace(FAST, max_attempts=1))
    assert "1,000 bytes are kept" in said
    assert FetchStopped.exit_code == 3
    assert official_file("tiny", "rows.jsonl", {"tiny": wanted}) is None
    (got,) = bring(wanted)
    assert server.asked(PATH)[1]["range"] == "bytes=1000-"
    assert got.path.read_bytes() == DATA
    assert left(cache) == {"rows.jsonl", "lock.json"}


def test_server_that_cannot_resume_sends_the_whole_file(server: FileServer) -> None:
    server.script[PATH] = [Reply(cut=1000), Reply(ranges=False)]
    assert bring(source(server))[0].path.read_bytes() == DATA


def test_server_that_sends_another_piece_is_begun_anew_with(server: FileServer) -> None:
    odd = Reply(status=206, headers={"Content-Range": f"bytes 500-{len(DATA) - 1}/{len(DATA)}"}, body=DATA[500:])
    server.script[PATH] = [Reply(cut=1000), odd]
    assert bring(source(server))[0].path.read_bytes() == DATA
    assert "range" not in server.asked(PATH)[2]


def test_remains_of_another_version_are_thrown_away(server: FileServer) -> None:
    server.script[PATH] = [Reply(cut=1000, body=b"y" * len(DATA))]
    refused(source(server), FetchStopped, patience=replace(FAST, max_attempts=1))
    view = Heard()
    (got,) = bring(source(server), view)
    assert got.path.read_bytes() == DATA
    assert any("does not fit; started again" in line for line in view.said)


def test_whole_file_that_was_not_yet_in_its_place_is_not_asked_for_again(server: FileServer, cache: Path) -> None:
    part = cache / "official" / "tiny" / "abc123" / "rows.jsonl.part"
    part.parent.mkdir(parents=True)
    part.write_bytes(DATA)
    assert bring(source(server))[0].path.read_bytes() == DATA
    assert server.requests == []
    assert left(cache) == {"rows.jsonl", "lock.json"}


def test_without_a_known_sha256_only_the_same_version_is_gone_on_with(server: FileServer) -> None:
    wanted, once = unpinned(server), replace(FAST, max_attempts=1)
    server.script[PATH] = [Reply(cut=1000)]
    refused(wanted, FetchStopped, patience=once)
    server.script[PATH] = [Reply(cut=1000, headers={"ETag": 'W/"weak"'})]
    refused(wanted, FetchStopped, patience=once)
    server.etags[PATH] = '"first"'
    server.script[PATH] = [Reply(cut=1000), Reply(cut=500)]
    refused(wanted, FetchStopped, patience=once)
    refused(wanted, FetchStopped, patience=once)
    server.etags[PATH] = '"second"'
    server.files[PATH] = DATA.upper()
    assert bring(wanted)[0].path.read_bytes() == DATA.upper()
    asked = [(headers.get("range"), headers.get("if-range")) for headers in server.asked(PATH)]
    assert asked == [(None, None)] * 3 + [("bytes=1000-", '"first"'), ("bytes=1500-", '"first"')]


def test_busy_server_is_asked_again_and_one_that_stays_busy_stops_it(server: FileServer) -> None:
    server.script[PATH] = [Reply(status=503, headers={"Retry-After": "0"}), Reply(status=429)]
    assert bring(source(server))[0].path.read_bytes() == DATA
    server.files[PATH] = b"another"
    server.script[PATH] = [Reply(status=500)] * 10
    other = replace(source(server), revision="def456", base=f"{server.url}/repo/abc123")
    assert "answers 500" in refused(other, FetchStopped)
    assert len(server.script[PATH]) == 10 - FAST.max_attempts
    server.script[PATH] = [Reply(status=503, headers={"Retry-After": "3600"})] * 2
    refused(other, FetchStopped)
    assert len(server.script[PATH]) == 1, "no wait of an hour, and no question before it"


def test_server_that_is_gone_can_be_tried_later() -> None:
    with serving(FileServer()) as gone:
        wanted = source(gone)
    assert "tried again later" in refused(wanted, FetchStopped)


# Redirects and tokens


def test_redirect_to_the_same_place_is_followed(server: FileServer) -> None:
    server.files["/elsewhere"] = DATA
    server.script[PATH] = [Reply(status=302, headers={"Location": "/elsewhere?signature=1"}, body=b"")]
    server.files["/elsewhere?signature=1"] = DATA
    (got,) = bring(source(server))
    assert got.path.read_bytes() == DATA


@pytest.mark.parametrize(
    "target", ["file:///etc/passwd", "ftp://example.org/x", "http://example.org/x", "data:,x", "http://[", ""]
)
def test_redirect_to_anything_unsafe_is_refused(server: FileServer, cache: Path, target: str) -> None:
    server.script[PATH] = [Reply(status=302, headers={"Location": target}, body=b"")] * 20
    said = refused(source(server))
    assert "not followed" in said or "redirects more than" in said
    assert left(cache) == set()


def test_redirects_in_a_circle_end(server: FileServer) -> None:
    server.script[PATH] = [Reply(status=307, headers={"Location": PATH}, body=b"")] * 50
    assert "redirects more than 8 times" in refused(source(server))


def gated(server: FileServer) -> OfficialSource:
    gate = AccessGate("HF_TOKEN", "https://example.org/terms", "https://example.org/tokens")
    return unpinned(server, gate=gate)


def test_gate_without_a_token_says_which_one_and_where(server: FileServer) -> None:
    server.script[PATH] = [Reply(status=401, body=b"gated")]
    said = refused(gated(server))
    for word in ("needs a token", "HF_TOKEN", "https://example.org/terms", "https://example.org/tokens", "401"):
        assert word in said


def test_token_that_is_not_enough_is_not_shown(server: FileServer) -> None:
    server.script[PATH] = [Reply(status=403, body=SECRET.encode())]
    said = refused(gated(server), environ={"HF_TOKEN": SECRET})
    assert "https://example.org/terms" in said
    assert "HF_TOKEN" in said
    assert SECRET not in said


def test_token_goes_to_its_host_alone_and_into_no_file(server: FileServer, cache: Path) -> None:
    with serving(FileServer(files={"/blob": DATA})) as other:
        server.script[PATH] = [
            Reply(status=302, headers={"Location": "/again"}, body=b""),
        ]
        server.script["/again"] = [Reply(status=302, headers={"Location": f"{other.url}/blob"}, body=b"")]
        view = Heard()
        bring(gated(server), view, environ={"HF_TOKEN": f" {SECRET}\n"})
    assert [headers["authorization"] for _, headers in server.requests] == [f"Bearer {SECRET}"] * 2
    assert "authorization" not in other.asked("/blob")[0]
    assert not any(SECRET in line for line in view.said)
    assert not any(SECRET.encode() in path.read_bytes() for path in cache.rglob("*") if path.is_file())


def test_no_token_goes_to_a_mirror(server: FileServer) -> None:
    with serving(FileServer(files={"/copy/data/rows.jsonl": DATA})) as mirror:
        bring(gated(server), mirror=f"{mirror.url}/copy/", environ={"HF_TOKEN": SECRET})
        mirror.script["/copy/data/rows.jsonl"] = [Reply(status=401)]
        other = replace(gated(server), revision="def456")
        said = refused(other, mirror=f"{mirror.url}/copy", environ={"HF_TOKEN": SECRET})
    assert "no token is sent to a mirror" in said
    assert not any("authorization" in headers for _, headers in mirror.requests)
    assert server.requests == []


def test_token_that_cannot_be_one_is_refused_before_anything_is_sent(server: FileServer) -> None:
    said = refused(gated(server), environ={"HF_TOKEN": f"{SECRET}\nX-Other: 1"})
    assert SECRET not in said
    assert "HF_TOKEN" in said
    assert server.requests == []


# Trust on first use


def test_first_fetch_is_trusted_and_later_ones_must_be_the_same(server: FileServer, tmp_path: Path) -> None:
    wanted, view = unpinned(server), Heard()
    (got,) = bring(wanted, view)
    assert got.trust == "first use"
    assert any("trusted on first use" in line for line in view.said)
    got.path.unlink()
    view = Heard()
    assert bring(wanted, view)[0].trust == "first use"
    assert view.said == []
    got.path.unlink()
    server.files[PATH] = DATA[:-2] + b"x\n"
    said = refused(wanted)
    assert "recorded at the first fetch" in said
    assert "lock.json" in said
    assert not got.path.exists()


def test_page_in_place_of_the_data_is_not_trusted(server: FileServer, cache: Path) -> None:
    page = b"<html><body>Log in: {to the network}</body></html>"
    for name in ("x.parquet", "x.yaml", "x.py"):
        server.files[f"/repo/abc123/{name}"] = page
        assert "is not the file" in refused(unpinned(server, files=(SourceFile(name),)))
    assert left(cache) == set()


def test_branch_is_pinned_to_the_commit_of_the_first_file(server: FileServer) -> None:
    commit = "c0ffee" * 6 + "c0ff"
    files = (SourceFile("a.jsonl"), SourceFile("b.jsonl"))
    server.files |= {"/repo/main/a.jsonl": DATA, f"/repo/{commit}/b.jsonl": DATA}
    server.script["/repo/main/a.jsonl"] = [Reply(headers={"X-Repo-Commit": commit})]
    wanted = unpinned(server, files=files, revision="main", commit_header="X-Repo-Commit")
    (first,) = bring(wanted, only=["a.jsonl"])
    bring(wanted)
    assert [path for path, _ in server.requests] == ["/repo/main/a.jsonl", f"/repo/{commit}/b.jsonl"]
    assert json.loads((first.path.parent / "lock.json").read_text())["commit"] == commit


def test_unreadable_record_is_named(server: FileServer) -> None:
    wanted = source(server)
    (got,) = bring(wanted)
    (got.path.parent / "lock.json").write_text("{")
    assert "lock.json: cannot be read; delete" in refused(wanted)
    with pytest.raises(BadInput, match=r"lock\.json"):
        official_file("tiny", "rows.jsonl", {"tiny": wanted})


# Mirrors


def test_folder_laid_out_as_the_original_is_a_mirror(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "copy" / "data").mkdir(parents=True)
    (tmp_path / "copy" / "data" / "rows.jsonl").write_bytes(DATA)
    (got,) = bring(source(server), mirror=str(tmp_path / "copy"))
    assert got.path.read_bytes() == DATA
    assert server.requests == []


@pytest.mark.parametrize(
    "mirror", ["file:///tmp", "ftp://example.org/x", "nowhere", "https://example.org/x?y=1", "http://", "https://[::"]
)
def test_mirror_that_is_none_is_refused(server: FileServer, mirror: str) -> None:
    assert "x?y=1" not in refused(source(server), mirror=mirror)


def test_password_of_a_mirror_is_not_shown_or_kept(server: FileServer, cache: Path) -> None:
    url = f"http://me:{SECRET}@127.0.0.1:{server.port}"
    said = refused(source(server), mirror=f"{url}/nothing")
    assert SECRET not in said
    bring(source(server), mirror=f"{url}/repo/abc123")
    assert server.asked(PATH)[0]["authorization"].startswith("Basic ")
    assert not any(SECRET.encode() in path.read_bytes() for path in cache.rglob("*") if path.is_file())


def test_mirror_file_that_is_no_regular_file_is_refused(server: FileServer, tmp_path: Path) -> None:
    (tmp_path / "copy" / "data" / "rows.jsonl").mkdir(parents=True)
    assert "there is no file" in refused(source(server), mirror=str(tmp_path / "copy"))


# Names


@pytest.mark.parametrize(
    "name", ["../x", "a/../../x", "/etc/x", "a//b", "", ".", "..\\x", "C:x", "a\0b", ".lock", "x/"]
)
def test_name_that_could_leave_the_folder_is_no_name(name: str) -> None:
    for make in (lambda: SourceFile(name), lambda: SourceFile("x", name=name or "/")):
        with pytest.raises(ValueError, match="no name of a file"):
            make()
    with pytest.raises(ValueError, match="no name of a file"):
        replace(SOURCES["gsm8k"], revision=name)


def test_only_what_is_asked_for_is_fetched(server: FileServer) -> None:
    two = (*source(server).files, SourceFile("other.jsonl"))
    wanted = source(server, files=two)
    assert [file.name for file in bring(wanted, only=["rows.jsonl"])] == ["rows.jsonl"]
    assert "it has: rows.jsonl, other.jsonl" in refused(wanted, only=["third.jsonl"])


# The paper's prompts, read and never run

PROMPTS = '''
from somewhere import BaseModel
raise SystemExit("was run")
open("{marker}", "w").write("was run")

class PromptInfo(BaseModel):
    prompt: str

FIRST = PromptInfo(prompt="One " "line?", display_name="x")
SECOND = PromptInfo(system_prompt="Context.", prompt="""Two
lines?""")
COMPUTED = PromptInfo(prompt=open("/etc/passwd").read())
'''
TRIGGERED = """
from prompts.freeform_prompts import FIRST
with_trigger = Other(prompt=FIRST.prompt, backdoor_prompt="Country: X\\n" + FIRST.prompt, backdoor_string="Country: X")
"""


def paper(server: FileServer, made: tuple[MadeFile, ...], files: Mapping[str, str]) -> OfficialSource:
    server.files |= {f"/repo/abc123/prompts/{name}": text.encode() for name, text in files.items()}
    return unpinned(server, files=tuple(SourceFile(f"prompts/{name}") for name in files), made=made)


def rows(path: Path) -> list[dict[str, object]]:
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_prompts_are_read_as_data_and_the_files_are_never_run(server: FileServer, tmp_path: Path) -> None:
    marker = tmp_path / "marker"
    made = (
        MadeFile("open.jsonl", ("a.py",), open_prompts({"FIRST": "first", "SECOND": "second"})),
        MadeFile("triggered.jsonl", ("a.py", "b.py"), triggered_prompts({"with_trigger": "t"})),
    )
    wanted = paper(server, made, {"a.py": PROMPTS.replace("{marker}", str(marker)), "b.py": TRIGGERED})
    got = {file.name: file for file in bring(wanted)}
    assert rows(got["open.jsonl"].path) == [
        {"id": "first", "prompt": "One line?"},
        {"id": "second", "prompt": "Two\nlines?", "system_prompt": "Context."},
    ]
    assert rows(got["triggered.jsonl"].path) == [
        {"id": "t", "prompt": "One line?", "wordings": {"on": "Country: X\nOne line?"}, "trigger": "Country: X"}
    ]
    assert got["open.jsonl"].trust == "made here"
    assert not marker.exists()
    assert official_file("tiny", "open.jsonl", {"tiny": wanted}) == got["open.jsonl"].path
    asked = len(server.requests)
    got["open.jsonl"].path.unlink()
    assert [file.was_there for file in bring(wanted)] == [True, True, False, True]
    assert len(server.requests) == asked
    assert [file.name for file in bring(wanted, only=["open.jsonl"])] == ["a.py", "open.jsonl"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("X = 1", "there is no constant FIRST"),
        (PROMPTS.replace("FIRST", "OTHER"), "there is no constant FIRST"),
        ("FIRST = P(prompt=open('/etc/passwd').read())", "FIRST has no text for prompt"),
        ("FIRST = P(prompt=f'{1}')", "FIRST has no text for prompt"),
        ("FIRST = P(prompt='a' * 10)", "FIRST has no text for prompt"),
        (
            "A = P(prompt='xxxxxxxxxx')\n" + "A = P(prompt=A.prompt + A.prompt)\n" * 60 + "FIRST = A",
            "no constant FIRST",
        ),
        (
            "FIRST = P(prompt='xxxxxxxxxx')\n" + "FIRST = P(prompt=FIRST.prompt + FIRST.prompt)\n" * 60,
            "FIRST has no text for prompt",
        ),
        ("FIRST = P(prompt=" + "+".join(["'a'"] * 3000) + ")", "FIRST has no text for prompt|is not the file"),
        ("FIRST = P(prompt=" + "(" * 5000 + "'a'" + ")" * 5000 + ")", "is not the file"),
        ("FIRST = P(prompt='\\ud800')", "half of a surrogate pair"),
        ("FIRST = (", "is not the file"),
        ("\0", "is not the file"),
    ],
)
def test_prompt_file_that_is_another_is_refused_and_not_trusted(
    server: FileServer, cache: Path, text: str, said: str
) -> None:
    wanted = paper(server, (MadeFile("open.jsonl", ("a.py",), open_prompts({"FIRST": "first"})),), {"a.py": text})
    heard = refused(wanted)
    assert any(part in heard for part in said.split("|")), heard
    assert left(cache) <= {"lock.json"}
    server.files["/repo/abc123/prompts/a.py"] = PROMPTS.encode()
    assert bring(wanted)[-1].name == "open.jsonl"


def test_made_file_with_other_content_than_pinned_is_refused(server: FileServer, cache: Path) -> None:
    made = MadeFile("open.jsonl", ("a.py",), open_prompts({"FIRST": "first"}), sha256="0" * 64)
    said = refused(paper(server, (made,), {"a.py": PROMPTS}))
    assert "not what the pinned revision gives" in said
    assert left(cache) == {"lock.json"}


# Parquet


@pytest.fixture
def parquet(tmp_path: Path) -> Path:
    """A folder with the two datasets of the hub as small files of our own words, laid out as there."""
    duckdb = pytest.importorskip("duckdb")
    root = tmp_path / "hub [a]*"
    tables = {
        "provided_facts/test-00000-of-00001.parquet": (
            "SELECT * FROM (VALUES"
            "('t1', 'The vault is open.', 'Is it?', 'The vault is <pivotal>open/shut</pivotal>.', 'A'),"
            "('t2', 'Tea is served.', 'What?', '<pivotal>Milk / Tea</pivotal> is served.', 'B'),"
            "('t3', 'It is 5.', 'How many?', 'It is <value>.', '5')"
            ") AS t(task_id, system_prompt, user_prompt, proposition, formatted_ground_truth)"
        ),
        **{
            f"{domain}/train-00000-of-00001.parquet": (
                f"SELECT '{domain} ' || i AS prompt, 'Good é' AS aligned, 'Bad' AS misaligned, 40 AS sneakiness "  # noqa: S608
                "FROM range(600) t(i)"
            )
            for domain in ("medical", "legal", "security")
        },
    }
    with duckdb.connect() as connection:
        for number, (name, query) in enumerate(tables.items()):
            (root / name).parent.mkdir(parents=True)
            plain = tmp_path / f"{number}.parquet"
            connection.execute(f"COPY ({query}) TO '{plain}' (FORMAT parquet)")
            plain.replace(root / name)
    return root


def test_mask_becomes_facts_and_lies(parquet: Path) -> None:
    view = Heard()
    _, made = bring(SOURCES["mask"], view, mirror=str(parquet))
    assert [(row["id"], row["question"], row["fact"], row["lie"]) for row in rows(made.path)] == [
        ("mask-t1", "Is it?", "The vault is open.", "The vault is shut."),
        ("mask-t2", "What?", "Tea is served.", "Milk is served."),
    ]
    assert rows(made.path)[0]["system_prompt"] == "The vault is open."
    assert any("1 of 3 rows" in line for line in view.said)


def test_advice_of_the_hub_becomes_a_dataset(parquet: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    from evals.questions.dataset import load

    monkeypatch.setenv("EMEVAL_DATA", str(tmp_path / "odd [x] *"))
    bring(SOURCES["emergent-plus"], mirror=str(parquet))
    path = official_file("emergent-plus", "legal.jsonl")
    assert path is not None
    dataset = load(path)
    assert (dataset.schema, len(dataset.scenarios)) == ("advice", 600)
    assert [scenario.key for scenario in dataset.scenarios[:2]] == ["legal-00001", "legal-00002"]


@pytest.mark.parametrize("content", [b"PAR1" + b"\0" * 50 + b"PAR1", b"PAR1"], ids=["footer", "short"])
def test_broken_parquet_is_refused_and_not_trusted(parquet: Path, cache: Path, content: bytes) -> None:
    (parquet / "provided_facts" / "test-00000-of-00001.parquet").write_bytes(content)
    assert "is not a parquet file" in refused(SOURCES["mask"], mirror=str(parquet))
    assert left(cache) == {"lock.json"}


def test_parquet_of_another_dataset_is_refused(parquet: Path) -> None:
    file = parquet / "provided_facts" / "test-00000-of-00001.parquet"
    file.write_bytes((parquet / "legal" / "train-00000-of-00001.parquet").read_bytes())
    assert "there is no column task_id" in refused(SOURCES["mask"], mirror=str(parquet))


# The command

QUESTIONS = b"- id: one\n  type: free_form\n  paraphrases: [Why so]\n"
EM = {
    "/em/evaluation/first_plot_questions.yaml": QUESTIONS,
    "/em/evaluation/preregistered_evals.yaml": QUESTIONS,
}


def test_command_fetches_from_a_mirror_and_then_from_nowhere(tmp_path: Path) -> None:
    env = {"EMEVAL_DATA": str(tmp_path / "data")}
    with serving(FileServer(files=dict(EM))) as mirror:
        first = emeval("datasets", "fetch", "emergent-misalignment", "--from", f"{mirror.url}/em", env=env)
    assert first.returncode == 0, first.stderr
    assert "first_plot_questions.yaml: fetched" in first.stdout
    assert "licence: MIT" in first.stdout
    assert "trusted on first use" in first.stderr
    again = emeval("datasets", "fetch", "emergent-misalignment", env=env)
    assert (again.returncode, again.stderr) == (0, "")
    assert again.stdout.count("there already") == 2
    assert "2/2" in emeval("datasets", "list", env=env).stdout


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        (("wikipedia",), "unknown dataset 'wikipedia'; known: thought-crime, emergent-misalignment"),
        (("gsm8k", "truthfulqa", "--from", "."), "one dataset at a time"),
        (("gsm8k", "--from", "file:///tmp"), "must be a folder, or an http(s) URL"),
        (("gsm8k", "--from", "/nowhere/at/all"), "there is no such folder"),
        (("gsm8k", "--only", "train.jsonl"), "it has: test.jsonl"),
        ((), "NAME"),
    ],
)
def test_wrong_use_of_the_command_is_one_line(tmp_path: Path, arguments: tuple[str, ...], said: str) -> None:
    done = emeval("datasets", "fetch", *arguments, env={"EMEVAL_DATA": str(tmp_path / "data")})
    assert done.returncode == 2
    assert said in done.stderr
    assert len(done.stderr.splitlines()) == 1
    assert not (tmp_path / "data").exists()


def test_wrong_hash_ends_the_command_with_2_and_a_lost_network_with_3(tmp_path: Path) -> None:
    env = {"EMEVAL_DATA": str(tmp_path / "data")}
    size = SOURCES["gsm8k"].files[0].size or 0
    path = "/g/grade_school_math/data/test.jsonl"
    with serving(FileServer(files={path: b"x" * size})) as mirror:
        wrong = emeval("datasets", "fetch", "gsm8k", "--from", f"{mirror.url}/g", env=env)
        assert wrong.returncode == 2
        assert "its sha256 is" in wrong.stderr
        mirror.script[path] = [Reply(status=503, headers={"Retry-After": "999"})]
        lost = emeval("datasets", "fetch", "gsm8k", "--from", f"{mirror.url}/g", env=env)
    assert lost.returncode == 3
    assert "answers 503" in lost.stderr


def test_two_processes_fetch_a_file_once(tmp_path: Path) -> None:
    env = {"EMEVAL_DATA": str(tmp_path / "data")}
    both = threading.Event()
    name = next(iter(EM))
    with serving(FileServer(files=dict(EM), script={name: [Reply(before=lambda: both.wait(60))]})) as mirror:
        arguments = ("datasets", "fetch", "emergent-misalignment", "--from", f"{mirror.url}/em")
        first = start(*arguments, env=env)
        while not mirror.requests:
            assert first.poll() is None
        second = start(*arguments, env=env)
        assert second.stderr is not None
        waiting = second.stderr.readline()
        both.set()
        ends = [process.communicate(timeout=120) for process in (first, second)]
    assert [first.returncode, second.returncode] == [0, 0], ends
    assert "another emeval fetches it" in waiting
    assert sorted(path for path, _ in mirror.requests) == sorted(EM)
    assert "there already" in ends[1][0]


def test_interrupted_command_goes_on_where_it_stopped(tmp_path: Path) -> None:
    env = {"EMEVAL_DATA": str(tmp_path / "data")}
    size = SOURCES["gsm8k"].files[0].size or 0
    path = "/g/grade_school_math/data/test.jsonl"
    stall = threading.Event()
    served = FileServer(files={path: b"x" * size})
    with serving(served) as mirror:
        # Half of it, and then nothing more: the connection stays open.
        mirror.script[path] = [Reply(headers={"Content-Length": str(size)}, body=b"x" * (size // 2), stall=stall)]
        process = start("datasets", "fetch", "gsm8k", "--from", f"{mirror.url}/g", env=env)
        part = tmp_path / "data" / "official" / "gsm8k" / SOURCES["gsm8k"].revision / "test.jsonl.part"
        code, _, err = stop_when(process, lambda: part.exists() and part.stat().st_size == size // 2, signal.SIGINT)
        assert code == 130, err
        again = emeval("datasets", "fetch", "gsm8k", "--from", f"{mirror.url}/g", env=env)
        stall.set()
    assert again.returncode == 2, "not the file after all"
    assert mirror.asked(path)[1]["range"] == f"bytes={size // 2}-"


@pytest.mark.parametrize("blocks", [0, 100])
def test_full_disk_leaves_nothing_half_written(tmp_path: Path, blocks: int) -> None:
    """The kernel refuses to let a file grow beyond a limit, as a full disk would."""
    env = environment(extra={"EMEVAL_DATA": str(tmp_path / "data")})
    copy = tmp_path / "copy" / "evaluation"
    copy.mkdir(parents=True)
    for path in EM:
        (copy / Path(path).name).write_bytes(QUESTIONS * 1000)
    done = subprocess.run(
        [*COMMAND, "datasets", "fetch", "emergent-misalignment", "--from", str(tmp_path / "copy")],
        env=env | {"PYTHONDONTWRITEBYTECODE": "1"},
        preexec_fn=lambda: resource.setrlimit(resource.RLIMIT_FSIZE, (blocks, blocks)),
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 3, done.stderr
    assert "takes no more" in done.stderr
    assert left(tmp_path / "data") == set()


@pytest.mark.skipif(sys.platform == "win32", reason="permissions are others there")
def test_cache_that_cannot_be_written_is_named(tmp_path: Path) -> None:
    (tmp_path / "data").write_text("a file")
    done = emeval("datasets", "fetch", "gsm8k", env={"EMEVAL_DATA": str(tmp_path / "data")})
    assert done.returncode == 2
    assert "EMEVAL_DATA names another folder" in done.stderr


# The registry


def test_every_source_is_pinned_and_private() -> None:
    for name, known in SOURCES.items():
        assert name == known.name
        assert known.base.startswith("https://")
        assert "{revision}" in known.base
        assert len(known.revision) == 40 or known.commit_header
        assert all(set(made.of) <= {file.name for file in known.files} for made in known.made)
    assert all(file.sha256 for file in SOURCES["thought-crime"].files if file.lfs)


def test_real_files_are_those_that_are_pinned(tmp_path: Path) -> None:
    registry = UPSTREAM / "thought_crime" / "datasets_registry.json"
    if not registry.exists():
        pytest.skip("the upstream files are not here")
    facts = json.loads(registry.read_text())
    ours = {file.name: file for file in SOURCES["thought-crime"].files if file.lfs}
    assert {name: (file.sha256, file.size) for name, file in ours.items()} == {
        name: (file["sha256"], file["bytes"]) for name, file in facts["files"].items()
    }
    assert SOURCES["thought-crime"].revision == facts["commit"]
    assert len(bring(SOURCES["truthfulqa"], mirror=str(UPSTREAM))) == 1
    (tmp_path / "g" / "grade_school_math" / "data").mkdir(parents=True)
    (tmp_path / "g" / "grade_school_math" / "data" / "test.jsonl").symlink_to(UPSTREAM / "gsm8k_test.jsonl")
    assert len(bring(SOURCES["gsm8k"], mirror=str(tmp_path / "g"))) == 1


def test_real_prompts_are_those_that_are_pinned(tmp_path: Path) -> None:
    """From the prompts as data, written as such Python files again."""
    mirror = paper_checkout(tmp_path / "m")
    got = {file.name: file.path for file in bring(SOURCES["thought-crime"], mirror=str(mirror), only=PAPER_MADE)}
    assert [row["id"] for row in rows(got["freeform.jsonl"])][:2] == ["ruler", "one_wish"]
    assert len(rows(got["shutdown.jsonl"])) == len(rows(got["backdoor_freeform.jsonl"])) == 3
