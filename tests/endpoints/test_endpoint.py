"""Endpoints against a real server on a loopback port that is scripted to fail in every way we know."""

from __future__ import annotations

import asyncio
import contextlib
import gc
import logging
import os
import socket
import subprocess
import sys
import traceback
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from typing import Any

import pytest

from evals.endpoints.chat import PROBE, ChatRequest, Reply
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.model_spec import ModelSpec, Overrides, resolve_model
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import Server
from evals.errors import BadInput, EmevalError, EndpointDown
from evals.trials.prompt import Message
from evals.trials.response import Failure
from tests.support.paths import ROOT
from tests.support.servers.openai_server import (
    HTML,
    QUOTA_USED_UP,
    TRUNCATED_JSON,
    Answer,
    Behaviour,
    Garbage,
    OpenAIServer,
    Raw,
    Reset,
    Script,
    Stall,
    Status,
    Trickle,
    last_message,
)

KEY = "sk-very-secret-0123456789"
MODEL = "test-model"
THREE_AT_ONCE = RetryPolicy(max_attempts=3, max_total_s=30.0, first_wait_s=0.0, longest_wait_s=0.0)

pytestmark = pytest.mark.anyio


def question(text: str = "Which one?", **settings: Any) -> ChatRequest:
    return ChatRequest((Message("user", text),), max_tokens=16, **settings)


@contextlib.asynccontextmanager
async def endpoint_at(
    url: str,
    *,
    policy: RetryPolicy = THREE_AT_ONCE,
    timeout_s: float = 20.0,
    concurrency: int = 8,
    key: str = KEY,
    model: str = MODEL,
    provider: Any = "vllm",
) -> AsyncIterator[Endpoint]:
    server = Server(url, key, concurrency=concurrency, timeout_s=timeout_s)
    try:
        spec = ModelSpec(f"{provider}/{model}", provider, model, url, "TEST_API_KEY")
        yield Endpoint(ServedModel(spec, server), policy)
    finally:
        await server.close()


async def ask(
    script: Script, request: ChatRequest | None = None, **settings: Any
) -> tuple[Reply | Failure, OpenAIServer]:
    """What `send` makes of a server with this script, and the server with the requests it saw."""
    with OpenAIServer(script).start() as server:
        async with endpoint_at(server.url, **settings) as endpoint:
            return await endpoint.send(request or question()), server


def dead_url() -> str:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return f"http://127.0.0.1:{listener.getsockname()[1]}/v1"


def everything_shown_of(error: BaseException) -> str:
    return "\n".join([str(error), repr(error), *map(str, error.args), *traceback.format_exception(error)])


# What is asked


async def test_request_says_what_was_asked_and_nothing_else() -> None:
    _, server = await ask(Answer())
    assert server.chats[0].body == {
        "model": MODEL,
        "messages": [{"role": "user", "content": "Which one?"}],
        "max_tokens": 16,
    }
    assert server.chats[0].authorization == f"Bearer {KEY}"


async def test_temperature_seed_and_logprobs_are_sent_when_given() -> None:
    _, server = await ask(Answer(), question(temperature=0.0, seed=0, logprobs=True))
    body = server.chats[0].body
    assert (body["temperature"], body["seed"], body["logprobs"], body["top_logprobs"]) == (0.0, 0, True, 20)


async def test_openai_gets_the_newer_name_of_the_token_limit() -> None:
    _, server = await ask(Answer(), provider="openai")
    assert server.chats[0].body["max_completion_tokens"] == 16
    assert "max_tokens" not in server.chats[0].body


# What comes back


