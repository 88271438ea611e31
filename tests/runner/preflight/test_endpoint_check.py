"""Checks before a run, against a real server that refuses one parameter or another, or does not answer."""

from __future__ import annotations

import contextlib
from collections.abc import AsyncIterator, Mapping
from pathlib import Path
from typing import Any

import pytest

from evals.endpoints.judge_endpoint import JudgeEndpoint
from evals.endpoints.model_spec import Overrides, resolve_model
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import Server
from evals.errors import BadInput
from evals.runner.preflight.endpoint import check_judge, check_listing, check_model
from evals.trials.trial import FULL, SERVER_DEFAULT, Sampling
from judges.alignment import alignment_judge
from judges.judge import Judge
from judges.monitors.cot_monitor import cot_monitor
from tests.support.cli_runner import emeval, manifest, responses, scenarios
from tests.support.servers.openai_server import (
    QUOTA_USED_UP,
    Answer,
    Behaviour,
    OpenAIServer,
    Reset,
    Script,
    Stall,
    Status,
)

MAX_TOKENS = 2048
SHORT = 16

pytestmark = pytest.mark.anyio


@contextlib.asynccontextmanager
async def connected(server: OpenAIServer, name: str, timeout_s: float = 600.0) -> AsyncIterator[ServedModel]:
    with server.start():
        connection = Server(server.url, "sk-test-key", concurrency=8, timeout_s=timeout_s)
        try:
            yield ServedModel(resolve_model(name, Overrides(server.url, {})), connection)
        finally:
            await connection.close()


async def checked_model(server: OpenAIServer, name: str = "vllm/test-model", **settings: Any) -> ServedModel:
    async with connected(server, name, **settings) as model:
        checked, _ = await check_model(model, Sampling(0.7, MAX_TOKENS))
        return checked


async def checked_judge(server: OpenAIServer, judge: Judge, *, required: bool = False) -> JudgeEndpoint:
    async with connected(server, "vllm/test-model") as model:
        return await check_judge(await check_listing(model), judge, logprobs_required=required)


async def refused(server: OpenAIServer) -> str:
    with pytest.raises(BadInput) as caught:
        await checked_model(server)
    assert "\n" not in str(caught.value)
    return str(caught.value)


async def judge_refused(server: OpenAIServer, judge: Judge, *, required: bool = False) -> str:
    with pytest.raises(BadInput) as caught:
        await checked_judge(server, judge, required=required)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def rejecting(**unwanted: Any) -> Script:
    """A server that rejects a request in which a field is there, or has just this value."""

    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        for name, value in unwanted.items():
            if name in body and value in (..., body[name]):
                return Status(400, f"{name} is not supported")
        return Answer()

    return script


@pytest.fixture
def judge() -> Judge:
    return alignment_judge(None, "auto", 1024)


@pytest.fixture
def short_of_time(monkeypatch: pytest.MonkeyPatch) -> None:
    for module in ("evals.endpoints.endpoint", "evals.runner.preflight.endpoint"):
        monkeypatch.setattr(f"{module}.PROBE_TIME_S", 2.0)


async def test_model_is_asked_with_the_parameters_of_the_run() -> None:
    server = OpenAIServer()
    checked = await checked_model(server)
    assert checked.listed == ("test-model",)
    [body] = (chat.body for chat in server.chats)
    assert (body["max_tokens"], body["temperature"], body["seed"]) == (MAX_TOKENS, 0.7, 0)


async def test_a_token_limit_that_is_too_large_is_found_before_the_run() -> None:
    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        return Status(400, "maximum context length is 1024 tokens") if body["max_tokens"] > 1000 else Answer()

    assert await refused(OpenAIServer(script)) == (
        "vllm/test-model refuses a test request: status 400: maximum context length is 1024 tokens"
    )


async def test_a_token_limit_that_is_too_large_for_the_judge_is_found_before_the_run(judge: Judge) -> None:
    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        return Status(400, "maximum context length is 1000 tokens") if body["max_tokens"] > 1000 else Answer()

    said = await judge_refused(OpenAIServer(script), judge)
    assert said.startswith("judge vllm/test-model refuses a test request: status 400: maximum context length")


async def test_a_name_with_a_colon_is_asked_for_as_the_server_lists_it(judge: Judge) -> None:
    server = OpenAIServer(models=["qwen3:8b"])
    async with connected(server, "vllm/qwen3:8b") as model:
        checked, _ = await check_model(model, Sampling(1.0, MAX_TOKENS))
        assert checked.spec.served_name == "qwen3:8b"
        await check_judge(await check_listing(model), judge, logprobs_required=False)
    assert {chat.body["model"] for chat in server.chats} == {"qwen3:8b"}


