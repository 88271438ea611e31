"""Replies whose status line, headers or body are malformed: each is a recorded outcome, whatever is wrong with it."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.transport.transport import TransportName
from evals.errors import EmevalError
from evals.trials.prompt import Message
from evals.trials.response import Failure
from tests.support.cli_runner import emeval, responses, scenarios
from tests.support.servers.endpoints import connected
from tests.support.servers.raw_server import RawServer, ok

REQUEST = ChatRequest((Message("user", "Which one?"),), max_tokens=16)
BODY = b'{"choices": [{"message": {"content": "A"}, "finish_reason": "stop"}], "model": "m"}'
MODELS = ok(b'{"data": [{"id": "m"}]}')

STATUS_LINES = [
    *(
        b"HTTP/1.1 200 OK",
        b"HTTP/1.1 200",
        b"HTTP/1.1 2000 OK",
        b"HTTP/1.1 099 OK",
        b"HTTP/1.1 -1 OK",
        b"HTTP/9.9 200 OK",
    ),
    *(b"HTTP/1.1  OK", b"HTTP/1.1 200 \xff\xfe", b"200 OK", b"", b"HTTP/1.1 204 No Content", b"HTTP/1.1 101 Upgrade"),
    *(b"HTTP/1.1 999 Odd", b"HTTP/1.1 304 Same", b"HTTP/1.1 500 \r\n", b"ICY 200 OK", b"HTTP/1.1 100 Continue"),
]
HEADERS = [
    "Set-Cookie: größe=é; Path=/; Domain=.é".encode(),
    "Set-Cookie: größe=é".encode("latin-1"),
    b"Set-Cookie: a=b; expires=Thu, 99 Foo 99999 99:99:99 GMT; max-age=x",
    b"Set-Cookie: \x01\x02=;;;===",
    b"Content-Type: application/json; charset=idna",
    b"Content-Type: application/json; charset=punycode",
    b"Content-Type: text/html; charset=utf-16",
    b"Content-Type: \xff\xff",
    b"Content-Encoding: gzip",
    b"Content-Encoding: deflate",
    b"Content-Encoding: br",
    b"Content-Encoding: \xff, gzip",
    b"Content-Encoding: " + b"gzip," * 500,
    b"Transfer-Encoding: chunked",
    b"Transfer-Encoding: gzip, chunked",
    b"Transfer-Encoding: identity",
    b"Content-Length: 5",
    b"Content-Length: 99999999999999999999999",
    b"Content-Length: -1",
    b"Content-Length: 0x10",
    b"Retry-After: nan",
    b"Retry-After: 1e999",
    b"Retry-After: \xc2\xb2",
    b"Retry-After: Thu, 01 Jan 0000 00:00:00 +9999",
    b"retry-after-ms: -1e308",
    b"Location: http://[::1",
    b"Location: //\xff:99999999/",
    b"Location: http://elsewhere.invalid:notaport/x?y#z",
    b"Location: javascript:alert(1)",
    b"Connection: upgrade",
    b"Upgrade: websocket",
    b"X" * 9000 + b": y",
    b"X-Long: " + b"y" * 9000,
    b"no colon",
    b": no name",
    b"X-Null: a\x00b",
    b" folded: line",
    *(b"X-%d: y" % number for number in range(3)),
]
BODIES = [
    *(BODY, b"", b"\xff", b"\xef\xbb\xbf" + BODY, BODY[:-3], b"[" * 3000, b"9" * 6000, BODY * 2),
    *(b'{"choices": "\\ud800"}', b'5\r\n{"cho\r\n0\r\n\r\n', b"zz\r\n", b"-5\r\n", b"ffffffffffffffffff\r\n"),
    b"5;\xff\r\nabcde\r\n0\r\nX: \xff\r\n\r\n",
    *(gzip.compress(BODY), gzip.compress(BODY)[:-9], b"\x1f\x8b" + b"\xff" * 40, b"\x78\x9c" + b"\0" * 40),
    b"HTTP/1.1 200 OK\r\n\r\n",
    b'{"choices": [{"message": {"content": "A"}, "finish_reason": "stop"}], "usage": {"prompt_tokens": 1e400}}',
]


@st.composite
def reply_bytes(draw: st.DrawFn) -> bytes:
    """A reply of parts that are each right or wrong, and then maybe with some bytes changed."""
    status = draw(st.one_of(st.just(STATUS_LINES[0]), st.sampled_from(STATUS_LINES), st.binary(max_size=30)))
    code = draw(st.one_of(st.none(), st.integers(0, 1100)))
    if code is not None:
        status = b"HTTP/1.1 %d Code" % code
    headers = draw(st.lists(st.sampled_from(HEADERS), max_size=4))
    body = draw(st.one_of(st.sampled_from(BODIES), st.binary(max_size=60)))
    if draw(st.booleans()):
        headers.append(b"Content-Length: %d" % len(body))
    reply = b"\r\n".join([status, *headers, b"", body])
    for at, byte in draw(st.lists(st.tuples(st.integers(0, len(reply) - 1), st.binary(max_size=2)), max_size=3)):
        reply = reply[:at] + byte + reply[at + 1 :]
    return reply


class _Current:
    reply = b""


@pytest.fixture(scope="module")
def raw_server() -> Iterator[RawServer]:
    with RawServer(lambda path: MODELS if path.endswith("/models") else _Current.reply).start() as server:
        yield server


async def _outcome(url: str, transport: TransportName) -> Reply | Failure | EmevalError:
    async with connected(url, transport=transport, timeout_s=0.5) as endpoint:
        try:
            return await endpoint.send(REQUEST)
        except EmevalError as error:
            return error


@pytest.mark.parametrize("transport", ["aiohttp", "openai"])
@example(reply=ok(BODY, HEADERS[0] + b"\r\n"))
@example(reply=ok(BODY, HEADERS[1] + b"\r\n"))
@example(reply=ok(BODY, b"Content-Length: 3\r\n"))
@example(reply=b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n")
@example(reply=b"HTTP/1.1 301 Moved\r\nLocation: http://[::1\r\nContent-Length: 0\r\n\r\n")
@settings(max_examples=60)
@given(reply=reply_bytes())
def test_whatever_a_server_sends_is_an_outcome(transport: TransportName, reply: bytes, raw_server: RawServer) -> None:
    _Current.reply = reply
    outcome = asyncio.run(_outcome(raw_server.url, transport))
    assert isinstance(outcome, Reply | Failure | EmevalError)
    if not isinstance(outcome, Reply):
        said = outcome.detail if isinstance(outcome, Failure) else str(outcome)
        assert said.isprintable()


@pytest.mark.parametrize("header", [*HEADERS[:8], b"Retry-After: nan"], ids=range(9))
def test_a_header_beside_a_good_body_costs_no_reply(header: bytes, raw_server: RawServer) -> None:
    _Current.reply = ok(BODY, header + b"\r\n")
    outcome = asyncio.run(_outcome(raw_server.url, "aiohttp"))
    assert isinstance(outcome, Reply)
    assert outcome.content == "A"


@pytest.mark.parametrize("wrong", [*HEADERS[:3], *HEADERS[9:14], HEADERS[17], HEADERS[31]], ids=range(10))
def test_a_run_against_malformed_replies_ends_with_recorded_outcomes(wrong: bytes, tmp_path: Path) -> None:
    good = ok(BODY)
    paths: list[str] = []

    def answer(path: str) -> bytes:
        paths.append(path)
        if path.endswith("/models"):
            return MODELS
        return ok(BODY, wrong + b"\r\n") if len(paths) % 2 else good

    with RawServer(answer).start() as server:
        done = emeval(
            *("run", "unethical_test", "-m", "vllm/m", "--dataset", scenarios(tmp_path / "d.jsonl", 4)),
            *("--out", tmp_path / "run", "--no-preflight", "--max-attempts", "1", "--timeout", "2"),
            url=server.url,
        )
    assert done.returncode in (0, 1), done.stderr
    assert set(responses(tmp_path / "run")["outcome"]) <= {"scored", "failed"}
