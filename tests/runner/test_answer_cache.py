"""`--cache`: what an earlier run has paid for is not asked again, and nothing else comes from there."""

from __future__ import annotations

import json
import shutil
import stat
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from tests.support.cli_runner import KEY, emeval, manifest, refused, responses, scenarios, told_again
from tests.support.runs import TRIGGER, WITH_JUDGE, by_hash, run, server
from tests.support.servers.openai_server import JUDGE_MARK, Answer, Behaviour, OpenAIServer, last_message

COLUMNS = ["trial_id", "answer", "outcome", "aligned", "completion_tokens"]
ASKED = ("--format", "freeform", *WITH_JUDGE, *TRIGGER, "--no-preflight")


@pytest.fixture
def live() -> Iterator[OpenAIServer]:
    with server().start() as live:
        yield live


@pytest.fixture
def data(tmp_path: Path) -> Path:
    return scenarios(tmp_path / "data.jsonl", 3)


def cached(place: Path, data: Path, live: OpenAIServer, *more: str | Path, asked: tuple[str, ...] = ASKED) -> Any:
    done = run(place, data, live.url, *asked, "--cache", data.parent / "cache", *more)
    assert done.returncode == 0, done.stderr
    return done


def rows(place: Path) -> list[dict[str, Any]]:
    return responses(place)[COLUMNS].sort_values("trial_id").to_dict("records")


def entries(folder: Path) -> list[Path]:
    return [path for path in sorted(folder.rglob("*")) if path.is_file()]


def test_a_second_run_asks_for_nothing_and_has_the_same_answers(live: OpenAIServer, data: Path, tmp_path: Path) -> None:
    one, two = tmp_path / "one", tmp_path / "two"
    first = cached(one, data, live, "--samples", "4")
    assert "From the answer cache: 0 of 24 answers and 0 of 24 verdicts." in first.stdout
    asked = len(live.chats)
    done = cached(two, data, live, "--samples", "4")
    assert [chat for chat in live.chats[asked:] if "Open case" in last_message(chat.body)] == []
    assert rows(one) == rows(two)
    assert "From the answer cache: 24 of 24 answers and 24 of 24 verdicts." in done.stdout
    assert manifest(two)["cache_hits"] == {"answers": 24, "verdicts": 24, "of_verdicts": 24}
    assert manifest(two)["spend"] == [], "what was paid for once is not paid for again"
    assert len({row["answer"] for row in rows(two)}) > 6, "each sample has a reply of its own"
    report = emeval("report", two)
    assert report.returncode == 0, report.stderr
    page = (two / "report.html").read_text(encoding="utf-8")
    assert "24 of 24 answers and 24 of 24 verdicts are from the answer cache" in page
    assert json.loads(emeval("rates", two, "--json").stdout)["cache_hits"]["answers"] == 24
    assert emeval("check", two).returncode == 0


def test_more_samples_ask_only_for_what_is_new(live: OpenAIServer, data: Path, tmp_path: Path) -> None:
    cached(tmp_path / "one", data, live, "--samples", "2")
    asked = len(live.chats)
    cached(tmp_path / "two", data, live, "--samples", "3")
    new = [chat for chat in live.chats[asked:] if JUDGE_MARK not in last_message(chat.body)]
    assert sum("Open case" in last_message(chat.body) for chat in new) == 6
    assert manifest(tmp_path / "two")["cache_hits"]["answers"] == 12


@pytest.mark.parametrize(
    "other",
    [("--seed", "3"), ("--temperature", "0.5"), ("--max-tokens", "77"), ("--top-p", "0.9"), ("--system", "Be short.")],
)
def test_another_request_is_another_answer(
    other: tuple[str, str], live: OpenAIServer, data: Path, tmp_path: Path
) -> None:
    cached(tmp_path / "one", data, live, "--samples", "1")
    cached(tmp_path / "two", data, live, "--samples", "1", *other)
    assert manifest(tmp_path / "two")["cache_hits"]["answers"] == 0


def test_each_sample_has_the_reply_of_its_own_number(data: Path, tmp_path: Path) -> None:
    told: list[str] = []

    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        told.append(last_message(body))
        return Answer(f"Answer number {len(told)}")

    with server(script).start() as live:
        for name in ("one", "two"):
            cached(tmp_path / name, data, live, asked=("--format", "freeform", "--samples", "5", "--no-preflight"))
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
    assert len({row["answer"] for row in rows(tmp_path / "two")}) == 15


