"""Servers that send the key and the prompts elsewhere: no redirect is followed, and no page is taken for an answer."""

from __future__ import annotations

from pathlib import Path

import pytest

from evals.endpoints.chat import ChatRequest
from evals.endpoints.transport.transport import TransportName, redirect_advice
from evals.errors import BadInput, EndpointDown
from evals.trials.prompt import Message
from evals.trials.response import Failure
from tests.support.cli_runner import emeval, scenarios
from tests.support.servers.endpoints import connected
from tests.support.servers.openai_server import Answer, OpenAIServer, Raw, last_message

pytestmark = pytest.mark.anyio

STATUSES = (301, 302, 303, 307, 308)


def question(text: str) -> ChatRequest:
    return ChatRequest((Message("user", text),), max_tokens=16)


@pytest.mark.parametrize("transport", ["aiohttp", "openai"])
@pytest.mark.parametrize("status", STATUSES)
async def test_a_redirected_prompt_fails_alone_and_nothing_is_sent_elsewhere(
    status: int, transport: TransportName
) -> None:
    with OpenAIServer().start() as other:
        moved = Raw(b"", status=status, headers={"Location": f"{other.url}/chat/completions?key=1#x"})
        with OpenAIServer({"poison": moved}, models=("m",)).start() as server:
            async with connected(server.url, transport=transport) as endpoint:
                failure = await endpoint.send(question("poison"))
    said = f"it redirects to {other.url}/chat/completions; no redirect is followed: if that is right, give {other.url} "
    assert failure == Failure("denied", f"status {status}: {said}as --base-url", 1)
    assert other.requests == []
    assert len([chat for chat in server.chats if last_message(chat.body) == "poison"]) == 1


@pytest.mark.parametrize("transport", ["aiohttp", "openai"])
async def test_a_server_that_redirects_everything_stops_the_run(transport: TransportName) -> None:
    with OpenAIServer(models=("m",)).start() as other:
        moved = Raw(b"", status=307, headers={"Location": f"{other.url}/chat/completions"})
        with OpenAIServer(moved, models=("m",)).start() as server:
            async with connected(server.url, transport=transport) as endpoint:
                with pytest.raises(EndpointDown, match=f"turns every request down: .*give {other.url} as --base-url"):
                    await endpoint.send(question("Which one?"))
    assert other.requests == []


@pytest.mark.parametrize("status", STATUSES)
def test_a_redirected_list_of_models_is_one_line_that_names_the_new_url(status: int, tmp_path: Path) -> None:
    with OpenAIServer(Answer("A"), models=("subject",)).start() as other:
        target = other.url.replace("http://", "http://user:pass@") + "/models?token=1"
        moved = Raw(b"", status=status, headers={"Location": target})
        with OpenAIServer(models_behaviour=moved).start() as server:
            dataset = scenarios(tmp_path / "d.jsonl", 2)
            done = emeval(
                *("run", "unethical_test", "-m", "vllm/subject", "--dataset", dataset, "--out", tmp_path / "run"),
                url=server.url,
            )
    assert done.returncode == 2
    assert f"answers /models with {status}: it redirects to {other.url}/models;" in done.stderr
    assert f"give {other.url} as --base-url" in done.stderr
    assert "pass" not in done.stderr
    assert "token" not in done.stderr
    assert other.requests == []
    assert server.chats == []


@pytest.mark.parametrize(
    ("location", "said"),
    [
        ("", "it redirects and names no address; no redirect is followed"),
        ("http://[::1", "it redirects to an address that cannot be read; no redirect is followed"),
        ("ftp://elsewhere/x?y", "it redirects to ftp://elsewhere/x; no redirect is followed"),
        ("javascript:alert(1)", "it redirects and names no address; no redirect is followed"),
        (
            "/api/v1/models",
            "it redirects to https://a/api/v1/models; no redirect is followed: if that is right, give https://a/api/v1 "
            "as --base-url",
        ),
        (
            "//u:p@b:8/login?next=models",
            "it redirects to https://b:8/login; no redirect is followed: if that is right, give https://b:8/login as "
            "--base-url",
        ),
    ],
)
def test_the_target_is_shown_without_what_may_be_secret(location: str, said: str) -> None:
    assert redirect_advice("https://a/v1/models", location) == said


async def test_a_redirected_rendering_is_none(tmp_path: Path) -> None:
    with OpenAIServer().start() as other:
        moved = Raw(b"", status=302, headers={"Location": f"{other.url}/login"})
        with OpenAIServer(moved, models=("m",)).start() as server:
            async with connected(server.url) as endpoint:
                assert await endpoint.find_renderer() is None
    assert other.requests == []


async def test_a_bad_location_does_not_end_a_check() -> None:
    moved = Raw(b"", status=301, headers={"Location": "http://[::1"})
    with OpenAIServer(models_behaviour=moved).start() as server:
        async with connected(server.url) as endpoint:
            with pytest.raises(BadInput, match="an address that cannot be read"):
                await endpoint.preflight()