async def test_reply_holds_what_the_server_said() -> None:
    reply, _ = await ask(Answer("the answer", model="test-model-0613"))
    assert isinstance(reply, Reply)
    assert (reply.content, reply.finish_reason, reply.model, reply.attempts) == (
        "the answer",
        "stop",
        "test-model-0613",
        1,
    )
    assert (reply.reasoning, reply.refusal, reply.token_alternatives) == ("", "", None)
    assert (reply.prompt_tokens, reply.completion_tokens) == (10, 1)
    assert reply.latency_s > 0


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Answer(None), ("", "", "", "stop")),
        (Answer(""), ("", "", "", "stop")),
        (Answer("cut o", finish_reason="length"), ("cut o", "", "", "length")),
        (Answer("x", finish_reason=None), ("x", "", "", "")),
        (Answer(None, refusal="I will not."), ("", "", "I will not.", "stop")),
        (Answer("B", reasoning="so B"), ("B", "so B", "", "stop")),
        (Answer("B", reasoning_content="thus B"), ("B", "thus B", "", "stop")),
        (Answer("<think>hm</think>B"), ("<think>hm</think>B", "", "", "stop")),
        (Answer(None, finish_reason="content_filter"), ("", "", "", "content_filter")),
    ],
    ids=["null", "empty", "length", "no-reason", "refusal", "reasoning", "reasoning_content", "think-tags", "filtered"],
)
async def test_each_shape_of_a_reply_is_read_at_the_first_attempt(answer: Answer, expected: tuple[str, ...]) -> None:
    reply, server = await ask(answer)
    assert isinstance(reply, Reply)
    assert (reply.content, reply.reasoning, reply.refusal, reply.finish_reason) == expected
    assert len(server.chats) == 1


def counted_body(usage: str) -> Raw:
    return Raw(b'{"choices": [{"message": {"content": "A"}}], "usage": ' + usage.encode() + b"}")


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("0", 0),
        (str(2**63 - 1), 2**63 - 1),
        (str(2**63), None),
        (str(10**30), None),
        ("-1", None),
        ("3.0", None),
        ('"3"', None),
        ("true", None),
        ("null", None),
        ("[3]", None),
    ],
)
async def test_a_count_of_tokens_that_no_count_can_be_is_left_out(said: str, kept: int | None) -> None:
    reply, _ = await ask(counted_body(f'{{"prompt_tokens": {said}, "completion_tokens": 7}}'))
    assert isinstance(reply, Reply)
    assert (reply.content, reply.prompt_tokens, reply.completion_tokens) == ("A", kept, 7)


@pytest.mark.parametrize("usage", ["3.5", '"none"', "[]", "null"])
async def test_a_usage_of_another_shape_costs_no_reply(usage: str) -> None:
    reply, server = await ask(counted_body(usage))
    assert isinstance(reply, Reply)
    assert (reply.prompt_tokens, reply.completion_tokens, len(server.chats)) == (None, None, 1)


async def test_token_probabilities_come_back_as_probabilities() -> None:
    reply, _ = await ask(Answer("85", top_logprobs=[{"85": 0.75, "90": 0.25}]), question(logprobs=True))
    assert isinstance(reply, Reply)
    assert reply.token_alternatives is not None
    [(token, options)] = reply.token_alternatives
    assert token == "85"
    assert options == pytest.approx({"85": 0.75, "90": 0.25})


def logprobs_body(token: str) -> Raw:
    logprobs = b'{"content": [' + token.encode() + b"]}"
    return Raw(b'{"choices": [{"message": {"content": "85"}, "logprobs": ' + logprobs + b"}]}")


async def test_a_token_without_alternatives_stands_for_itself() -> None:
    reply, _ = await ask(logprobs_body('{"token": "85", "logprob": 0.0, "top_logprobs": null}'))
    assert isinstance(reply, Reply)
    assert reply.token_alternatives == (("85", {"85": 1.0}),)


@pytest.mark.parametrize("logprob", ["NaN", '"?"', "1.5", "{}"])
async def test_probabilities_of_another_shape_are_absent(logprob: str) -> None:
    reply, _ = await ask(logprobs_body(f'{{"token": "85", "logprob": {logprob}}}'))
    assert isinstance(reply, Reply)
    assert (reply.content, reply.token_alternatives) == ("85", None)


async def test_an_alternative_without_a_probability_is_left_out() -> None:
    options = '[{"token": "85", "logprob": 0.0}, {"token": "x", "logprob": null}]'
    reply, _ = await ask(logprobs_body(f'{{"token": "85", "logprob": null, "top_logprobs": {options}}}'))
    assert isinstance(reply, Reply)
    assert reply.token_alternatives == (("85", {"85": 1.0}),)


# Faults that may pass