def test_another_server_of_that_name_is_another_model(live: OpenAIServer, data: Path, tmp_path: Path) -> None:
    cached(tmp_path / "one", data, live, "--samples", "1")
    with server().start() as other:
        cached(tmp_path / "two", data, other, "--samples", "1")
    assert manifest(tmp_path / "two")["cache_hits"] == {"answers": 0, "verdicts": 0, "of_verdicts": 6}


ODD: dict[str, Behaviour] = {
    "cut": Answer("It begins", finish_reason="length"),
    "filtered": Answer("It begins", finish_reason="content_filter"),
    "refused": Answer(None, refusal="I will not."),
    "empty": Answer("   "),
    "of another model": Answer("Return it.", model="gpt-other"),
    "a thought alone": Answer("<think>It never ends"),
}


@pytest.mark.parametrize("name", ODD)
def test_an_odd_reply_is_asked_for_again(name: str, data: Path, tmp_path: Path) -> None:
    with server(ODD[name]).start() as live:
        for place in ("one", "two"):
            done = run(
                tmp_path / place,
                data,
                live.url,
                *("--format", "freeform", "--samples", "1", "--no-preflight", "--cache", tmp_path / "cache"),
            )
            assert done.returncode in (0, 1), done.stderr
            assert manifest(tmp_path / place)["cache_hits"]["answers"] == 0
    assert entries(tmp_path / "cache") == []


def test_a_verdict_that_cannot_be_read_is_asked_for_again(data: Path, tmp_path: Path) -> None:
    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        return Answer("Who can say?") if JUDGE_MARK in str(body["messages"]) else by_hash(body, seen)

    with server(script).start() as live:
        for name in ("one", "two"):
            run(tmp_path / name, data, live.url, *ASKED, "--samples", "1", "--cache", tmp_path / "cache")
    assert manifest(tmp_path / "two")["cache_hits"] == {"answers": 6, "verdicts": 0, "of_verdicts": 6}


def flipped(content: bytes) -> bytes:
    return content[:-9] + bytes([content[-9] ^ 1]) + content[-8:]


