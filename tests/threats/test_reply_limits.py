"""Replies that are small on the wire and huge in memory, or that do not end."""

from __future__ import annotations

import asyncio
import gzip
import json
import resource
import zlib
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.transport.transport import TransportName
from evals.errors import BadInput
from evals.trials.prompt import Message
from evals.trials.response import Failure
from tests.support.cli_runner import emeval, scenarios
from tests.support.runs import run
from tests.support.servers.endpoints import connected
from tests.support.servers.openai_server import Answer, OpenAIServer, Raw
from tests.support.servers.raw_server import Bytes, RawServer, ok

pytestmark = pytest.mark.anyio

REQUEST = ChatRequest((Message("user", "Which one?"),), max_tokens=16)
LISTING = ok(b'{"data": [{"id": "m"}]}')
HUGE = 300_000_000
"""Bytes that the bombs stand for."""


def compressed(wbits: int, layers: int = 1) -> bytes:
    """A chat completion whose text is HUGE, compressed."""
    press = zlib.compressobj(9, zlib.DEFLATED, wbits)
    data = press.compress(b'{"choices": [{"message": {"content": "')
    piece = b"a" * 10_000_000
    data += b"".join(press.compress(piece) for _ in range(HUGE // len(piece)))
    data += press.compress(b'"}}]}') + press.flush()
    for _ in range(layers - 1):
        data = gzip.compress(data)
    return data


GZIP = compressed(31)


async def endless_chunks() -> AsyncIterator[bytes]:
    yield b'HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n26\r\n{"choices": [{"message": {"content": "\r\n'
    while True:
        yield b"10000\r\n" + b"a" * 65536 + b"\r\n"


async def without_length() -> AsyncIterator[bytes]:
    yield b'HTTP/1.1 200 OK\r\n\r\n{"choices": [{"message": {"content": "'
    while True:
        yield b"a" * 65536


async def in_tiny_chunks() -> AsyncIterator[bytes]:
    yield b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"
    while True:
        yield b"1\r\n \r\n" * 10_000


BOMBS: dict[str, Bytes] = {
    "gzip": ok(GZIP, b"Content-Encoding: gzip\r\n"),
    "x-gzip": ok(GZIP, b"Content-Encoding: X-GZIP\r\n"),
    "deflate": ok(compressed(15), b"Content-Encoding: deflate\r\n"),
    "raw deflate": ok(compressed(-15), b"Content-Encoding: deflate\r\n"),
    "plain": ok(b"a" * 40_000_000),
    "endless chunks": endless_chunks,
    "without length": without_length,
    "gzip in chunks": b"HTTP/1.1 200 OK\r\nContent-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n"
    + b"".join(b"%x\r\n%b\r\n" % (len(piece), piece) for piece in (GZIP[:999], GZIP[999:]))
    + b"0\r\n\r\n",
}
UNREAD: dict[str, Bytes] = {
    "two layers": ok(compressed(31, layers=2), b"Content-Encoding: gzip, gzip\r\n"),
    "two headers": ok(compressed(31, layers=2), b"Content-Encoding: gzip\r\nContent-Encoding: gzip\r\n"),
    "br": ok(GZIP, b"Content-Encoding: br\r\n"),
    "zstd": ok(GZIP, b"Content-Encoding: zstd\r\n"),
    "members": ok(gzip.compress(b"") * 50_000, b"Content-Encoding: gzip\r\n"),
    "cut": ok(gzip.compress(b'{"choices": []}')[:-4], b"Content-Encoding: gzip\r\n"),
}


async def asked(
    reply: Bytes, *, times: int = 1, listing: Bytes = LISTING, transport: TransportName = "aiohttp", **settings: Any
) -> list[Reply | Failure]:
    """What as many requests at the same time make of a reply."""
    with RawServer(lambda path: listing if path.endswith("/models") else reply).start() as server:
        async with connected(server.url, transport=transport, **settings) as endpoint:
            return list(await asyncio.gather(*(endpoint.send(REQUEST) for _ in range(times))))


def peak() -> int:
    """The most memory that this process has had so far, in bytes."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024


@pytest.mark.parametrize("transport", ["aiohttp", "openai"])
@pytest.mark.parametrize("name", BOMBS)
async def test_a_bomb_fails_its_trial_and_is_not_asked_for_again(name: str, transport: TransportName) -> None:
    [failure] = await asked(BOMBS[name], transport=transport, max_reply_mb=2.0)
    assert failure == Failure("too_large", "the reply is larger than 2 MB (--max-reply-mb)", 1)


@pytest.mark.parametrize("transport", ["aiohttp", "openai"])
@pytest.mark.parametrize("name", UNREAD)
async def test_an_encoding_that_was_not_asked_for_is_not_decoded(name: str, transport: TransportName) -> None:
    [failure] = await asked(UNREAD[name], transport=transport)
    assert isinstance(failure, Failure)
    assert failure.kind == "connection"


async def test_memory_stays_flat_with_eight_bombs_at_once() -> None:
    before = peak()
    failures = await asked(BOMBS["gzip"], times=8)
    assert {failure.kind for failure in failures if isinstance(failure, Failure)} == {"too_large"}
    assert peak() - before < 12 * 32_000_000


async def test_tiny_chunks_take_no_more_memory_than_others() -> None:
    before = peak()
    [failure] = await asked(in_tiny_chunks, max_reply_mb=1.0)
    assert isinstance(failure, Failure)
    assert failure.kind == "too_large"
    assert peak() - before < 200_000_000


@pytest.mark.parametrize("transport", ["aiohttp", "openai"])
@pytest.mark.parametrize("status", [b"400 No", b"429 Slow", b"500 Broken"])
async def test_a_bomb_in_an_error_is_that_error(status: bytes, transport: TransportName) -> None:
    before = peak()
    [failure] = await asked(ok(GZIP, b"Content-Encoding: gzip\r\n", status), transport=transport)
    assert isinstance(failure, Failure)
    assert failure.detail.startswith(f"status {status[:3].decode()}: ")
    assert len(failure.detail) < 400
    assert peak() - before < 100_000_000


@pytest.mark.parametrize(
    "listing",
    [
        BOMBS["gzip"],
        BOMBS["endless chunks"],
        ok(json.dumps({"data": [{"id": f"m{number}"} for number in range(20_001)]}).encode()),
        ok(b'{"data": [' + b"{}," * 700_000 + b"{}]}"),
    ],
    ids=["gzip", "endless", "many", "empty"],
)
async def test_a_bomb_in_place_of_a_list_of_models_is_one_line(listing: Bytes) -> None:
    with RawServer(lambda _path: listing).start() as server:
        async with connected(server.url, max_reply_mb=3.0) as endpoint:
            with pytest.raises(BadInput, match="answers /models with too much: the reply is larger than"):
                await endpoint.preflight()


async def test_a_bomb_in_place_of_a_rendered_prompt_is_one_line() -> None:
    for bomb in (BOMBS["gzip"], ok(b'{"tokens": [' + b"0," * 1_500_000 + b'0], "count": 3}')):
        with RawServer(lambda path, bomb=bomb: LISTING if path.endswith("/models") else bomb).start() as server:
            async with connected(server.url) as endpoint:
                with pytest.raises(BadInput, match="a rendered prompt: the reply is larger than"):
                    await endpoint.find_renderer()


def choices(count: int) -> dict[str, Any]:
    return {"choices": [{"message": {"content": "A"}}] * count}


def content(value: Any) -> dict[str, Any]:
    return {"choices": [{"message": {"content": value}}]}


def thought(parts: int) -> list[Any]:
    return [{"type": "thinking", "thinking": ["A"] * parts}, "A"]


def logprobs(tokens: int, alternatives: int) -> dict[str, Any]:
    token = {"token": "A", "logprob": 0.0, "top_logprobs": [{"token": "A", "logprob": 0.0}] * alternatives}
    return {"choices": [{"message": {"content": "A"}, "logprobs": {"content": [token] * tokens}}]}


@pytest.mark.parametrize(
    ("within", "above"),
    [
        (choices(1000), choices(1001)),
        (content([{"text": "A"}] * 10_000), content([{"text": "A"}] * 10_001)),
        (content(thought(9_999)), content(thought(10_001))),
        (logprobs(2, 1000), logprobs(2, 1001)),
        (content("A, " * 400_000), content("A, " * 1_100_000)),
    ],
    ids=["choices", "parts", "thought", "alternatives", "values"],
)
async def test_a_list_in_a_reply_has_a_limit(within: dict[str, Any], above: dict[str, Any]) -> None:
    [reply] = await asked(ok(json.dumps(within).encode()))
    assert isinstance(reply, Reply)
    assert reply.content.startswith("A")
    [failure] = await asked(ok(json.dumps(above).encode()))
    assert isinstance(failure, Failure)
    assert failure.kind == "too_large"


MANY_EMPTY = Raw(b'{"choices": [' + b"{}," * 600_000 + b"{}]}")


@pytest.mark.parametrize(
    ("behaviour", "limit"),
    [(Answer("a" * 3_000_000), "2 MB"), (MANY_EMPTY, "1,000,000 values")],
    ids=["text", "values"],
)
def test_a_run_records_such_replies_as_failed(behaviour: Answer | Raw, limit: str, tmp_path: Path) -> None:
    with OpenAIServer({"Reply with the letter": Answer(), "": behaviour}, models=("subject",)).start() as server:
        dataset = scenarios(tmp_path / "d.jsonl", 3)
        done = run(tmp_path / "run", dataset, server.url, "--max-reply-mb", "2", "--no-preflight")
    assert done.returncode == 1, done.stderr
    shown = emeval("show", tmp_path / "run", "--outcome", "failed").stdout
    assert f"larger than {limit}" in " ".join(shown.split())
    assert (tmp_path / "run" / "journal.sqlite").stat().st_size < 1_000_000
