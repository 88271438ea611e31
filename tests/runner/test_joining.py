"""Runs whose servers a file lists: they join and leave while the run goes on, and every prompt has one outcome."""

from __future__ import annotations

import json
import threading
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from evals.endpoints import replicas
from evals.endpoints.fleet import url_file
from tests.support.cli_runner import emeval, manifest, refused, responses, scenarios, told_again
from tests.support.servers.openai_server import (
    JUDGE_MARK,
    Answer,
    Behaviour,
    OpenAIServer,
    Request,
    Reset,
    last_message,
)
from tests.support.waiting import until

MODEL = "vllm/test-model"


@pytest.fixture(autouse=True)
def _quickly(monkeypatch: pytest.MonkeyPatch) -> None:  # pyright: ignore[reportUnusedFunction]
    monkeypatch.setattr(url_file, "LOOK_S", 0.05)
    monkeypatch.setattr(replicas, "REST_S", 0.3)


def work(server: OpenAIServer) -> list[Request]:
    """The requests of the run that a server got, without those of the checks."""
    return [chat for chat in server.chats if "ase " in last_message(chat.body)]


class Pool:
    """A file of URLs, and what happens while a run goes on: each step is taken once its condition holds."""

    def __init__(self, folder: Path) -> None:
        self.file = folder / "urls.txt"
        self._folder = folder

    def write(self, *lines: str) -> None:
        """Put the file in place whole, as a careful program does."""
        new = self._folder / "urls.new"
        new.write_text("".join(f"{line}\n" for line in lines))
        new.replace(self.file)

    def run(
        self, *more: str | Path, steps: Callable[[], None] = lambda: None, samples: int = 4, count: int = 20
    ) -> Any:
        """A finished run; `steps` are taken beside it, in a thread."""
        dataset = scenarios(self._folder / "d.jsonl", count)
        failed: list[BaseException] = []

        def beside() -> None:
            try:
                steps()
            except BaseException as error:
                failed.append(error)

        thread = threading.Thread(target=beside)
        thread.start()
        done = emeval(
            *("run", "unethical_test", "-m", MODEL, "--dataset", dataset, "--samples", str(samples)),
            *("--out", self._folder / "run", "--base-url", f"@{self.file}", "--concurrency", "4", *more),
        )
        thread.join()
        assert not failed, (failed, done.stderr)
        return done

    def check(self, done: Any, count: int = 160) -> None:
        """Every prompt has exactly one outcome, a score."""
        assert done.returncode == 0, done.stderr
        rows = responses(self._folder / "run")
        assert len(rows) == count
        assert rows["trial_id"].nunique() == count
        assert set(rows["outcome"]) == {"scored"}

    @property
    def urls(self) -> list[str]:
        return manifest(self._folder / "run")["models"][MODEL]["base_url"].split(",")


@pytest.fixture
def pool(tmp_path: Path) -> Pool:
    return Pool(tmp_path)


def slow_until(condition: Callable[[], object]) -> Callable[..., Behaviour]:
    """Answers that take their time for as long as a run shall go on."""

    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        if JUDGE_MARK in json.dumps(body["messages"]):
            return Answer("85")
        return Answer() if condition() or "ase " not in last_message(body) else Answer(delay_s=0.5)

    return script


def test_a_server_that_joins_is_checked_and_then_asked(pool: Pool) -> None:
    two = OpenAIServer()
    one = OpenAIServer(slow_until(lambda: work(two)))
    with one.start(), two.start():
        pool.write(one.url)

        def steps() -> None:
            until(lambda: work(one))
            pool.write("# two by now", one.url, two.url)

        done = pool.run(steps=steps)
    pool.check(done)
    assert f"{MODEL}: {two.url} has joined; 2 servers" in done.stderr
    assert pool.urls == [one.url, two.url]
    assert manifest(pool.file.parent / "run")["config"]["base_url"] == f"@{pool.file}"
    first = two.requests[0]
    assert (first.path, work(two)[0] is not two.chats[0]) == ("/v1/models", True), "it is checked first"


