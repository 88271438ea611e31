"""One model behind several servers: work is spread, a slow one holds nobody back, a dead one is left out."""

from __future__ import annotations

import asyncio
import contextlib
import threading
from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from evals.endpoints import replicas as replicas_module
from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.replicas import Replicas
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import Server
from evals.errors import EndpointDown
from evals.trials.prompt import Message
from evals.trials.response import Failure
from tests.support.cli_runner import emeval, manifest, responses, scenarios, told_again
from tests.support.servers.openai_server import QUOTA_USED_UP, Answer, Behaviour, OpenAIServer, Reset, Status

pytestmark = pytest.mark.anyio

QUICKLY = RetryPolicy(max_attempts=3, max_total_s=30.0, first_wait_s=0.0, longest_wait_s=0.0)


def question(text: str = "Which one?") -> ChatRequest:
    return ChatRequest((Message("user", text),), max_tokens=16)


@contextlib.asynccontextmanager
async def behind(
    servers: Sequence[OpenAIServer], *, concurrency: int = 8, policy: RetryPolicy = QUICKLY
) -> AsyncIterator[tuple[Replicas, list[str]]]:
    """The model behind servers that run, and what was said of them."""
    said: list[str] = []
    async with contextlib.AsyncExitStack() as stack:
        endpoints: list[Endpoint] = []
        for server in servers:
            stack.enter_context(server.start())
            connection = Server(server.url, "sk-test-key", concurrency=concurrency, timeout_s=10.0)
            stack.push_async_callback(connection.close)
            spec = ModelSpec("vllm/test-model", "vllm", "test-model", server.url, "TEST_API_KEY")
            endpoints.append(Endpoint(ServedModel(spec, connection), policy))
        yield Replicas(endpoints, policy, said.append), said


async def ask(model: Replicas, count: int, workers: int) -> list[Reply | Failure]:
    """Answers to `count` questions from so many workers, as a run has them."""
    numbers = iter(range(count))
    found: list[Reply | Failure] = []

    async def work() -> None:
        for number in numbers:
            found.append(await model.send(question(f"number {number}")))  # noqa: PERF401  as they come

    async with asyncio.TaskGroup() as group:
        for _ in range(workers):
            group.create_task(work())
    return found


async def test_work_is_spread_evenly_over_equal_servers() -> None:
    one, two = servers = [OpenAIServer(latency_s=0.01), OpenAIServer(latency_s=0.01)]
    async with behind(servers) as (model, said):
        assert model.width == 2
        replies = await ask(model, 200, 20)
    assert {type(reply) for reply in replies} == {Reply}
    assert len(one.chats) + len(two.chats) == 200
    assert 60 <= len(one.chats) <= 140
    assert one.max_in_flight <= 8
    assert said == []


async def test_a_slow_server_holds_nobody_back() -> None:
    slow, fast = servers = [OpenAIServer(latency_s=2.0), OpenAIServer(latency_s=0.01)]
    async with behind(servers) as (model, _):
        await ask(model, 300, 20)
    assert len(slow.chats) + len(fast.chats) == 300
    assert len(fast.chats) >= 3 * len(slow.chats)


async def test_a_server_that_dies_is_left_out_and_its_questions_are_asked_elsewhere() -> None:
    dying, steady = servers = [OpenAIServer(latency_s=0.02), OpenAIServer(latency_s=0.02)]

    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        if len(dying.chats) >= 30:
            dying.stop()
            return Reset()
        return Answer()

    dying.script = script
    async with behind(servers) as (model, said):
        replies = await ask(model, 200, 20)
    assert [type(reply) for reply in replies] == [Reply] * 200
    assert len(steady.chats) >= 170
    [line] = said
    assert line.startswith(f"vllm/test-model: continuing with 1 of 2 servers: {dying.url} cannot be reached")


