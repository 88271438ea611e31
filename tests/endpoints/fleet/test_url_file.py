"""A file of URLs: what its lines mean, and what changes in it count while a run goes on."""

from __future__ import annotations

import itertools
import os
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from evals.endpoints.fleet import url_file
from evals.endpoints.fleet.url_file import (
    MOST_URLS,
    Unreadable,
    UrlFile,
    UrlList,
    file_in,
    first_urls,
    parse_urls,
    read_content,
)
from evals.errors import BadInput
from evals.io.web.urls import url_problem

FILE = Path("/x/urls.txt")
GPU = "http://gpu1:8000/v1"


@pytest.mark.parametrize(
    ("content", "urls"),
    [
        (b"", ()),
        (b"\n  \n# none yet\n", ()),
        (b"http://gpu1:8000/v1", (GPU,)),
        (b"\xef\xbb\xbfhttp://gpu1:8000/v1/\r\n\r\nhttps://h.example/v1\r\n", (GPU, "https://h.example/v1")),
        (b"  http://gpu1:8000/v1\t # job 17\n", (GPU,)),
    ],
)
def test_a_line_is_a_url_or_a_comment(content: bytes, urls: tuple[str, ...]) -> None:
    assert parse_urls(content, FILE) == UrlList(urls, ())


@pytest.mark.parametrize(
    ("line", "problem"),
    [
        (b"gpu1:8000", "the URL is not an http(s) URL"),
        (b"http://user:secret@gpu1/v1", "the URL holds a user name or password; put the key into the environment"),
        (b"http://gpu1/v1?key=secret", "the URL holds a query or a fragment"),
        (b"http://gpu1/v1 http://gpu2/v1", "holds more than one URL; write each on a line of its own"),
        (b"http://gpu1/v1,http://gpu2/v1", "holds more than one URL; write each on a line of its own"),
        (b"http://gpu1:8000/v1/", "is the URL of line 1 again"),
        (b"http://gpu\xff/v1", "is not UTF-8 text"),
        (b"http://gpu\x001/v1", "is no URL"),
        (b"http://" + b"a" * 3000, "is no URL"),
    ],
)
def test_a_line_that_is_no_url_is_named_and_the_others_are_read(line: bytes, problem: str) -> None:
    found = parse_urls(GPU.encode() + b"\n" + line + b"\nhttp://gpu3/v1\n", FILE)
    assert found.urls == (GPU, "http://gpu3/v1")
    [said] = found.problems
    assert said.startswith(f"{FILE}:2: {problem}")
    assert "secret" not in said


def test_no_more_urls_are_read_than_a_run_can_ask() -> None:
    found = parse_urls("".join(f"http://h{number}/v1\n" for number in range(MOST_URLS + 5)).encode(), FILE)
    assert len(found.urls) == MOST_URLS
    assert found.problems == (f"{FILE}:{MOST_URLS + 1}: is one URL too many; at most 1,000 are read",)


@given(st.binary(max_size=200) | st.lists(st.sampled_from([b"http://a/v1", b"#x", b"", b"\x00"])).map(b"\n".join))
def test_whatever_a_file_holds_each_url_is_one_and_there_once(content: bytes) -> None:
    found = parse_urls(content, FILE)
    assert len(set(found.urls)) == len(found.urls)
    assert not [url for url in found.urls if url_problem(url)]
    assert all("\n" not in problem and problem.startswith(f"{FILE}:") for problem in found.problems)


def test_at_the_start_a_file_must_be_right(tmp_path: Path) -> None:
    path = tmp_path / "urls.txt"
    with pytest.raises(BadInput, match=r"--base-url: .*urls.txt: there is no such file; --wait-for-servers SECONDS"):
        first_urls(path, "--base-url", may_be_empty=False)
    assert first_urls(path, "--base-url", may_be_empty=True) == ()
    path.write_text("# none\n")
    with pytest.raises(BadInput, match=r"urls.txt: lists no URL; --wait-for-servers"):
        first_urls(path, "--base-url", may_be_empty=False)
    assert first_urls(path, "--base-url", may_be_empty=True) == ()
    path.write_text(f"{GPU}\nnonsense\n")
    for may_be_empty in (False, True):
        with pytest.raises(BadInput, match=r"^--base-url: .*urls.txt:2: the URL is not an http\(s\) URL$"):
            first_urls(path, "--base-url", may_be_empty=may_be_empty)