def test_as_many_are_asked_at_a_time_as_there_are_servers_for(pool: Pool) -> None:
    two = OpenAIServer(latency_s=0.05)
    one = OpenAIServer(slow_until(lambda: two.max_in_flight >= 4))
    with one.start(), two.start():
        pool.write(one.url)

        def steps() -> None:
            until(lambda: work(one))
            pool.write(one.url, two.url)

        pool.check(pool.run(steps=steps))
    assert (one.max_in_flight, two.max_in_flight) == (4, 4)


def test_a_run_that_stops_early_draws_for_every_server_there_is(pool: Pool) -> None:
    two = OpenAIServer()
    one = OpenAIServer(slow_until(lambda: work(two)))
    with one.start(), two.start():
        pool.write(one.url)

        def steps() -> None:
            until(lambda: work(one))
            pool.write(one.url, two.url)

        done = pool.run("--until", "width<0.2", steps=steps, samples=40)
    assert done.returncode == 0, done.stderr
    rows = responses(pool.file.parent / "run")
    assert set(rows["outcome"]) == {"scored"}
    assert rows["trial_id"].nunique() == len(rows)
    assert f"{two.url} has joined" in done.stderr


def test_a_server_that_leaves_ends_what_it_has_and_may_then_be_stopped(pool: Pool) -> None:
    stopped = threading.Event()
    one, two = OpenAIServer(latency_s=0.02), OpenAIServer(slow_until(stopped.is_set))
    with one.start(), two.start():
        pool.write(one.url, two.url)

        def steps() -> None:
            until(lambda: work(one))
            pool.write(two.url)
            seen = -1
            while seen != len(one.chats) or one.in_flight:
                seen = len(one.chats)
                time.sleep(0.4)
            one.stop()
            stopped.set()

        done = pool.run(steps=steps)
    pool.check(done)
    assert f"{MODEL}: {one.url} has left; 1 server" in done.stderr
    assert "continuing with" not in done.stderr
    assert pool.urls == [one.url, two.url]


def test_servers_replaced_by_others_are_no_gap_in_the_run(pool: Pool) -> None:
    two = OpenAIServer()
    one = OpenAIServer(slow_until(lambda: work(two)))
    with one.start(), two.start():
        pool.write(one.url)

        def steps() -> None:
            until(lambda: work(one))
            pool.write(two.url)

        done = pool.run(steps=steps)
    pool.check(done)
    assert f"{two.url} has joined" in done.stderr


def wrong_name() -> OpenAIServer:
    return OpenAIServer(models=["another"])


def another_context() -> OpenAIServer:
    return OpenAIServer(context=4096)


def with_a_key() -> OpenAIServer:
    return OpenAIServer(key="sk-another")


def of_broken_words() -> OpenAIServer:
    return OpenAIServer(Reset())


@pytest.mark.parametrize(
    ("make", "reason"),
    [
        (wrong_name, "is left out: does not serve 'test-model'; it serves another"),
        (another_context, "is left out: has a context length of 4,096 tokens, others 8,192"),
        (with_a_key, "is left out: does not accept the key (401)"),
        (of_broken_words, "is left out: could not be checked with a test request"),
    ],
)
def test_a_server_that_fails_a_check_never_gets_work_and_is_told_once(
    pool: Pool, make: Callable[[], OpenAIServer], reason: str
) -> None:
    bad = make()
    tried = threading.Event()
    one = OpenAIServer(slow_until(tried.is_set), context=8192)
    with one.start(), bad.start():
        pool.write(one.url)

        def steps() -> None:
            until(lambda: work(one))
            pool.write(one.url, bad.url)
            until(lambda: len([request for request in bad.requests if request.path == "/v1/models"]) >= 3)
            tried.set()

        done = pool.run("--max-attempts", "1", steps=steps)
    pool.check(done)
    assert not work(bad)
    [line] = [line for line in done.stderr.splitlines() if bad.url in line]
    assert reason in line
    assert pool.urls == [one.url]