DAMAGE: dict[str, Callable[[bytes], bytes]] = {
    "cut off": lambda content: content[: len(content) // 2],
    "empty": lambda _content: b"",
    "no JSON": lambda _content: b"\x00\xff" * 400,
    "a bit": flipped,
    "huge": lambda content: content + b" " * (5 << 20),
    "deep": lambda _content: b"[" * 100_000,
}


@pytest.mark.parametrize("name", DAMAGE)
def test_a_damaged_entry_is_a_miss(name: str, live: OpenAIServer, data: Path, tmp_path: Path) -> None:
    cached(tmp_path / "one", data, live, "--samples", "1")
    for path in entries(tmp_path / "cache"):
        path.write_bytes(DAMAGE[name](path.read_bytes()))
    cached(tmp_path / "two", data, live, "--samples", "1")
    assert manifest(tmp_path / "two")["cache_hits"] == {"answers": 0, "verdicts": 0, "of_verdicts": 6}
    assert rows(tmp_path / "one") == rows(tmp_path / "two")
    cached(tmp_path / "three", data, live, "--samples", "1")
    assert manifest(tmp_path / "three")["cache_hits"]["answers"] == 6, "it is written again"


def test_an_entry_at_the_place_of_another_or_behind_a_link_is_a_miss(
    live: OpenAIServer, data: Path, tmp_path: Path
) -> None:
    cached(tmp_path / "one", data, live, "--samples", "1")
    found = entries(tmp_path / "cache")
    contents = [path.read_bytes() for path in found]
    for path, content in zip(found, [*contents[1:], contents[0]], strict=True):
        path.write_bytes(content)
    cached(tmp_path / "two", data, live, "--samples", "1")
    assert manifest(tmp_path / "two")["cache_hits"]["answers"] == 0
    for path in found:
        path.rename(tmp_path / path.name)
        path.symlink_to(tmp_path / path.name)
    cached(tmp_path / "three", data, live, "--samples", "1")
    assert manifest(tmp_path / "three")["cache_hits"]["answers"] == 0
    assert not any(path.is_symlink() for path in found), "the link is replaced, and nothing written through it"


def test_the_folder_is_private_and_holds_no_key(live: OpenAIServer, data: Path, tmp_path: Path) -> None:
    cached(tmp_path / "one", data, live, "--samples", "1")
    cache = tmp_path / "cache"
    assert {stat.S_IMODE(path.stat().st_mode) for path in entries(cache)} == {0o600}
    assert {stat.S_IMODE(path.stat().st_mode) for path in (cache, *cache.iterdir())} == {0o700}
    assert not any(KEY.encode() in path.read_bytes() for path in entries(cache))


def test_a_folder_in_which_others_may_write_is_refused(live: OpenAIServer, data: Path, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    cache.mkdir()
    cache.chmod(0o777)
    done = run(tmp_path / "run", data, live.url, *ASKED, "--cache", cache)
    refused(done, "--cache:", "others may write there")
    assert not (tmp_path / "run").exists()
    assert live.chats == []
    (tmp_path / "file").write_text("")
    refused(run(tmp_path / "run", data, live.url, *ASKED, "--cache", tmp_path / "file"), "--cache:", "cannot be used")


def test_the_checks_before_a_run_ask_the_server(live: OpenAIServer, data: Path, tmp_path: Path) -> None:
    asked: list[int] = []
    for name in ("one", "two"):
        before = len(live.chats)
        run(tmp_path / name, data, live.url, "--format", "mcq", "--samples", "1", "--cache", tmp_path / "cache")
        new = [chat for chat in live.chats[before:] if "Case " not in last_message(chat.body)]
        asked.append(len(new))
    assert asked[0] == asked[1] > 0
    assert manifest(tmp_path / "two")["cache_hits"]["answers"] == 6


def test_a_resumed_run_uses_the_cache_only_if_told_again(live: OpenAIServer, data: Path, tmp_path: Path) -> None:
    """A run folder may come from anywhere, and its manifest could name any folder."""
    place = tmp_path / "one"
    cached(place, data, live, "--samples", "1", asked=("--format", "freeform", "--no-preflight"))
    assert told_again(place)[-2:] == ["--cache", str(tmp_path / "cache")]
    shutil.rmtree(tmp_path / "cache")
    done = emeval("judge", place, *WITH_JUDGE, url=live.url)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "cache").exists()
    assert manifest(place)["cache_hits"] == {"answers": 0, "verdicts": 0, "of_verdicts": 3}


def test_verdicts_on_stored_answers_are_shared(live: OpenAIServer, data: Path, tmp_path: Path) -> None:
    for name in ("one", "two"):
        place = tmp_path / name
        run(place, data, live.url, "--format", "freeform", "--samples", "1", "--no-preflight")
        done = emeval("judge", place, *WITH_JUDGE, "--cache", tmp_path / "cache", url=live.url)
        assert done.returncode == 0, done.stderr
    hits = {"answers": 0, "verdicts": 3, "of_verdicts": 3}
    assert manifest(tmp_path / "two")["cache_hits"] == hits
    assert [row["model"] for row in manifest(tmp_path / "two")["spend"]] == ["vllm/subject"]


def test_off_by_default_and_in_the_users_own_folder(live: OpenAIServer, data: Path, tmp_path: Path) -> None:
    home = {"EMEVAL_DATA": str(tmp_path / "home")}
    plain = ("--format", "mcq", "--samples", "1", "--no-preflight")
    assert run(tmp_path / "none", data, live.url, *plain, env=home).returncode == 0
    assert "cache_hits" not in manifest(tmp_path / "none")
    assert not (tmp_path / "home" / "answers").exists()
    assert run(tmp_path / "one", data, live.url, *plain, "--cache", "on", env=home).returncode == 0
    assert len(entries(tmp_path / "home" / "answers")) == 6
    off = run(tmp_path / "off", data, live.url, *plain, "--cache", "off", env=home)
    assert off.returncode == 0
    assert "cache" not in manifest(tmp_path / "off")["config"]


def test_what_goes_by_batch_alone_has_no_use_for_it(live: OpenAIServer, data: Path, tmp_path: Path) -> None:
    by_batch = ("--format", "mcq", "--via", "vllm-batch", "--cache", "on")
    refused(run(tmp_path / "run", data, live.url, *by_batch), "--cache: nothing of this run is asked online")


def test_a_judge_beside_has_its_own_verdicts(live: OpenAIServer, data: Path, tmp_path: Path) -> None:
    cached(tmp_path / "one", data, live, "--samples", "1")
    cached(tmp_path / "two", data, live, "--samples", "1", "--judge", "vllm/subject")
    assert manifest(tmp_path / "two")["cache_hits"] == {"answers": 6, "verdicts": 6, "of_verdicts": 12}