@pytest.mark.usefixtures("short_of_time")
@pytest.mark.parametrize("timeout_s", [600.0, 0.2])
async def test_a_server_whose_chat_hangs_is_found_within_the_time_of_a_check(timeout_s: float) -> None:
    with pytest.raises(BadInput, match=r"^vllm/test-model does not answer a test request: no complete reply within"):
        await checked_model(OpenAIServer(Stall(bare=True)), timeout_s=timeout_s)


@pytest.mark.usefixtures("short_of_time")
async def test_a_judge_whose_chat_hangs_is_found_at_the_first_question(judge: Judge) -> None:
    server = OpenAIServer(Stall(bare=True))
    assert "judge vllm/test-model does not answer a test request" in await judge_refused(server, judge)
    assert {chat.body["logprobs"] for chat in server.chats} == {True}


@pytest.mark.usefixtures("short_of_time")
async def test_a_model_that_thinks_for_long_passes_when_a_short_request_is_answered() -> None:
    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        return Stall(bare=True) if body["max_tokens"] > SHORT else Answer()

    server = OpenAIServer(script)
    await checked_model(server)
    assert [chat.body["max_tokens"] for chat in server.chats] == [MAX_TOKENS, SHORT]


@pytest.mark.parametrize(
    ("fault", "said"),
    [
        (Status(403, "no"), "refuses a test request: status 403: no"),
        (Status(500, "broken"), "could not be checked with a test request: status 500: broken"),
        (Reset(), "could not be checked with a test request: the connection failed"),
        (QUOTA_USED_UP, "quota is used up"),
        (Status(402, "Insufficient Balance"), "balance is used up"),
        (Status(429, "later", headers={"Retry-After": "7200"}), "asks to wait 2 h (429): later"),
    ],
    ids=["403", "500", "reset", "quota", "402", "wait"],
)
async def test_a_server_that_answers_no_chat_is_one_line(fault: Behaviour, said: str) -> None:
    assert said in await refused(OpenAIServer(fault))


async def test_a_judge_that_takes_everything_is_asked_once(judge: Judge) -> None:
    server = OpenAIServer()
    checked = await checked_judge(server, judge)
    assert (checked.judge, checked.temperature) == (judge, 0.0)
    [body] = (chat.body for chat in server.chats)
    assert (body["max_tokens"], body["temperature"], body["logprobs"]) == (judge.max_tokens, 0.0, True)


@pytest.mark.parametrize(
    ("unwanted", "logprobs", "temperature"),
    [
        ({"logprobs": ...}, False, 0.0),
        ({"temperature": ...}, True, None),
        ({"temperature": 0.0}, True, None),
        ({"temperature": ..., "logprobs": ...}, False, None),
    ],
    ids=["logprobs", "temperature", "temperature 0", "both"],
)
async def test_what_a_judge_rejects_is_left_out_and_nothing_else(
    judge: Judge, unwanted: dict[str, Any], logprobs: bool, temperature: float | None
) -> None:
    checked = await checked_judge(OpenAIServer(rejecting(**unwanted)), judge)
    assert (checked.judge.wants_logprobs, checked.temperature) == (logprobs, temperature)


@pytest.mark.parametrize(
    ("unwanted", "structured", "temperature"),
    [
        ({}, True, 0.0),
        ({"response_format": ...}, False, 0.0),
        ({"temperature": ...}, True, None),
        ({"temperature": 0.0, "response_format": ...}, False, None),
    ],
    ids=["nothing", "response_format", "temperature", "both"],
)
@pytest.mark.parametrize("status", [400, 404, 422])
async def test_structured_output_is_left_out_where_it_is_rejected(
    unwanted: dict[str, Any], structured: bool, temperature: float | None, status: int
) -> None:
    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        if "response_format" in body and "response_format" in unwanted:
            return Status(status, "response_format is not supported")
        return Status(400, "no") if body.get("temperature") == 0.0 and "temperature" in unwanted else Answer()

    monitor = cot_monitor()
    server = OpenAIServer(script)
    checked = await checked_judge(server, monitor)
    assert (checked.judge.schema, checked.temperature) == (monitor.schema if structured else None, temperature)
    schemas = [chat.body.get("response_format", {}).get("json_schema", {}).get("schema") for chat in server.chats]
    assert schemas[0] == monitor.schema
    assert schemas[-1] == checked.judge.schema


async def test_a_judge_that_is_denied_with_and_without_structured_output_is_refused() -> None:
    assert "status 404: no such model" in await judge_refused(OpenAIServer(Status(404, "no such model")), cot_monitor())