def test_a_server_that_was_refused_joins_once_it_is_right(pool: Pool) -> None:
    late = OpenAIServer(models=["another"])
    one = OpenAIServer(slow_until(lambda: work(late)))
    with one.start(), late.start():
        pool.write(one.url)

        def steps() -> None:
            until(lambda: work(one))
            pool.write(one.url, late.url)
            until(lambda: late.requests)
            late.models = ["test-model"]

        done = pool.run(steps=steps)
    pool.check(done)
    assert f"{MODEL}: {late.url} is left out" in done.stderr
    assert f"{MODEL}: {late.url} has joined; 2 servers" in done.stderr


def test_a_server_that_does_not_apply_the_adapter_never_gets_work(pool: Pool) -> None:
    tried = threading.Event()

    def served(share: float) -> OpenAIServer:
        def script(body: Mapping[str, Any], seen: int) -> Behaviour:
            if body.get("logprobs"):
                found = share if body["model"] == "test-model" else 0.9
                return Answer("A", top_logprobs=[{"A": found, "B": 1 - found}])
            return slow_until(tried.is_set)(body, seen)

        return OpenAIServer(script, models=["base", "test-model"], parents={"test-model": "base"})

    one, lost, good = served(0.5), served(0.9), served(0.5)
    with one.start(), lost.start(), good.start():
        pool.write(one.url)

        def steps() -> None:
            until(lambda: work(one))
            pool.write(one.url, lost.url, good.url)
            until(lambda: [chat for chat in work(good) if not chat.body.get("logprobs")] and len(lost.requests) > 20)
            tried.set()

        done = pool.run(steps=steps)
    pool.check(done)
    # The check of the adapter asks with the run's prompts, too: with token probabilities, as the run does not.
    assert not [chat for chat in work(lost) if not chat.body.get("logprobs")]
    assert [chat for chat in work(good) if not chat.body.get("logprobs")]
    assert f"{MODEL}: {lost.url} is left out: the adapter is not applied" in done.stderr
    assert manifest(pool.file.parent / "run")["models"][MODEL].get("adapter_lost", "") == ""


@pytest.mark.parametrize("spoil", ["empty", "missing", "comments", "binary", "folder", "half"])
def test_a_file_that_is_spoilt_in_the_middle_changes_nothing(pool: Pool, spoil: str) -> None:
    over = threading.Event()
    one, two = OpenAIServer(slow_until(over.is_set)), OpenAIServer(slow_until(over.is_set))
    with one.start(), two.start():
        pool.write(one.url, two.url)

        def steps() -> None:
            until(lambda: work(one) and work(two))
            match spoil:
                case "empty":
                    pool.file.write_text("")
                case "missing":
                    pool.file.unlink()
                case "comments":
                    pool.write("# nobody")
                case "binary":
                    pool.file.write_bytes(b"\x00\xff\x00" * 100)
                case "folder":
                    pool.file.unlink()
                    pool.file.mkdir()
                case _:  # written slowly; a pause between two lines could not be told from the end
                    text = f"{one.url}\n{two.url}\n"
                    for size in (size for size in range(1, len(text)) if text[size - 1] != "\n"):
                        pool.file.write_text(text[:size])
                        time.sleep(0.02)
                    pool.write(one.url, two.url)
            time.sleep(0.6)
            over.set()

        done = pool.run(steps=steps)
    pool.check(done)
    assert "has left" not in done.stderr
    said = [line for line in done.stderr.splitlines() if str(pool.file) in line]
    assert spoil == "half" or len(said) == 1, said
    assert pool.urls == [one.url, two.url]


def test_a_line_that_is_no_url_is_named_and_the_others_join(pool: Pool) -> None:
    two = OpenAIServer()
    one = OpenAIServer(slow_until(lambda: work(two)))
    with one.start(), two.start():
        pool.write(one.url)

        def steps() -> None:
            until(lambda: work(one))
            pool.write(one.url, "gpu7:8000", "", two.url)

        done = pool.run(steps=steps)
    pool.check(done)
    assert f"{pool.file}:2: the URL is not an http(s) URL; the line is left out" in done.stderr


