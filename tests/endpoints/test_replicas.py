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
from tests.support.servers.openai_server import (
    QUOTA_USED_UP,
    Answer,
    Behaviour,
    OpenAIServer,
    Reset,
    Stall,
    Status,
    last_message,
)

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


# Prompts that keep to a server


@pytest.mark.parametrize(("count", "concurrency"), [(2, 64), (4, 32)])
async def test_repeats_of_a_prompt_go_where_it_is_known_and_no_server_waits_for_them(
    count: int, concurrency: int
) -> None:
    servers = [OpenAIServer(latency_s=0.02) for _ in range(count)]
    requests = iter([(number // 10, number % 10) for number in range(800)])
    async with behind(servers, concurrency=concurrency) as (model, _):

        async def work() -> None:
            for prompt, repeat in requests:
                asked = ChatRequest((Message("user", f"number {prompt}"),), 16, seed=repeat)
                assert isinstance(await model.send(asked), Reply)

        async with asyncio.TaskGroup() as group:
            for _ in range(count * concurrency * 5 // 4):
                group.create_task(work())
    known: set[tuple[int, str]] = set()
    warm = 0
    sent = sorted((chat.at, place, last_message(chat.body)) for place, one in enumerate(servers) for chat in one.chats)
    for _, place, text in sent:
        warm += (place, text) in known
        known.add((place, text))
    assert warm / (800 - 80) > 0.85, "with the first free server it is about 0.75 for four"
    assert min(len(one.chats) for one in servers) > 800 / count / 2


async def test_one_prompt_alone_uses_every_server_once_its_own_is_full() -> None:
    servers = [OpenAIServer(latency_s=0.2), OpenAIServer(latency_s=0.2)]
    async with behind(servers, concurrency=4) as (model, _):
        await asyncio.gather(*(model.send(question()) for _ in range(4)))
        assert sorted(len(server.chats) for server in servers) == [0, 4]
        await asyncio.gather(*(model.send(question()) for _ in range(8)))
        assert sorted(len(server.chats) for server in servers) == [4, 8]


# Servers that come and go


@contextlib.asynccontextmanager
async def at_one(
    server: OpenAIServer, *, concurrency: int = 8, policy: RetryPolicy = QUICKLY
) -> AsyncIterator[Endpoint]:
    connection = Server(server.url, "sk-test-key", concurrency=concurrency, timeout_s=10.0)
    spec = ModelSpec("vllm/test-model", "vllm", "test-model", server.url, "TEST_API_KEY")
    try:
        yield Endpoint(ServedModel(spec, connection), policy)
    finally:
        await connection.close()


async def test_who_joins_gets_what_waits_for_a_server_that_hangs() -> None:
    hung, fresh = OpenAIServer(Stall(bare=True)), OpenAIServer()
    with hung.start(), fresh.start():
        async with at_one(hung, concurrency=2) as first, at_one(fresh) as second:
            said: list[str] = []
            model = Replicas([first], QUICKLY, said.append, elastic=True)
            sends = [asyncio.create_task(model.send(question(f"number {number}"))) for number in range(8)]
            while hung.in_flight < 2:  # noqa: ASYNC110  the other side is a thread
                await asyncio.sleep(0.01)
            model.join(second)
            assert model.width == 2
            async with asyncio.timeout(5):
                while sum(send.done() for send in sends) < 6:  # noqa: ASYNC110
                    await asyncio.sleep(0.01)
            for send in sends:
                send.cancel()
            await asyncio.gather(*sends, return_exceptions=True)
    assert len(fresh.chats) == 6


async def test_who_parts_gets_no_more_and_is_let_go_once_its_requests_are_settled() -> None:
    leaving, staying = OpenAIServer(latency_s=0.3), OpenAIServer(latency_s=0.01)
    with leaving.start(), staying.start():
        async with at_one(leaving) as first, at_one(staying) as second:
            model = Replicas([first, second], QUICKLY, print, elastic=True)
            sends = [asyncio.create_task(model.send(question(f"number {number}"))) for number in range(16)]
            while not leaving.in_flight:  # noqa: ASYNC110  the other side is a thread
                await asyncio.sleep(0.01)
            await model.part(first)
            assert leaving.in_flight == 0
            begun = len(leaving.chats)
            sends += [asyncio.create_task(model.send(question(f"number {number}"))) for number in range(16)]
            replies = await asyncio.gather(*sends)
    assert [type(reply) for reply in replies] == [Reply] * 32
    assert len(leaving.chats) == begun


async def test_what_a_server_that_has_parted_fails_is_asked_elsewhere() -> None:
    leaving, staying = OpenAIServer(latency_s=5.0), OpenAIServer(latency_s=0.01)
    once = RetryPolicy(max_attempts=1, max_total_s=30.0)
    with leaving.start(), staying.start():
        async with at_one(leaving, policy=once) as first, at_one(staying, policy=once) as second:
            said: list[str] = []
            model = Replicas([first], once, said.append, elastic=True)
            sends = [asyncio.create_task(model.send(question(f"number {number}"))) for number in range(4)]
            while leaving.in_flight < 4:  # noqa: ASYNC110  the other side is a thread
                await asyncio.sleep(0.01)
            parted = asyncio.create_task(model.part(first))
            await asyncio.sleep(0)
            leaving.stop()
            await asyncio.sleep(0.2)
            model.join(second)
            assert [type(reply) for reply in await asyncio.gather(*sends)] == [Reply] * 4
            await parted
    assert len(staying.chats) == 4


async def test_when_the_last_has_parted_another_is_waited_for_as_long_as_a_request_may_take() -> None:
    leaving, coming = OpenAIServer(), OpenAIServer()
    short = RetryPolicy(max_attempts=2, max_total_s=0.6, first_wait_s=0.0, longest_wait_s=0.0)
    with leaving.start(), coming.start():
        async with at_one(leaving) as first, at_one(coming) as second:
            said: list[str] = []
            model = Replicas([first], QUICKLY, said.append, elastic=True)
            await model.part(first)
            assert model.width == 1
            sends = [asyncio.create_task(model.send(question(f"number {number}"))) for number in range(4)]
            await asyncio.sleep(0.05)
            model.join(second)
            assert [type(reply) for reply in await asyncio.gather(*sends)] == [Reply] * 4
            gone = f"none of its 1 servers is left: {leaving.url} has left"
            assert said == [f"vllm/test-model: {gone}; waiting up to 30 s for one to come back or join"]
            model = Replicas([first], short, said.append, elastic=True)
            await model.part(first)
            with pytest.raises(EndpointDown, match="none of its servers is left"):
                await model.send(question())


async def test_who_comes_back_to_a_pool_is_looked_at_before_it_is_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(replicas_module, "REST_S", 0.05)
    alone = OpenAIServer({"number 0": [Reset(), Answer()]})
    with alone.start():
        async with at_one(alone) as endpoint:
            looked: list[int] = []
            fit = False

            async def is_fit(found: Endpoint) -> bool:
                assert found is endpoint
                looked.append(len(alone.chats))
                return fit

            model = Replicas([endpoint], QUICKLY, print, elastic=True, is_fit=is_fit)
            alone.models_behaviour = Reset()  # away as a whole
            send = asyncio.create_task(model.send(question("number 0")))
            while len(looked) < 2:  # noqa: ASYNC110
                await asyncio.sleep(0.01)
            assert len(alone.chats) == 1
            alone.models_behaviour, fit = None, True
            assert isinstance(await send, Reply)
    assert looked == [1] * len(looked)
    assert len(alone.chats) == 2


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
