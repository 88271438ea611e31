"""The two transports against the same misbehaving server: the same replies and the same failures."""

from __future__ import annotations

import asyncio
import contextlib
import json
import ssl
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.transport.aiohttp_transport import AiohttpTransport
from evals.endpoints.transport.environment import proxy_of
from evals.endpoints.transport.transport import TransportName, TransportSettings
from evals.errors import BadInput, EndpointDown
from evals.trials.prompt import Message
from evals.trials.response import Failure
from tests.support.cli_runner import emeval, responses, scenarios, told_again
from tests.support.paths import ROOT
from tests.support.runs import run, server
from tests.support.servers.endpoints import connected
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
    Stall,
    Status,
    Trickle,
)
from tests.support.servers.raw_server import RawServer, ok

pytestmark = pytest.mark.anyio

TRANSPORTS: tuple[TransportName, ...] = ("aiohttp", "openai")
TWICE = RetryPolicy(max_attempts=2, max_total_s=20.0, first_wait_s=0.0, longest_wait_s=0.0)
STATUSES = (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 498, 500, 503, 529)
BEHAVIOURS: list[Behaviour | list[Behaviour]] = [
    Answer("the answer", model="other", reasoning="so", reasoning_content="thus", completion_tokens=7),
    Answer(None, refusal="no"),
    Answer("85", top_logprobs=[{"85": 0.9, "90": 0.1}]),
    Answer("é \ud83d\ude00 中"),
    [Status(500), Answer("later")],
    [Reset(), Answer("later")],
    *(
        Status(status, "words", code="c")
        for status in (400, 401, 402, 403, 404, 408, 409, 413, 422, 429, 498, 500, 503, 529)
    ),
    Status(429, headers={"Retry-After": "0"}),
    Status(429, headers={"Retry-After": "86400"}),
    QUOTA_USED_UP,
    Raw(b"", status=500),
    Raw(b"<html>no</html>", status=502, content_type="text/html"),
    Raw(b'{"message": "plain"}', status=400),
    Raw(b'{"error": "text"}', status=400),
    Raw(b"[1, 2]", status=400),
    Raw(b"", status=204),
    Raw(b"\xff\xfe\x00"),
    Raw(b'{"choices": [{"message": {"content": "\xff\xfe"}}]}'),
    Raw(b'{"choices": [{"message": {"content": "A"}}]}', headers={"Content-Type": "text/plain; charset=utf-16"}),
    Raw(b"not gzip", headers={"Content-Encoding": "gzip"}),
    Raw(b"x", headers={"Content-Encoding": "br"}),
    Raw(b"", status=302, headers={"Location": "ftp://elsewhere/"}),
    Raw(b'{"error": {"message": "upstream", "code": 502}}'),
    *(HTML, TRUNCATED_JSON, Reset(midway=True), Reset(quiet=True), Reset(midway=True, quiet=True), Garbage()),
    *(Stall(), Stall(bare=True), Trickle(0.2)),
]


async def outcome(behaviour: Any, transport: TransportName) -> tuple[Any, list[Any]]:
    """What a request comes to, without what differs from time to time, and what the server was asked."""
    with OpenAIServer(behaviour, models=("m",)).start() as live:
        async with connected(live.url, policy=TWICE, transport=transport, timeout_s=0.4) as endpoint:
            try:
                result = await endpoint.send(ChatRequest((Message("user", "Which é?"),), max_tokens=16, seed=1))
            except EndpointDown as error:
                result = str(error).replace(live.url, "URL")
    if isinstance(result, Reply):
        result = {name: getattr(result, name) for name in Reply.__slots__ if name != "latency_s"}
    return result, [(request.path, request.body, request.authorization) for request in live.requests]


@pytest.mark.parametrize("behaviour", BEHAVIOURS, ids=range(len(BEHAVIOURS)))
async def test_both_transports_give_the_same_reply_or_failure(behaviour: Any) -> None:
    ours, theirs = [await outcome(behaviour, transport) for transport in TRANSPORTS]
    if isinstance(ours[0], Failure) and ours[0].kind == "connection":  # the words are those of the client
        assert isinstance(theirs[0], Failure)
        assert (theirs[0].kind, theirs[0].attempts) == ("connection", ours[0].attempts)
        assert ours[1] == theirs[1]
    else:
        assert ours == theirs


def test_a_run_is_the_same_over_both(tmp_path: Path) -> None:
    dataset = scenarios(tmp_path / "d.jsonl", 6)
    found: list[str] = []
    with server().start() as live:
        for transport in TRANSPORTS:
            folder = tmp_path / transport
            assert run(folder, dataset, live.url, "--transport", transport).returncode == 0
            found.append((folder / "responses.csv").read_text())
        again = told_again(tmp_path / "aiohttp")
        assert emeval("resume", tmp_path / "aiohttp", *again, "--transport", "openai", url=live.url).returncode == 0
    assert found[0] == found[1]
    assert set(responses(tmp_path / "openai")["outcome"]) == {"scored"}


LOADED = "'loaded:', 'openai' in sys.modules"