async def test_a_dead_server_is_no_sink_for_questions() -> None:
    dead, steady = servers = [OpenAIServer(), OpenAIServer(latency_s=0.01)]
    policy = RetryPolicy(max_attempts=8, max_total_s=60.0, first_wait_s=0.2, longest_wait_s=5.0)
    async with behind(servers, policy=policy) as (model, said):
        dead.stop()
        replies = await ask(model, 300, 20)
    assert (len(steady.chats), len(said)) == (300, 1)
    # Only what was sent to it before it was known to be dead has been asked twice.
    assert sum(isinstance(reply, Reply) and reply.attempts > 1 for reply in replies) <= 20


async def test_even_one_attempt_is_enough_when_another_server_is_left() -> None:
    once = RetryPolicy(max_attempts=1, max_total_s=30.0)
    dead, _ = servers = [OpenAIServer(), OpenAIServer()]
    async with behind(servers, policy=once) as (model, _):
        dead.stop()
        replies = await ask(model, 40, 8)
    assert [type(reply) for reply in replies] == [Reply] * 40


@pytest.mark.parametrize("fault", [QUOTA_USED_UP, Status(401), Status(402)], ids=["quota", "401", "402"])
async def test_a_server_that_turns_everything_down_is_left_out_for_good(
    fault: Status, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(replicas_module, "REST_S", 0.0)
    poor, rich = servers = [OpenAIServer(fault), OpenAIServer()]
    async with behind(servers) as (model, said):
        replies = await ask(model, 40, 8)
        before = len(poor.chats)
        replies += await ask(model, 40, 8)
    assert [type(reply) for reply in replies] == [Reply] * 80
    assert len(poor.chats) == before
    assert len(rich.chats) >= 80
    assert len(said) == 1


async def test_a_server_that_comes_back_is_asked_again(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas_module, "REST_S", 0.3)
    away, _ = servers = [OpenAIServer(Reset(), models_behaviour=Reset()), OpenAIServer(latency_s=0.01)]
    async with behind(servers) as (model, said):
        await ask(model, 40, 8)
        away.script = away.models_behaviour = None
        before = len(away.chats)
        while len(away.chats) == before:  # it rests for a while
            replies = await ask(model, 8, 8)
            assert [type(reply) for reply in replies] == [Reply] * 8
    assert said[-1] == f"vllm/test-model: {away.url} is back"


async def test_one_poisonous_prompt_takes_no_server_out() -> None:
    servers = [OpenAIServer({"poison": Reset()}), OpenAIServer({"poison": Reset()})]
    async with behind(servers) as (model, said):
        failure = await model.send(question("poison"))
        assert isinstance(await model.send(question()), Reply)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.attempts) == ("connection", 3)
    assert said == []


async def test_when_none_is_left_the_run_stops() -> None:
    servers = [OpenAIServer(), OpenAIServer()]
    async with behind(servers) as (model, _):
        for server in servers:
            server.stop()
        with pytest.raises(EndpointDown, match=r"^vllm/test-model: http.* cannot be reached"):
            await model.send(question())


async def test_two_models_at_the_same_servers_do_not_starve_each_other() -> None:
    servers = [OpenAIServer(latency_s=0.02), OpenAIServer(latency_s=0.02)]
    async with behind(servers, concurrency=2) as (one, _):
        two = Replicas([replica.endpoint for replica in one._replicas], QUICKLY, print)  # pyright: ignore[reportPrivateUsage]
        async with asyncio.timeout(120):
            both = await asyncio.gather(ask(one, 60, 12), ask(two, 60, 12))
    assert {type(reply) for replies in both for reply in replies} == {Reply}
    assert max(server.max_in_flight for server in servers) <= 2


async def test_who_gives_up_waiting_leaves_no_place_taken() -> None:
    servers = [OpenAIServer(latency_s=0.3), OpenAIServer(latency_s=0.3)]
    async with behind(servers, concurrency=1) as (model, _):
        sends = [asyncio.create_task(model.send(question(f"number {number}"))) for number in range(8)]
        while not all(server.in_flight for server in servers):  # noqa: ASYNC110  the other side is a thread
            await asyncio.sleep(0.01)
        for task in sends:
            task.cancel()
        await asyncio.gather(*sends, return_exceptions=True)
        async with asyncio.timeout(120):
            assert len(await ask(model, 4, 4)) == 4