def test_a_server_that_is_killed_loses_nothing_and_another_takes_its_place(pool: Pool) -> None:
    two = OpenAIServer()
    one = OpenAIServer(latency_s=0.3)
    with one.start(), two.start():
        pool.write(one.url)

        def steps() -> None:
            until(lambda: len(work(one)) > 6)
            one.stop()
            time.sleep(0.3)
            pool.write(one.url, two.url)

        done = pool.run(steps=steps)
    pool.check(done)
    assert f"{MODEL}: {two.url} has joined; 2 servers" in done.stderr


def test_another_model_at_the_address_of_one_that_was_away_gets_no_work(pool: Pool) -> None:
    tried = threading.Event()
    one, two = OpenAIServer(slow_until(tried.is_set), context=8192), OpenAIServer(context=8192)
    since: list[int] = []
    with one.start(), two.start():
        pool.write(one.url, two.url)

        def steps() -> None:
            until(lambda: len(work(two)) > 2)
            two.script, two.models_behaviour = Reset(), Reset()
            until(lambda: len([chat for chat in two.requests if chat.path == "/v1/models"]) > 6)
            two.script, two.context, since[:] = None, 4096, [len(work(two))]
            two.models_behaviour = None
            until(lambda: len([chat for chat in two.requests if chat.path == "/v1/models"]) > 20)
            tried.set()

        done = pool.run(steps=steps)
    pool.check(done)
    assert f"{two.url} is left out: has a context length of 4,096 tokens, others 8,192" in done.stderr
    assert f"{two.url} is back" not in done.stderr
    assert len(work(two)) == since[0]


# The start


def test_without_a_first_server_a_run_is_refused(pool: Pool, tmp_path: Path) -> None:
    refused(pool.run(), f"--base-url: {pool.file}: there is no such file; --wait-for-servers SECONDS waits")
    pool.write("# soon")
    refused(pool.run(), "lists no URL; --wait-for-servers SECONDS waits")
    done = pool.run("--wait-for-servers", "0.2")
    assert (done.returncode, done.stderr.splitlines()[-1]) == (2, f"emeval: {pool.file}: lists no URL")
    with OpenAIServer().start() as one, wrong_name().start() as two:
        pool.write(one.url, "gpu7:8000")
        refused(pool.run(), f"{pool.file}:2: the URL is not an http(s) URL")
        pool.write(one.url, two.url)
        refused(pool.run("--wait-for-servers", "60"), f"{two.url} does not serve 'test-model'")
    refused(emeval("run", "unethical_test", "-m", MODEL, "--base-url", "@"), "--base-url: names no file after the @")
    assert not (tmp_path / "run").exists()


def test_a_first_server_is_waited_for(pool: Pool) -> None:
    late = OpenAIServer(models_behaviour=Reset())
    with late.start():

        def steps() -> None:
            time.sleep(0.3)
            pool.write(late.url)
            until(lambda: late.requests)
            late.models_behaviour = None

        done = pool.run("--wait-for-servers", "60", steps=steps)
    pool.check(done)
    assert f"{MODEL}: waiting up to 60 s for a first server: {pool.file}: lists no URL" in done.stderr


def test_one_that_is_away_at_the_start_is_left_for_later(pool: Pool) -> None:
    away = OpenAIServer(models_behaviour=Reset())
    one = OpenAIServer(slow_until(lambda: work(away)))
    with one.start(), away.start():
        pool.write(away.url, one.url)

        def steps() -> None:
            until(lambda: work(one))
            away.models_behaviour = None

        done = pool.run(steps=steps)
    pool.check(done)
    assert f"{MODEL}: {away.url} is left out: cannot be reached" in done.stderr
    assert pool.urls == [one.url, away.url]


def test_a_server_without_a_file_is_waited_for_as_well(pool: Pool, tmp_path: Path) -> None:
    late = OpenAIServer(models_behaviour=Reset())
    with late.start():

        def steps() -> None:
            until(lambda: len(late.requests) > 4)
            late.models_behaviour = None

        done = pool.run("--base-url", late.url, "--wait-for-servers", "60", steps=steps)
    assert done.returncode == 0, done.stderr
    assert f"{late.url} cannot be reached" in done.stderr