def test_a_run_does_not_load_openais_client(tmp_path: Path) -> None:
    code = f"import atexit, sys\natexit.register(lambda: print({LOADED}))\nfrom evals.cli import main\nmain()"
    arguments = ("run", "unethical_test", "-m", "vllm/subject", "--dataset", scenarios(tmp_path / "d.jsonl", 2))
    with server().start() as live:
        done = subprocess.run(
            [sys.executable, "-c", code, *arguments, "--base-url", live.url, "--out", tmp_path / "run"],
            cwd=ROOT,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert done.returncode == 0, done.stderr
    assert "loaded: False" in done.stdout


# The way there


@pytest.mark.parametrize(
    ("url", "environment", "proxy"),
    [
        ("http://a.example/v1", {}, None),
        ("http://a.example/v1", {"http_proxy": "http://p:1"}, "http://p:1"),
        ("http://a.example/v1", {"http_proxy": "p:1"}, "http://p:1"),
        ("https://a.example/v1", {"http_proxy": "http://p:1"}, None),
        ("https://a.example/v1", {"ALL_PROXY": "http://p:2", "HTTPS_PROXY": "http://p:3"}, "http://p:3"),
        ("https://a.example/v1", {"ALL_PROXY": "http://p:2"}, "http://p:2"),
        *(
            ("http://a.example:8000/v1", {"http_proxy": "http://p:1", "no_proxy": exempt}, None)
            for exempt in ("*", "a.example", "example", ".example", "*.example", "b, A.EXAMPLE", "a.example:8000")
        ),
        *(
            ("http://a.example:8000/v1", {"http_proxy": "http://p:1", "no_proxy": other}, "http://p:1")
            for other in ("", ",", "xample", ".a.example", "a.example:80", "localhost", "10.0.0.0/8")
        ),
        ("http://10.1.2.3/v1", {"http_proxy": "http://p:1", "no_proxy": "10.0.0.0/8"}, None),
        ("http://10.1.2.3/v1", {"http_proxy": "http://p:1", "no_proxy": "10.1.2.3"}, None),
        ("http://[::1]:80/v1", {"http_proxy": "http://p:1", "no_proxy": "::1"}, None),
        ("http://[::1]:80/v1", {"http_proxy": "http://p:1", "no_proxy": "[::1]"}, None),
    ],
)
def test_the_proxy_is_that_of_the_environment(
    url: str, environment: dict[str, str], proxy: str | None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("no_proxy", "NO_PROXY"):
        monkeypatch.delenv(name, raising=False)
    for name, value in environment.items():
        monkeypatch.setenv(name, value)
    assert proxy_of(url) == proxy


@pytest.mark.parametrize(("transport", "login"), [("aiohttp", "user:pass@"), ("aiohttp", ""), ("openai", "")])
async def test_requests_pass_the_proxy(transport: TransportName, login: str, monkeypatch: pytest.MonkeyPatch) -> None:
    body = b'{"choices": [{"message": {"content": "A"}}]}'
    with RawServer(lambda _path: ok(body)).start() as proxy:
        address = proxy.url.removesuffix("/v1").removeprefix("http://")
        monkeypatch.setenv("http_proxy", f"http://{login}{address}")
        for name in ("no_proxy", "NO_PROXY"):
            monkeypatch.delenv(name, raising=False)
        async with connected("http://model.invalid:8000/v1", transport=transport) as endpoint:
            reply = await endpoint.send(ChatRequest((Message("user", "A?"),), max_tokens=1))
    assert isinstance(reply, Reply)
    [request] = proxy.requests
    assert request.path == "http://model.invalid:8000/v1/chat/completions"
    assert ("proxy-authorization: basic dxnlcjpwyxnz" in request.headers.lower()) == bool(login)


@contextlib.contextmanager
def tls_server(folder: Path) -> Iterator[tuple[str, Path]]:
    """The URL of a server with a certificate of its own, and the file of that."""
    certificate, key = folder / "cert.pem", folder / "key.pem"
    subprocess.run(
        [
            *("openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"),
            *("-addext", "subjectAltName=DNS:localhost", "-keyout", key, "-out", certificate),
        ],
        check=True,
        capture_output=True,
    )
    context = ssl.create_default_context(ssl.Purpose.CLIENT_AUTH)
    context.load_cert_chain(certificate, key)
    reply = ok(json.dumps({"data": [{"id": "m"}]}).encode())
    with RawServer(lambda _path: reply, tls=context).start() as live:
        yield live.url.replace("http://127.0.0.1", "https://localhost"), certificate


@pytest.mark.parametrize("transport", TRANSPORTS)
async def test_a_certificate_is_trusted_if_the_environment_says_so(
    transport: TransportName, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with tls_server(tmp_path) as (url, certificate):
        async with connected(url, transport=transport) as endpoint:
            with pytest.raises(BadInput, match=r"cannot be reached: .*certificate"):
                await endpoint.preflight()
        monkeypatch.setenv("SSL_CERT_FILE", str(certificate))
        async with connected(url, transport=transport) as endpoint:
            assert (await endpoint.preflight()).listed == ("m",)


@pytest.mark.anyio
async def test_a_connection_that_is_closed_as_it_is_used_is_opened_again() -> None:
    """What stands beside sampling has no retries of its own; two closed connections are a server that is away."""
    connections = 0

    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        nonlocal connections
        connections += 1
        await reader.readuntil(b"\r\n\r\n")
        if connections > 1:
            writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}")
            await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    async with listening:
        url = f"http://127.0.0.1:{listening.sockets[0].getsockname()[1]}/v1"
        transport = AiohttpTransport(TransportSettings(url, {}, 10.0))
        try:
            assert await transport.get(f"{url}/models") == "{}"
        finally:
            await transport.close()
    assert connections == 2