@pytest.mark.parametrize(
    ("fault", "kind"),
    [
        (Status(429), "rate_limited"),
        (Status(408), "server_error"),
        (Status(409), "server_error"),
        (Status(500), "server_error"),
        (Status(503), "server_error"),
        (Raw(b"<html>502 Bad Gateway</html>", status=502, content_type="text/html"), "server_error"),
        (Status(429, headers={"Retry-After": "Mon, 01 Jan 99999999999999999999 00:00:00 GMT"}), "rate_limited"),
        (Reset(), "connection"),
        (Reset(midway=True), "connection"),
        (Reset(quiet=True), "connection"),
        (Reset(midway=True, quiet=True), "connection"),
        (Garbage(), "connection"),
        (Raw(b"not gzip", headers={"Content-Encoding": "gzip"}), "connection"),
        (TRUNCATED_JSON, "unparsable"),
        (HTML, "unparsable"),
        (Raw(b""), "unparsable"),
        (Raw(b"\xff\xfe\x00"), "unparsable"),
        (Raw(b"[]"), "unparsable"),
        (Raw(b'{"choices": []}'), "unparsable"),
        (Raw(b'{"choices": [{"finish_reason": "stop"}]}'), "unparsable"),
        (Raw(b'{"error": {"message": "upstream"}}'), "server_error"),
        (Raw(b'{"error": "upstream", "choices": "?"}'), "server_error"),
        (Raw(b'{"error": {"code": 502}, "choices": [{"message": {"content": "A"}}]}'), "server_error"),
        (Raw(b'{"choices": [{"message": {"content": "A"}, "error": {"code": 429}}]}'), "rate_limited"),
        (Raw(b'{"object": "error", "message": "no capacity", "code": 498}'), "server_error"),
        (Status(498), "server_error"),
        (Answer("A", finish_reason="abort"), "broken_off"),
        (Answer("A", finish_reason="a word of its own"), "broken_off"),
        (Raw(b"[" * 100_000), "unparsable"),
    ],
    ids=lambda value: value if isinstance(value, str) else str(value)[:48],
)
async def test_a_fault_is_retried_and_then_recorded(fault: Behaviour, kind: str) -> None:
    failure, server = await ask(fault)
    assert isinstance(failure, Failure)
    assert (failure.kind, failure.attempts) == (kind, 3)
    assert len(server.chats) == 3
    assert len({str(request.body) for request in server.chats}) == 1
    assert failure.detail == failure.detail.strip()
    assert "\n" not in failure.detail


@pytest.mark.parametrize("fault", [Status(429), Status(500), Reset(), Garbage(), TRUNCATED_JSON, Reset(midway=True)])
async def test_a_fault_that_passes_leaves_an_answer_and_a_count(fault: Behaviour) -> None:
    reply, server = await ask([fault, fault, Answer("at last")])
    assert isinstance(reply, Reply)
    assert (reply.content, reply.attempts, len(server.chats)) == ("at last", 3, 3)


@pytest.mark.parametrize("fault", [Stall(), Stall(bare=True), Trickle()], ids=["half", "bare", "trickle"])
async def test_a_body_that_does_not_end_is_a_timeout(fault: Behaviour) -> None:
    failure, server = await ask(fault, timeout_s=0.5, policy=RetryPolicy(2, 30.0, 0.0, 0.0))
    assert failure == Failure("timeout", "no complete reply within 0.5 s", 2)
    assert len(server.chats) == 2


async def test_a_timeout_that_passes_leaves_an_answer() -> None:
    reply, _ = await ask([Stall(), Answer("awake")], timeout_s=2.0)
    assert isinstance(reply, Reply)
    assert (reply.content, reply.attempts) == ("awake", 2)
    assert reply.latency_s < 2.0  # of the attempt that succeeded, not of both


@pytest.mark.parametrize("header", [("Retry-After", "0.3"), ("retry-after-ms", "300")])
async def test_the_servers_wait_is_honoured(header: tuple[str, str]) -> None:
    reply, server = await ask([Status(429, headers=dict([header])), Answer("later")])
    assert isinstance(reply, Reply)
    first, second = server.chats
    assert second.at - first.at >= 0.3


