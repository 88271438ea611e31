"""A server that goes away in the middle of a run and comes back, or does not."""

from __future__ import annotations

import asyncio
import threading
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.replicas import Replicas
from evals.endpoints.retries import RetryPolicy
from evals.errors import EndpointDown
from evals.trials.prompt import Message
from tests.support.cli_runner import emeval, responses, scenarios
from tests.support.runs import MODEL, by_hash, server
from tests.support.servers.endpoints import connected
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer, Reset, Status

pytestmark = pytest.mark.anyio

PATIENT = RetryPolicy(max_attempts=2, max_total_s=30.0, first_wait_s=0.0, longest_wait_s=0.0)


def question(text: str) -> ChatRequest:
    return ChatRequest((Message("user", text),), max_tokens=16)


@pytest.mark.parametrize("fault", [Reset(), Status(502), Status(503)], ids=["reset", "502", "503"])
async def test_a_server_that_comes_back_is_waited_for_and_told_of_in_two_lines(fault: Behaviour) -> None:
    said: list[str] = []
    with OpenAIServer(models=("m",)).start() as live:
        async with connected(live.url, policy=PATIENT, say=said.append) as endpoint:
            assert isinstance(await endpoint.send(question("first")), Reply)
            live.script = live.models_behaviour = fault
            sends = [asyncio.create_task(endpoint.send(question(f"number {number}"))) for number in range(20)]
            await asyncio.sleep(1.0)
            live.script = live.models_behaviour = None
            replies = await asyncio.gather(*sends)
            assert endpoint.server.limiter.limit == endpoint.server.limiter.maximum
    assert all(isinstance(reply, Reply) and reply.attempts >= 2 for reply in replies)
    begins, ends = said
    assert begins.endswith("; waiting up to 30 s for it to come back")
    assert ends.startswith(f"{live.url} is back after ")


async def test_a_server_that_stays_away_stops_the_run_when_the_time_is_over() -> None:
    policy = RetryPolicy(max_attempts=2, max_total_s=1.5, first_wait_s=0.0, longest_wait_s=0.0)
    with OpenAIServer(models=("m",)).start() as live:
        async with connected(live.url, policy=policy) as endpoint:
            assert isinstance(await endpoint.send(question("first")), Reply)
            live.stop()
            begun = time.monotonic()
            outcomes = await asyncio.gather(
                *(endpoint.send(question(f"number {number}")) for number in range(10)), return_exceptions=True
            )
    assert {type(outcome) for outcome in outcomes} == {EndpointDown}
    assert time.monotonic() - begun >= 1.4


@pytest.mark.parametrize(
    ("listing", "said"),
    [(Status(401), "does not accept the key"), (Status(400, "no"), "answers /models with 400")],
)
async def test_what_does_not_pass_by_itself_is_not_waited_for(listing: Status, said: str) -> None:
    with OpenAIServer(models=("m",)).start() as live:
        async with connected(live.url, policy=PATIENT) as endpoint:
            assert isinstance(await endpoint.send(question("first")), Reply)
            live.script, live.models_behaviour = Reset(), listing
            async with asyncio.timeout(20):
                with pytest.raises(EndpointDown, match=said):
                    await endpoint.send(question("second"))


@pytest.mark.parametrize("settings", [{"may_come_back": False}, {"has_ended": lambda: True}], ids=["ours", "ended"])
async def test_a_server_of_emevals_that_is_gone_is_not_waited_for(settings: dict[str, Any]) -> None:
    with OpenAIServer(models=("m",)).start() as live:
        async with connected(live.url, policy=PATIENT, **settings) as endpoint:
            assert isinstance(await endpoint.send(question("first")), Reply)
            live.stop()
            async with asyncio.timeout(20):
                with pytest.raises(EndpointDown):
                    await endpoint.send(question("second"))


async def test_a_server_that_never_answered_is_not_waited_for() -> None:
    with OpenAIServer(models=("m",)).start() as live:
        live.stop()
        async with connected(live.url, policy=PATIENT) as endpoint, asyncio.timeout(20):
            with pytest.raises(EndpointDown, match="cannot be reached"):
                await endpoint.send(question("first"))


async def test_replicas_that_are_all_away_are_waited_for() -> None:
    said: list[str] = []
    with OpenAIServer(models=("m",)).start() as one, OpenAIServer(models=("m",)).start() as two:
        async with connected(one.url, policy=PATIENT) as first, connected(two.url, policy=PATIENT) as second:
            model = Replicas([first, second], PATIENT, said.append)
            await asyncio.gather(*(model.send(question(f"number {number}")) for number in range(8)))
            for live in (one, two):
                live.script = live.models_behaviour = Status(503)
            sends = [asyncio.create_task(model.send(question(f"later {number}"))) for number in range(20)]
            await asyncio.sleep(1.0)
            one.script = one.models_behaviour = None
            replies = await asyncio.gather(*sends)
    assert {type(reply) for reply in replies} == {Reply}
    assert sum("waiting up to" in line for line in said) == 1
    assert f"vllm/m: {one.url} is back" in said


def test_a_run_survives_a_server_that_is_restarted(tmp_path: Path) -> None:
    away = threading.Event()
    with server().start() as live:

        def script(body: Mapping[str, Any], seen: int) -> Behaviour:
            if len(live.chats) == 12:
                live.models_behaviour = Status(502, "bad gateway")
                away.set()
                threading.Timer(1.5, end).start()
            return by_hash(body, seen) if live.models_behaviour is None else Status(502, "bad gateway")

        def end() -> None:
            live.models_behaviour = None

        live.script = script
        done = emeval(
            *("run", "unethical_test", "-m", MODEL, "--dataset", scenarios(tmp_path / "d.jsonl", 10)),
            *("--out", tmp_path / "run", "--no-preflight", "--max-attempts", "1", "--concurrency", "2"),
            url=live.url,
        )
    assert away.is_set()
    assert done.returncode == 0, done.stderr
    assert done.stderr.count("for it to come back") == 1
    assert done.stderr.count("is back after") == 1
    assert set(responses(tmp_path / "run")["outcome"]) == {"scored"}


async def test_a_busy_server_is_asked_again_and_no_outage() -> None:
    said: list[str] = []
    with OpenAIServer([Status(503, delay_s=0.01), Answer()], models=("m",)).start() as live:
        async with connected(live.url, policy=PATIENT, say=said.append) as endpoint:
            replies = await asyncio.gather(*(endpoint.send(question(f"number {number}")) for number in range(20)))
    assert {type(reply) for reply in replies} == {Reply}
    assert said == []