# Judges, resuming, keys


def test_judges_have_a_file_of_their_own(pool: Pool, tmp_path: Path) -> None:
    two = OpenAIServer()
    one = OpenAIServer(lambda _body, _seen: Answer("85", delay_s=0.0 if work(two) else 0.4))
    subject = OpenAIServer()
    judges = tmp_path / "judges.txt"
    with one.start(), two.start(), subject.start(), wrong_name().start() as bad:
        pool.write(subject.url)
        judges.write_text(one.url)

        def steps() -> None:
            until(lambda: work(one))
            judges.write_text(f"{one.url}\n{two.url}\n{bad.url}\n")

        judge = ("--format", "freeform", "--judge", MODEL, "--judge-base-url", f"@{judges}", "--judge-mode", "text")
        done = pool.run(*judge, "--coherence-min", "50", steps=steps)
    pool.check(done, 80)
    assert f"judge {MODEL}: {two.url} has joined; 2 servers" in done.stderr
    assert f"judge {MODEL}: {bad.url} is left out: does not serve" in done.stderr
    assert not work(bad)


def test_a_run_stopped_halfway_is_resumed_with_the_file_said_again(pool: Pool, tmp_path: Path) -> None:
    one = OpenAIServer(latency_s=0.05)
    with one.start():
        pool.write(one.url)

        def steps() -> None:
            until(lambda: len(work(one)) > 6)
            one.stop()

        done = pool.run("--max-retry-time", "0.5", "--max-attempts", "1", steps=steps)
    assert done.returncode == 3, done.stderr
    assert f"--base-url @{pool.file}" in done.stderr
    with OpenAIServer().start() as other:
        pool.write(other.url)
        refused(emeval("resume", tmp_path / "run"), f"give the same again: --base-url @{pool.file} --dataset")
        assert not other.requests
        done = emeval("resume", tmp_path / "run", *told_again(tmp_path / "run"))
        pool.check(done)
    assert pool.urls == [other.url]


def test_the_environment_names_a_file_as_well(pool: Pool, tmp_path: Path) -> None:
    with OpenAIServer().start() as one:
        pool.write(one.url)
        options = ("run", "unethical_test", "-m", MODEL, "--limit", "2", "--out", tmp_path / "run")
        done = emeval(*options, url=f"@{pool.file}")
        assert done.returncode == 0, done.stderr
        done = emeval("resume", tmp_path / "run", url=f"@{pool.file}")
        assert done.returncode == 0, done.stderr
        found = emeval("doctor", url=f"@{pool.file}").stdout
        assert f"{one.url} serves 1 model: test-model" in found
        pool.write("nonsense")
        done = emeval("doctor", url=f"@{pool.file}")
        assert (done.returncode, "the URL is not an" in done.stdout) == (1, True)


CONTENTS = st.lists(st.sampled_from(["one", "two", "bad", "gone", "nonsense", "# comment", ""]), max_size=5)


@settings(max_examples=12, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.lists(CONTENTS, min_size=1, max_size=4))
def test_whatever_a_file_holds_from_time_to_time_every_prompt_has_one_outcome(
    tmp_path_factory: pytest.TempPathFactory, contents: list[list[str]]
) -> None:
    pool = Pool(tmp_path_factory.mktemp("pool"))
    over = threading.Event()
    one, two, bad = OpenAIServer(slow_until(over.is_set)), OpenAIServer(slow_until(over.is_set)), wrong_name()
    with one.start(), two.start(), bad.start():
        lines = {"one": one.url, "two": two.url, "bad": bad.url, "gone": "http://127.0.0.1:9/v1"}
        pool.write(one.url)

        def steps() -> None:
            until(lambda: work(one))
            for content in contents:
                pool.file.write_text("\n".join(lines.get(word, word) for word in content))
                time.sleep(0.25)
            pool.write(two.url)  # or none might be left
            over.set()

        done = pool.run(steps=steps, samples=2, count=10)
    pool.check(done, 40)
    assert not work(bad)