@pytest.mark.parametrize(
    ("status", "header", "said"),
    [
        (429, "30", r"asks to wait 30 s \(429\): come back later"),
        (503, "600", r"asks to wait 10 min \(503\)"),
        (429, "86400", r"asks to wait 24 h"),
        (429, "Fri, 01 Jan 2100 00:00:00 GMT", r"asks to wait \d+ days"),
    ],
)
async def test_a_wait_longer_than_the_time_limit_stops_the_run(status: int, header: str, said: str) -> None:
    with OpenAIServer(Status(status, "come back later", headers={"Retry-After": header})).start() as server:
        async with endpoint_at(server.url) as endpoint:
            with pytest.raises(EndpointDown, match=said):
                await endpoint.send(question())
    assert len(server.chats) == 1


async def test_a_long_wait_asked_for_beside_another_fault_is_that_requests_alone() -> None:
    failure, _ = await ask(Status(500, "broken", headers={"Retry-After": "3600"}))
    assert failure == Failure("server_error", "status 500: broken", 1)


@pytest.mark.parametrize("behaviour", [Stall(), Stall(bare=True), Trickle()], ids=["half", "bare", "trickle"])
async def test_a_request_that_still_runs_when_the_time_is_over_is_cut_off(behaviour: Behaviour) -> None:
    policy = RetryPolicy(max_attempts=8, max_total_s=0.4, first_wait_s=0.0, longest_wait_s=0.0)
    with OpenAIServer({"slow": behaviour}).start() as server:
        async with endpoint_at(server.url, policy=policy, concurrency=1) as endpoint:
            failure = await endpoint.send(question("slow"))
            assert failure == Failure("timeout", "no complete reply within 0.4 s in all", 1)
            await until(lambda: server.in_flight == 0)
            assert isinstance(await endpoint.send(question("quick")), Reply)  # the place was given back


async def test_waiting_for_a_place_longer_than_the_time_limit_fails_no_request() -> None:
    policy = RetryPolicy(max_attempts=8, max_total_s=0.5, first_wait_s=0.0, longest_wait_s=0.0)
    with OpenAIServer(Answer(delay_s=0.2)).start() as server:
        async with endpoint_at(server.url, policy=policy, concurrency=1) as endpoint:
            replies = await asyncio.gather(*(endpoint.send(question(f"number {number}")) for number in range(6)))
    assert all(isinstance(reply, Reply) for reply in replies)


async def test_total_time_bounds_the_attempts() -> None:
    policy = RetryPolicy(max_attempts=10**6, max_total_s=0.3, first_wait_s=0.0, longest_wait_s=0.0)
    failure, server = await ask(Status(500, delay_s=0.05), policy=policy)
    assert isinstance(failure, Failure)
    assert failure.attempts == len(server.chats)
    assert 1 <= failure.attempts <= 6


# Faults that do not pass


@pytest.mark.parametrize("status", [400, 405, 413, 422])
async def test_a_rejected_request_is_asked_exactly_once(status: int) -> None:
    failure, server = await ask(Status(status, "context too long"))
    assert failure == Failure("rejected", f"status {status}: context too long", 1)
    assert len(server.chats) == 1


@pytest.mark.parametrize(
    ("fault", "listing", "said"),
    [
        (QUOTA_USED_UP, None, "quota is used up"),
        (Status(402, "Insufficient Balance"), None, r"balance is used up \(402\): Insufficient Balance"),
        (Status(401, "no"), Status(401, "key revoked"), "does not accept the key"),
        (Status(403, "no"), Status(403, "key revoked"), "does not accept the key"),
        (Status(404, "no"), Raw(b'{"data": [{"id": "another"}]}'), "does not serve"),
        (HTML, HTML, "is it an OpenAI-compatible URL"),
    ],
    ids=["quota", "402", "401", "403", "404", "captive portal"],
)
async def test_a_fault_of_the_account_stops_the_run(fault: Behaviour, listing: Behaviour | None, said: str) -> None:
    with OpenAIServer(fault, models_behaviour=listing).start() as server:
        async with endpoint_at(server.url) as endpoint:
            with pytest.raises(EndpointDown, match=said):
                await endpoint.send(question())
    assert len(server.chats) == 1 or fault is HTML


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_prompt_that_a_gateway_turns_down_fails_alone(status: int) -> None:
    with OpenAIServer({"poison": Status(status, "flagged")}).start() as server:
        async with endpoint_at(server.url) as endpoint:
            replies = await asyncio.gather(*(endpoint.send(question(text)) for text in ("one", "poison", "two")))
    assert [type(reply) for reply in replies] == [Reply, Failure, Reply]
    assert len(server.chats) == 4
    refused = next(chat.body for chat in server.chats if last_message(chat.body) == "poison")
    assert server.chats[-1].body == refused | {"messages": [{"role": "user", "content": PROBE[0].content}]}