# A run


def arguments(tmp_path: Path, count: int = 20) -> tuple[str | Path, ...]:
    dataset = scenarios(tmp_path / "d.jsonl", count)
    return ("run", "unethical_test", "-m", "vllm/test-model", "--dataset", dataset, "--out", tmp_path / "run")


def test_a_run_uses_all_urls_and_survives_one(tmp_path: Path) -> None:
    dying, steady = OpenAIServer(latency_s=0.02), OpenAIServer(latency_s=0.02)

    def script(_body: Mapping[str, Any], _seen: int) -> Behaviour:
        if len(dying.chats) > 12:
            dying.stop()
            return Reset()
        return Answer()

    dying.script = script
    with dying.start(), steady.start():
        urls = f"{dying.url},{steady.url}"
        done = emeval(*arguments(tmp_path), "--concurrency", "4", url=urls)
    assert done.returncode == 0, done.stderr
    assert "continuing with 1 of 2 servers" in done.stderr
    assert set(responses(tmp_path / "run")["outcome"]) == {"scored"}
    assert manifest(tmp_path / "run")["models"]["vllm/test-model"]["base_url"] == urls
    assert len(steady.chats) > 20


def test_every_url_is_checked_before_the_run(tmp_path: Path) -> None:
    with OpenAIServer().start() as one, OpenAIServer(models=["another"]).start() as two:
        done = emeval(*arguments(tmp_path), "--base-url", f"{one.url},{two.url}")
    assert done.returncode == 2
    assert f"{two.url} does not serve 'test-model'" in done.stderr
    assert not (tmp_path / "run").exists()


def test_a_run_whose_servers_all_die_can_be_resumed(tmp_path: Path) -> None:
    one, two = OpenAIServer(latency_s=0.02), OpenAIServer(latency_s=0.02)

    def script(_body: Mapping[str, Any], _seen: int) -> Behaviour:
        if len(one.chats) + len(two.chats) > 20:
            for server in (one, two):  # each waits for its own thread, of which this is one
                threading.Thread(target=server.stop).start()
            return Reset()
        return Answer()

    one.script = two.script = script
    with one.start(), two.start():
        urls = f"{one.url},{two.url}"
        limits = ("--max-attempts", "2", "--max-retry-time", "2", "--concurrency", "4")
        stopped = emeval(*arguments(tmp_path), *limits, url=urls)
    assert stopped.returncode == 3, stopped.stderr
    assert "emeval resume" in stopped.stderr
    with OpenAIServer().start() as other:
        resumed = emeval("resume", tmp_path / "run", *told_again(tmp_path / "run"), url=other.url)
    assert resumed.returncode == 0, resumed.stderr
    assert set(responses(tmp_path / "run")["outcome"]) == {"scored"}


def test_a_judge_behind_several_urls_must_be_the_same_at_each(tmp_path: Path) -> None:
    def picky(body: Mapping[str, Any], _seen: int) -> Behaviour:
        return Status(400, "logprobs is not supported") if body.get("logprobs") else Answer("85")

    more = ("--format", "freeform", "--judge", "vllm/test-model")
    with OpenAIServer().start() as one, OpenAIServer(picky).start() as two, OpenAIServer().start() as three:
        done = emeval(*arguments(tmp_path, 2), *more, "--judge-base-url", f"{one.url},{two.url}", url=three.url)
        assert done.returncode == 2
        assert "do not take the same requests" in done.stderr
        done = emeval(*arguments(tmp_path, 2), *more, "--judge-base-url", f"{one.url},{three.url}", url=three.url)
        assert done.returncode == 0, done.stderr
    assert set(responses(tmp_path / "run")["outcome"]) == {"scored"}
