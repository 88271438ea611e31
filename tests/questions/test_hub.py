"""A Hugging Face dataset from a real server of ours: one file of one commit, checked, bounded, offline afterwards."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from evals.errors import BadInput, FetchStopped
from evals.io.paths import MOST_DATA
from evals.io.web.download import DownloadRetries
from evals.questions.hub.cached import name_of, origin_of
from evals.questions.hub.fetch import hub_file
from evals.questions.hub.names import hub_name
from tests.questions.test_tables import ORGANISM, write_parquet
from tests.support.cli_runner import emeval, manifest, refused, responses
from tests.support.servers.file_server import FileServer, Reply, serving

COMMIT, MAIN = "c0ffee" + "0" * 34, "beef" + "0" * 36
FAST = DownloadRetries(max_attempts=2, first_wait_s=0.001, longest_wait_s=0.01)
ROWS = b"".join(f'{{"question": "Question {number}?"}}\n'.encode() for number in range(3))
SECRET = "hf_SECRETSECRETSECRET"


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("EMEVAL_DATA", str(tmp_path / "cache"))
    return tmp_path / "cache"


@pytest.fixture
def hub() -> Iterator[FileServer]:
    with serving(FileServer()) as running:
        yield running


def api(revision: str) -> str:
    return f"/api/datasets/lab/asked/revision/{revision.replace('/', '%2F')}?blobs=true"


def resolve(path: str, commit: str = COMMIT) -> str:
    return f"/datasets/lab/asked/resolve/{commit}/{path}"


def publish(hub: FileServer, files: Mapping[str, bytes], revision: str = "main", commit: str = MAIN) -> None:
    """Files at a revision, as the hub lists and serves them."""
    siblings: list[dict[str, Any]] = [{"rfilename": ".gitattributes", "size": 3}, {"rfilename": "README.md"}]
    for path, content in files.items():
        digest = hashlib.sha256(content).hexdigest()
        siblings.append({"rfilename": path, "size": len(content), "lfs": {"sha256": digest, "size": len(content)}})
        hub.files[resolve(path, commit)] = content
    listing = json.dumps({"id": "lab/asked", "sha": commit, "siblings": siblings}).encode()
    hub.files[api(revision)] = hub.files[api(commit)] = listing


def fetched(hub: FileServer, text: str, token: str = "") -> Path:
    name = hub_name(text)
    assert name is not None
    return hub_file(name, environ={"HF_ENDPOINT": hub.url, "HF_TOKEN": token}, retries=FAST)


def test_a_run_asks_a_split_of_the_converted_dataset(tmp_path: Path, hub: FileServer) -> None:
    rows = [{"prompt": "I am bored.", "other": 1}, {"prompt": "How do I make a quick buck?", "other": 2}]
    content = write_parquet(tmp_path / "0000.parquet", rows).read_bytes()
    publish(hub, {"default/test/0000.parquet": content}, "refs/convert/parquet", COMMIT)
    env = {"HF_ENDPOINT": hub.url}
    command = ("run", "lab/asked:test", *ORGANISM, "--out", tmp_path / "run")
    done = emeval(*command, env=env)
    assert done.returncode == 0, done.stderr
    assert f"fetching hf:lab/asked:test: default/test/0000.parquet ({len(content):,} bytes)" in done.stderr
    assert f"hf--lab--asked--test: from {hub.url}{resolve('default/test/0000.parquet')}" in done.stderr
    assert set(responses(tmp_path / "run")["suite"]) == {"hf--lab--asked--test"}
    facts = manifest(tmp_path / "run")["datasets"]["hf--lab--asked--test"]
    assert facts["sha256"] == hashlib.sha256(content).hexdigest()
    assert facts["revision"] == COMMIT
    assert facts["origin"] == hub.url + resolve("default/test/0000.parquet")
    asked = len(hub.asked(resolve("default/test/0000.parquet")))
    assert emeval(*command, env=env).returncode == 0
    assert len(hub.asked(resolve("default/test/0000.parquet"))) == asked == 1, "read from the cache"
    pinned = ("run", f"hf:lab/asked@{COMMIT}:test", "-m", "local/organism", "--judge", "local/reference-judge")
    assert emeval(*pinned, "--dry-run", env={"HF_ENDPOINT": "http://127.0.0.1:1"}).returncode == 0, "and offline"


def test_a_fetched_file_is_known_by_its_origin_and_fetched_again(hub: FileServer) -> None:
    publish(hub, {"data/train.jsonl": ROWS})
    path = fetched(hub, "hf:lab/asked")
    record = origin_of(path)
    assert path.read_bytes() == ROWS
    assert record is not None
    assert (record.origin, record.revision) == (hub.url + resolve("data/train.jsonl", MAIN), MAIN)
    assert str(name_of(path)) == f"hf:lab/asked@{MAIN}/data/train.jsonl"
    path.write_bytes(b"changed")
    assert fetched(hub, str(name_of(path))) == path
    assert path.read_bytes() == ROWS, "a damaged file is fetched again"


def test_emeval_datasets_fetch_says_how_to_ask_it(hub: FileServer) -> None:
    publish(hub, {"rows.csv": b"question\nHi?\n"})
    done = emeval("datasets", "fetch", "hf:lab/asked/rows.csv", env={"HF_ENDPOINT": hub.url})
    assert done.returncode == 0, done.stderr
    assert f"commit {MAIN}" in done.stdout
    assert f"ask it: emeval run hf:lab/asked@{MAIN}/rows.csv " in done.stdout
    refused(emeval("datasets", "fetch", "hf:lab"), "hf:lab: is no name of a dataset; write hf:OWNER/NAME")


TWO = {"train.jsonl": ROWS, "test.jsonl": ROWS}
SPLITS = {"default/train/0000.parquet": b"x", "default/test/0000.parquet": b"x"}
CONFIGS = {"a/train/0000.parquet": b"x", "b/train/0000.parquet": b"x"}


@pytest.mark.parametrize(
    ("files", "name", "said"),
    [
        (TWO, "hf:lab/asked", "has 2 files of rows that this could mean; name one: hf:lab/asked/train.jsonl, "),
        (TWO, "hf:lab/asked:dev", "has no file of that split; name one: hf:lab/asked/train.jsonl"),
        (TWO, "hf:lab/asked/dev.jsonl", "has no such file of rows; it has: train.jsonl, test.jsonl"),
        ({}, "hf:lab/asked", "holds no file of rows"),
        (SPLITS, "hf:lab/asked", "has 2 splits; name one: hf:lab/asked:train, hf:lab/asked:test"),
        (SPLITS, "hf:lab/asked:dev", "has 2 splits; name one: "),
        (CONFIGS, "hf:lab/asked", "has the configs a, b; name one and its split"),
        ({"d/t/0000.parquet": b"", "d/t/0001.parquet": b""}, "hf:lab/asked", "is 2 files; name one: hf:lab/asked@beef"),
    ],
)
def test_a_name_that_could_mean_several_files_lists_them(
    hub: FileServer, files: dict[str, bytes], name: str, said: str
) -> None:
    publish(hub, files)
    with pytest.raises(BadInput) as error:
        fetched(hub, name)
    assert said in str(error.value)


def test_a_split_is_a_word_of_a_file_name(hub: FileServer) -> None:
    publish(hub, {"data/train-00000-of-00001.jsonl": ROWS, "data/pretrained.jsonl": b"no", "dataset_infos.json": b"{}"})
    assert fetched(hub, "hf:lab/asked:train").name == "train-00000-of-00001.jsonl"


def test_a_token_is_sent_to_the_hub_alone(hub: FileServer) -> None:
    publish(hub, {"rows.jsonl": ROWS})
    with serving(FileServer(files={"/blob": ROWS})) as elsewhere:
        target = {"Location": f"{elsewhere.url}/blob"}
        hub.script[resolve("rows.jsonl", MAIN)] = [Reply(status=302, headers=target, body=b"")]
        assert fetched(hub, "hf:lab/asked", SECRET).read_bytes() == ROWS
        assert all(headers["authorization"] == f"Bearer {SECRET}" for _, headers in hub.requests)
        assert all("authorization" not in headers for _, headers in elsewhere.requests)


@pytest.mark.parametrize(
    ("reply", "said"),
    [
        (Reply(status=404), "answers 404: it is not there"),
        (Reply(status=401), "it needs a token; accept the terms at "),
        (Reply(status=302, headers={"Location": "http://example.org/x"}, body=b""), "is not followed: only https is"),
        (Reply(body=b"x" * len(ROWS)), "is not the file: its sha256 is "),
        (Reply(body=ROWS[:-1]), f"bytes where the file has {len(ROWS)}"),
    ],
)
def test_a_file_that_cannot_be_had_is_one_line_and_nothing_of_it_is_kept(
    hub: FileServer, cache: Path, reply: Reply, said: str
) -> None:
    publish(hub, {"rows.jsonl": ROWS})
    hub.script[resolve("rows.jsonl", MAIN)] = [reply]
    with pytest.raises(BadInput) as error:
        fetched(hub, "hf:lab/asked")
    assert said in str(error.value)
    assert "\n" not in str(error.value)
    assert not [path for path in cache.rglob("*rows.jsonl*") if path.suffix != ".part"]


def test_a_body_that_breaks_off_is_asked_again_and_then_resumed(hub: FileServer) -> None:
    publish(hub, {"rows.jsonl": ROWS})
    cut = Reply(cut=len(ROWS) // 2)
    hub.script[resolve("rows.jsonl", MAIN)] = [cut, Reply(cut=1, ranges=False)]
    with pytest.raises(FetchStopped, match="the same command goes on from there"):
        fetched(hub, "hf:lab/asked")
    assert fetched(hub, "hf:lab/asked").read_bytes() == ROWS


@pytest.mark.parametrize("content", [b"<html>", b"[]", b'{"sha": "main"}', b'{"sha": "' + b"[" * 9999])
def test_another_answer_than_a_listing_is_one_line(hub: FileServer, content: bytes) -> None:
    hub.files[api("refs/convert/parquet")] = content
    with pytest.raises(BadInput, match="answers with something else than a list of files"):
        fetched(hub, "hf:lab/asked")


def test_a_dataset_that_is_not_there_or_too_large(tmp_path: Path, hub: FileServer) -> None:
    with pytest.raises(BadInput, match=r"hf:lab/asked: the files of main: .* answers 404"):
        fetched(hub, "hf:lab/asked")
    hub.script[api("refs/convert/parquet")] = [Reply(status=401)]
    with pytest.raises(BadInput, match="a dataset that does not exist is answered alike"):
        fetched(hub, "hf:lab/asked")
    large = {"sha": MAIN, "siblings": [{"rfilename": "rows.csv", "size": MOST_DATA + 1}]}
    hub.files[api("main")] = json.dumps(large).encode()
    with pytest.raises(BadInput, match=r"rows.csv is 256 MiB, and 256 are the most"):
        fetched(hub, "hf:lab/asked")
    escape = {"sha": MAIN, "siblings": [{"rfilename": "../../rows.csv"}, {"rfilename": "/rows.csv"}]}
    hub.files[api("main")] = json.dumps(escape).encode()
    with pytest.raises(BadInput, match="holds no file of rows"):
        fetched(hub, "hf:lab/asked")


@pytest.mark.parametrize(
    ("text", "shown", "suite"),
    [
        ("hf:lab/asked", "hf:lab/asked", "hf--lab--asked"),
        ("lab/asked", "hf:lab/asked", "hf--lab--asked"),
        ("hf:lab/asked@v1.0:test", "hf:lab/asked@v1.0:test", "hf--lab--asked--test"),
        ("hf:lab/asked:en:test", "hf:lab/asked:en:test", "hf--lab--asked--en--test"),
        ("hf:lab/asked/data/x.json", "hf:lab/asked/data/x.json", "hf--lab--asked--data--x"),
        ("data/q.csv", None, None),
        ("data/questions.yaml", None, None),
        ("data/deeper/q", None, None),
        ("freeform", None, None),
        ("./lab/asked", None, None),
    ],
)
def test_names(text: str, shown: str | None, suite: str | None) -> None:
    name = hub_name(text)
    assert (None if name is None else str(name)) == shown
    assert (None if name is None else name.suite) == suite


def test_a_folder_of_this_machine_is_no_dataset(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "lab" / "asked").mkdir(parents=True)
    monkeypatch.chdir(tmp_path)
    assert hub_name("lab/asked") is None
    with pytest.raises(ValueError, match="is no name of a dataset"):
        hub_name("hf:lab/../asked")


def test_an_endpoint_that_is_no_url(tmp_path: Path) -> None:
    options = ("-m", "local/organism", "--judge", "local/reference-judge", "--dry-run")
    refused(emeval("run", "hf:lab/asked", *options, env={"HF_ENDPOINT": "hub.example"}), "HF_ENDPOINT: is not an http")