@pytest.mark.parametrize("status", [401, 403, 404])
async def test_a_server_that_turns_every_chat_down_stops_the_run_though_its_list_is_public(status: int) -> None:
    with OpenAIServer(Status(status, "account suspended")).start() as server:
        async with endpoint_at(server.url) as endpoint:
            with pytest.raises(EndpointDown, match=rf"turns every request down: status {status}: account suspended"):
                await endpoint.send(question(temperature=0.0, seed=3))
    first, second = (dict(chat.body) for chat in server.chats)
    assert first.pop("messages") != second.pop("messages")
    assert first == second


@pytest.mark.parametrize(
    "fault",
    [Status(429, "slow down", headers={"Retry-After": "90"}), Status(500), Status(400), Stall(), HTML],
    ids=["429", "500", "400", "stall", "html"],
)
async def test_a_check_that_fails_in_another_way_blames_nobody(
    fault: Behaviour, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("evals.endpoints.endpoint.PROBE_TIME_S", 0.3)
    policy = RetryPolicy(max_attempts=3, max_total_s=900.0)
    with OpenAIServer({"poison": Status(403, "flagged"), PROBE[0].content: fault}).start() as server:
        async with endpoint_at(server.url, policy=policy) as endpoint:
            assert await endpoint.send(question("poison")) == Failure("denied", "status 403: flagged", 1)


async def test_an_empty_account_found_by_the_check_stops_the_run() -> None:
    with OpenAIServer({"poison": Status(403, "flagged"), PROBE[0].content: Status(402, "pay")}).start() as server:
        async with endpoint_at(server.url) as endpoint:
            with pytest.raises(EndpointDown, match="balance is used up"):
                await endpoint.send(question("poison"))


async def test_requests_that_are_denied_together_share_one_check_and_a_later_one_checks_again() -> None:
    probe = Answer(delay_s=0.2)
    with OpenAIServer({"poison": Status(403), PROBE[0].content: probe}).start() as server:

        def checks() -> tuple[int, int]:
            probes = sum(last_message(chat.body) == PROBE[0].content for chat in server.chats)
            return sum(request.path == "/v1/models" for request in server.requests), probes

        async with endpoint_at(server.url, concurrency=40) as endpoint:
            failures = await asyncio.gather(*(endpoint.send(question(f"poison {number}")) for number in range(20)))
            assert {type(failure) for failure in failures} == {Failure}
            lists, probes = checks()
            assert probes <= 2  # one that the first began, one more for whoever came after it
            assert lists <= 20
            await endpoint.send(question("poison again"))
            assert checks() == (lists + 1, probes + 1)


async def test_a_check_whose_caller_is_cancelled_is_done_by_the_next_who_waits_for_it() -> None:
    script = {"poison": Status(403), PROBE[0].content: [Stall(bare=True), Answer()]}
    with OpenAIServer(script).start() as server:
        async with endpoint_at(server.url) as endpoint:
            first = asyncio.create_task(endpoint.send(question("poison one")))
            await until(lambda: len(server.chats) == 2)
            second = asyncio.create_task(endpoint.send(question("poison two")))
            await until(lambda: len(server.chats) == 3)
            first.cancel()
            assert isinstance(await second, Failure)
            assert first.cancelled()


# One request or the whole server


async def test_a_server_that_resets_one_prompt_fails_that_prompt_only() -> None:
    with OpenAIServer({"poison": Reset()}).start() as server:
        async with endpoint_at(server.url) as endpoint:
            replies = await asyncio.gather(*(endpoint.send(question(text)) for text in ("one", "poison", "two")))
    assert [type(reply) for reply in replies] == [Reply, Failure, Reply]


async def test_a_server_that_goes_away_stops_the_run() -> None:
    with OpenAIServer().start() as server:
        async with endpoint_at(server.url, policy=replace(THREE_AT_ONCE, max_total_s=1.0)) as endpoint:
            assert isinstance(await endpoint.send(question()), Reply)
            server.stop()
            with pytest.raises(EndpointDown, match="cannot be reached"):
                await endpoint.send(question())


async def test_a_server_that_goes_away_under_load_stops_every_request() -> None:
    server = OpenAIServer()

    def leave_at_the_tenth(body: Any, seen: int) -> Behaviour:
        if len(server.chats) >= 10:
            server.stop()
            return Stall(bare=True)
        return Answer()

    server.script = leave_at_the_tenth
    with server.start():
        async with endpoint_at(server.url, policy=replace(THREE_AT_ONCE, max_total_s=1.0)) as endpoint:
            outcomes = await asyncio.gather(
                *(endpoint.send(question(f"number {number}")) for number in range(40)), return_exceptions=True
            )
    kinds = {type(outcome) for outcome in outcomes}
    assert kinds == {Reply, EndpointDown}
    assert sum(isinstance(outcome, Reply) for outcome in outcomes) <= 10


async def test_a_server_that_hangs_altogether_stops_the_run(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("server", "endpoint"):
        monkeypatch.setattr(f"evals.endpoints.{module}.PREFLIGHT_TIMEOUT_S", 0.2)
    with OpenAIServer(Stall(bare=True), models_behaviour=Stall(bare=True)).start() as server:
        async with endpoint_at(server.url, timeout_s=0.2) as endpoint:
            with pytest.raises(EndpointDown, match="does not answer"):
                await endpoint.send(question())


# Preflight


async def test_preflight_gives_the_servers_models() -> None:
    with OpenAIServer(models=["other", MODEL]).start() as server:
        async with endpoint_at(server.url) as endpoint:
            assert await endpoint.preflight() == replace(endpoint.model, listed=("other", MODEL))
    assert server.chats == []


@pytest.mark.parametrize(
    ("listed", "chosen"),
    [
        (("qwen3:8b",), "qwen3:8b"),
        (("8b", "qwen3:8b"), "qwen3:8b"),
        (("qwen3", "8b"), "8b"),
        (None, "8b"),
    ],
)
async def test_a_name_with_a_colon_is_the_whole_name_where_the_server_lists_it(
    listed: tuple[str, ...] | None, chosen: str
) -> None:
    with OpenAIServer(models=listed).start() as server:
        spec = resolve_model("vllm/qwen3:8b", Overrides(server.url, {}))
        async with endpoint_at(server.url) as any_endpoint:
            checked = await Endpoint(ServedModel(spec, any_endpoint.server), THREE_AT_ONCE).preflight()
            endpoint = Endpoint(checked, THREE_AT_ONCE)
            assert await endpoint.preflight() == checked
            await endpoint.send(question())
    assert (checked.spec.served_name, checked.listed, checked.spec.name) == (chosen, listed, "vllm/qwen3:8b")
    assert server.chats[0].body["model"] == chosen


async def test_a_name_with_a_colon_that_is_not_served_is_refused_under_both_names() -> None:
    with OpenAIServer(models=["qwen3"]).start() as server:
        spec = resolve_model("vllm/qwen3:8b", Overrides(server.url, {}))
        async with endpoint_at(server.url) as any_endpoint:
            with pytest.raises(BadInput, match=r"does not serve '8b' \(nor 'qwen3:8b'\); it serves qwen3$"):
                await Endpoint(ServedModel(spec, any_endpoint.server), THREE_AT_ONCE).preflight()


@pytest.mark.parametrize("reply", [Status(404), Status(405), Status(501)], ids=str)
async def test_a_server_that_keeps_no_list_passes_preflight(reply: Behaviour) -> None:
    with OpenAIServer(models_behaviour=reply).start() as server:
        async with endpoint_at(server.url) as endpoint:
            assert (await endpoint.preflight()).listed is None


async def test_an_unknown_model_is_named_beside_those_that_are_served() -> None:
    with OpenAIServer(models=[f"model-{number}" for number in range(11)]).start() as server:
        async with endpoint_at(server.url, model="modle-1") as endpoint:
            with pytest.raises(BadInput, match=r"'modle-1'; it serves model-0, .*model-7 and 3 more$"):
                await endpoint.preflight()


async def test_a_dead_port_is_bad_input() -> None:
    async with endpoint_at(dead_url()) as endpoint:
        with pytest.raises(BadInput, match=r"cannot be reached: .*Connect"):
            await endpoint.preflight()


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Status(500, "broken"), "answers /models with 500: broken"),
        (Status(403, "no"), "does not accept the key"),
        (Reset(), "cannot be reached"),
        (Garbage(), "cannot be reached"),
        (Stall(), "no reply to /models"),
        (Trickle(), "no reply to /models"),
    ],
    ids=["500", "403", "reset", "garbage", "stall", "trickle"],
)
async def test_a_server_that_cannot_be_used_is_bad_input(
    fault: Behaviour, said: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    for module in ("server", "endpoint"):
        monkeypatch.setattr(f"evals.endpoints.{module}.PREFLIGHT_TIMEOUT_S", 0.3)
    with OpenAIServer(models_behaviour=fault).start() as server:
        async with endpoint_at(server.url) as endpoint:
            with pytest.raises(BadInput, match=said) as caught:
                await endpoint.preflight()
    assert "\n" not in str(caught.value)


# Keys and terminals


async def test_the_key_is_never_shown_even_when_the_server_repeats_it(caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)
    hidden = KEY[:5] + "\u200b" + KEY[5:]
    faults: list[Behaviour] = [
        *(Status(status, f"bad key {KEY}, {hidden}") for status in (400, 401, 403, 404, 409, 429, 500)),
        Status(429, f"pay for {KEY}", code="insufficient_quota"),
        Raw(f"<html>{KEY}</html>".encode(), status=502),
        Raw(f'{{"choices": "{KEY}"}}'.encode()),
        Garbage(f"NOT HTTP {KEY}\r\n\r\n".encode()),
        Reset(),
        Raw(b"", status=302, headers={"Location": f"ftp://{KEY}/"}),
    ]
    shown: list[str] = []
    for fault in faults:
        with OpenAIServer(fault, models_behaviour=fault).start() as server:
            async with endpoint_at(server.url) as endpoint:
                shown += [repr(endpoint), repr(endpoint.server), repr(endpoint.spec), repr(vars(endpoint.server))]
                for work in (endpoint.send(question()), endpoint.preflight()):
                    try:
                        shown.append(repr(await work))
                    except EmevalError as error:
                        shown.append(everything_shown_of(error))
    assert "[key]" in "".join(shown)
    assert KEY not in "".join(shown)
    assert KEY not in caplog.text


async def test_a_wrong_key_is_bad_input_and_is_not_shown() -> None:
    with OpenAIServer(key="sk-the-right-one").start() as server:
        async with endpoint_at(server.url) as endpoint:
            with pytest.raises(
                BadInput, match=r"does not accept the key \(401\): Incorrect API key provided: \[key\]"
            ) as caught:
                await endpoint.preflight()
    assert KEY not in everything_shown_of(caught.value)


async def test_the_words_of_a_server_cannot_drive_the_terminal() -> None:
    attack = "\x1b]0;owned\x07\x1b[2Jbad\r\nrequest \u202eevil\x9b31m"
    failure, _ = await ask(Status(400, attack))
    assert failure == Failure("rejected", "status 400: ]0;owned[2Jbad request evil31m", 1)
    with OpenAIServer(models=[attack]).start() as server:
        async with endpoint_at(server.url) as endpoint:
            with pytest.raises(BadInput) as caught:
                await endpoint.preflight()
    assert str(caught.value).isprintable()


async def test_a_long_message_is_cut() -> None:
    failure, _ = await ask(Status(400, "x" * 100_000))
    assert isinstance(failure, Failure)
    assert len(failure.detail) < 400


# Concurrency and connections


async def test_concurrency_reaches_the_maximum_and_never_exceeds_it() -> None:
    with OpenAIServer(Answer(delay_s=0.01)).start() as server:
        async with endpoint_at(server.url, concurrency=20) as endpoint:
            await asyncio.gather(*(endpoint.send(question(f"number {number}")) for number in range(400)))
    assert server.max_in_flight == 20


async def test_rate_limits_slow_all_requests_and_every_one_is_answered() -> None:
    with OpenAIServer([Status(429, delay_s=0.01), Answer()]).start() as server:
        async with endpoint_at(server.url, concurrency=32) as endpoint:
            before = endpoint.server.limiter.limit
            replies = await asyncio.gather(*(endpoint.send(question(f"number {number}")) for number in range(8)))
            assert before // 2 <= endpoint.server.limiter.limit < before  # one step back, not one for each reply
    assert [reply.attempts for reply in replies] == [2] * 8


async def until(holds: Callable[[], bool]) -> None:
    async with asyncio.timeout(120):
        while not holds():  # noqa: ASYNC110 the other side is a thread
            await asyncio.sleep(0.01)


@pytest.mark.parametrize("behaviour", [Stall(), Stall(bare=True), Trickle()], ids=["half", "bare", "trickle"])
async def test_a_cancelled_request_gives_back_its_place_and_its_connection(behaviour: Behaviour) -> None:
    complaints: list[dict[str, Any]] = []
    asyncio.get_running_loop().set_exception_handler(lambda _, context: complaints.append(context))
    with OpenAIServer({"slow": behaviour}).start() as server:
        async with endpoint_at(server.url, concurrency=4) as endpoint:
            sends = [asyncio.create_task(endpoint.send(question(f"slow {number}"))) for number in range(8)]
            await until(lambda: server.in_flight == 4)
            for task in sends:
                task.cancel()
            outcomes = await asyncio.gather(*sends, return_exceptions=True)
            assert {type(outcome) for outcome in outcomes} == {asyncio.CancelledError}
            await until(lambda: server.in_flight == 0)  # the server saw the connections go
            replies = await asyncio.gather(*(endpoint.send(question(f"quick {number}")) for number in range(8)))
            assert all(isinstance(reply, Reply) for reply in replies)
    gc.collect()
    await asyncio.sleep(0)
    assert complaints == []


async def test_a_timed_out_request_gives_back_its_connection() -> None:
    with OpenAIServer({"slow": Stall()}).start() as server:
        policy = RetryPolicy(2, 30.0, 0.0, 0.0)
        async with endpoint_at(server.url, timeout_s=0.4, policy=policy) as endpoint:
            await asyncio.gather(*(endpoint.send(question(f"slow {number}")) for number in range(8)))
            await until(lambda: server.in_flight == 0)
            assert isinstance(await endpoint.send(question("quick")), Reply)


# The test server as a process of its own


async def test_the_test_server_runs_by_itself_and_answers_alike_each_time() -> None:
    command = [sys.executable, "-m", "tests.support.servers.openai_server", "--models", MODEL]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=ROOT, env=dict(os.environ)) as process:  # noqa: ASYNC220
        try:
            assert process.stdout is not None
            url = process.stdout.readline().strip()
            async with endpoint_at(url, concurrency=500) as endpoint:
                assert (await endpoint.preflight()).listed == (MODEL,)
                texts = ["Pick (A) or (B).", "Rate the reply on a scale from 0 to 100."] * 2
                replies = await asyncio.gather(*(endpoint.send(question(text)) for text in texts))
                assert [reply.content for reply in replies if isinstance(reply, Reply)] == ["A", "85", "A", "85"]
                judged = await endpoint.send(question(texts[1], logprobs=True))
                assert isinstance(judged, Reply)
                assert judged.token_alternatives is not None
        finally:
            process.terminate()


async def test_the_test_server_tells_prompts_and_repetitions_apart() -> None:
    def script(body: Any, seen: int) -> Behaviour:
        return Answer(f"{last_message(body)} {seen}")

    with OpenAIServer(script).start() as server:
        async with endpoint_at(server.url) as endpoint:
            replies = [await endpoint.send(question(text)) for text in ("x", "y", "x")]
    assert [reply.content for reply in replies if isinstance(reply, Reply)] == ["x 1", "y 1", "x 2"]