def test_what_is_no_file_is_not_waited_for(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    (tmp_path / "large").write_bytes(b"#" * (2 << 20))
    for name, reason in (("", "it is a folder"), ("pipe", "it is a pipe"), ("large", "it is larger than 1 MiB")):
        found = read_content(tmp_path / name)
        assert isinstance(found, Unreadable)
        assert reason in found.reason
        with pytest.raises(BadInput, match=reason):
            first_urls(tmp_path / name, "--base-url", may_be_empty=True)


def test_only_an_at_sign_names_a_file() -> None:
    assert file_in("@urls.txt") == Path("urls.txt")
    assert (file_in(GPU), file_in(None)) == (None, None)


LINES = st.sampled_from([*(f"http://h{number}/v1" for number in range(4)), "nonsense", "# a comment", ""])
ENDS = st.sampled_from(["\n", "\n", ""])
FOUND = st.builds(lambda lines, end: ("\n".join(lines) + end).encode(), st.lists(LINES, max_size=4), ENDS) | st.builds(
    Unreadable, st.sampled_from(["there is no such file", "cannot be read: Permission denied"])
)


@given(st.lists(FOUND.flatmap(lambda found: st.lists(st.just(found), min_size=1, max_size=6)), max_size=20))
def test_only_what_looks_in_a_row_have_found_counts_and_nothing_empties_the_list(
    rounds: list[list[bytes | Unreadable]],
) -> None:
    """Two in a row; five, where the last line may be half of one."""
    said: list[str] = []
    file = UrlFile(FILE, ("http://first/v1",), said.append)
    before, same = None, 0
    for look in itertools.chain(*rounds):
        version, urls, lines = file.version, file.urls, len(said)
        file.note(look)
        found = UrlList((), ()) if isinstance(look, Unreadable) else parse_urls(look, FILE)
        before, same = look, same + 1 if look == before else 1
        is_half = isinstance(look, bytes) and bool(look) and not look.endswith(b"\n")
        settled = same >= (5 if is_half else 2)
        if settled and found.urls:
            assert file.urls == found.urls
        else:
            assert (file.version, file.urls) == (version, urls)
        assert settled or len(said) == lines


def test_a_file_that_is_gone_is_told_once_and_again_when_it_had_been_back() -> None:
    said: list[str] = []
    file = UrlFile(FILE, (GPU,), said.append)
    for look in [Unreadable("there is no such file")] * 9 + [f"{GPU}\n".encode()] * 3:
        file.note(look)
    assert said == [f"{FILE}: there is no such file; going on with what it listed before (1)"]
    for look in [Unreadable("there is no such file")] * 2:
        file.note(look)
    assert len(said) == 2


def test_a_line_that_is_no_url_is_told_once_while_others_change() -> None:
    said: list[str] = []
    file = UrlFile(FILE, (GPU,), said.append)
    for number in range(5):
        for _ in range(2):
            file.note(f"nonsense\n{GPU}\nhttp://h{number}/v1\n".encode())
    assert said == [f"{FILE}:1: the URL is not an http(s) URL; the line is left out"]


@pytest.mark.anyio
async def test_a_file_is_read_again_and_may_be_replaced(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(url_file, "LOOK_S", 0.0)
    path, new = tmp_path / "urls.txt", tmp_path / "new.txt"
    path.write_text(GPU)
    file = UrlFile(path, (GPU,), lambda text: pytest.fail(text))
    for content in ("http://a/v1\nhttp://b/v1\n", "http://b/v1\n"):
        new.write_text(content)
        new.replace(path)
        for _ in range(2):
            await file.look()
        assert file.urls == tuple(content.split())