@pytest.mark.parametrize("status", [400, 403, 404, 422])
@pytest.mark.parametrize(
    "said",
    [
        "You are not allowed to request logprobs from this model",
        "top_logprobs: extra fields not permitted",
        "Log probabilities are not available for this model",
        "this endpoint does not return token probabilities",
    ],
)
async def test_a_judge_that_gives_no_token_probabilities_is_read_by_its_text(
    judge: Judge, status: int, said: str
) -> None:
    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        return Status(status, said) if body.get("logprobs") else Answer()

    checked = await checked_judge(OpenAIServer(script), judge)
    assert (checked.judge.wants_logprobs, checked.temperature) == (False, 0.0)
    assert said in await judge_refused(OpenAIServer(script), judge, required=True)


async def test_token_probabilities_that_are_required_are_not_left_out(judge: Judge) -> None:
    server = OpenAIServer(rejecting(logprobs=...))
    assert "logprobs is not supported" in await judge_refused(server, judge, required=True)
    checked = await checked_judge(OpenAIServer(rejecting(temperature=0.0)), judge, required=True)
    assert (checked.judge.wants_logprobs, checked.temperature) == (True, None)


@pytest.mark.usefixtures("short_of_time")
@pytest.mark.parametrize("fault", [Status(500), Status(429), Status(403), Reset(), Stall(bare=True)], ids=str)
async def test_a_judge_that_cannot_be_reached_with_token_probabilities_is_not_asked_without(
    judge: Judge, fault: Behaviour
) -> None:
    def script(body: Mapping[str, Any], _seen: int) -> Behaviour:
        return fault if body.get("logprobs") else Answer()

    server = OpenAIServer(script)
    assert "judge vllm/test-model" in await judge_refused(server, judge)
    assert all(chat.body["logprobs"] for chat in server.chats)


async def test_a_fault_that_passes_costs_the_judge_no_token_probabilities(judge: Judge) -> None:
    checked = await checked_judge(OpenAIServer([Status(503), Answer()]), judge)
    assert (checked.judge.wants_logprobs, checked.temperature) == (True, 0.0)


def test_a_run_uses_what_the_check_found_out(tmp_path: Path) -> None:
    unwanted = rejecting(temperature=0.0, logprobs=...)
    assert callable(unwanted)

    def script(body: Mapping[str, Any], seen: int) -> Behaviour:
        return unwanted(body, seen) if body["model"] == "o9:latest" else Answer("Return it.")

    with OpenAIServer(script, models=["qwen3:8b", "o9:latest"]).start() as server:
        done = emeval(
            *("run", "unethical_test", "-m", "vllm/qwen3:8b", "--judge", "vllm/o9:latest", "--format", "freeform"),
            *("--dataset", scenarios(tmp_path / "d.jsonl", 2), "--out", tmp_path / "run", "--max-unscored", "1"),
            url=server.url,
        )
        found = emeval("preflight", "-m", "vllm/qwen3:8b", "--judge", "vllm/o9:latest", url=server.url)
    assert done.returncode == 0, done.stderr
    assert manifest(tmp_path / "run")["models"]["vllm/qwen3:8b"]["served_name"] == "qwen3:8b"
    assert "failed" not in "".join(responses(tmp_path / "run")["outcome"])
    assert {chat.body["model"] for chat in server.chats} == {"qwen3:8b", "o9:latest"}
    assert found.returncode == 0, found.stderr
    assert "as qwen3:8b" in found.stdout
    assert "as o9:latest" in found.stdout


# --- a judge's sampler ------------------------------------------------------------------------------------------------


async def test_a_judge_at_ones_own_server_is_asked_without_what_its_folder_sets(judge: Judge) -> None:
    server = OpenAIServer()
    asked = await checked_judge(server, judge)
    assert asked.sampler == FULL
    assert server.chats[-1].body["repetition_penalty"] == 1.0


@pytest.mark.parametrize("field", ["repetition_penalty", "min_p", "top_k"])
async def test_a_judge_whose_server_takes_no_such_field_is_asked_without(field: str, judge: Judge) -> None:
    asked = await checked_judge(OpenAIServer(rejecting(**{field: ...})), judge)
    assert asked.sampler == SERVER_DEFAULT
    assert asked.judge.wants_logprobs
    assert asked.temperature == 0.0


async def test_a_hosted_judge_is_sent_no_sampler(judge: Judge) -> None:
    server = OpenAIServer()
    async with connected(server, "openai/test-model") as model:
        asked = await check_judge(await check_listing(model), judge, logprobs_required=False)
    assert asked.sampler == SERVER_DEFAULT
    assert not {"top_p", "repetition_penalty"} & set(server.chats[-1].body)
