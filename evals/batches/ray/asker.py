"""What a Ray worker does with a request: ask it as an online run would, and make a line of results of what came back.

Ray Data's HTTP stage sends the requests of a block one after the other, takes a 400 or a 500 with a JSON body for an
answer, and ends the whole job on a 429, a timeout or a body that is not JSON. So it is given a session of ours, its own
way to be told how to send: behind it are emeval's endpoint, retries and limits, and to Ray each request ends well. The
key never comes to a worker through Ray: the worker's own environment has it.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Any, NamedTuple, TypedDict, cast

from evals import __version__
from evals.batches.outcomes import failure_code
from evals.endpoints.chat import ChatRequest, Reply
from evals.endpoints.endpoint import Asked, Endpoint
from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.replicas import Replicas
from evals.endpoints.request_body import EncodedRequest
from evals.endpoints.retries import RetryPolicy
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import Server
from evals.endpoints.transport.reply_json import check_values
from evals.endpoints.transport.transport import MEGABYTE, TooLarge, TransportName, too_large
from evals.endpoints.wire import chat_reply
from evals.errors import EndpointDown
from evals.text import is_text
from evals.trials.response import Failure

_PATH = "/chat/completions"
_HEADROOM = 200
"""Levels by which a body may be nested less deeply than can be read: it is read again inside a line."""
_AROUND = " " * 200 + "{,,"
"""What a line adds to its body, in bytes and in marks of values, and more."""


class AskerSettings(NamedTuple):
    """How a model is asked. `has_key`: emeval has a key for it, so that a worker without one is a mistake.
    `concurrency` is for each server and worker."""

    spec: ModelSpec
    has_key: bool
    concurrency: int
    timeout_s: float
    max_attempts: int
    max_total_s: float
    max_reply_mb: float
    transport: TransportName
    version: str = __version__


class Outcome(TypedDict):
    """What came of a request, flat for Arrow: the body of a reply, or the kind and detail of a failure; or, in `down`,
    why no further request would be answered."""

    body: str
    kind: str
    detail: str
    attempts: int
    down: str


@dataclass(frozen=True)
class SentRequest(ChatRequest):
    """A request that is a body already, and where the text of its reply is put. It has no messages; with some, it is
    a probe in its place."""

    body: bytes = b""
    said: list[str] = field(default_factory=list[str])

    @property
    def prefix(self) -> Iterator[str]:
        """Repeats of a prompt go to the same one of several servers: they differ in the seed alone."""
        yield json.dumps(json.loads(self.body).get("messages"))


class _Sent(Asked):
    """A SentRequest, the same for each endpoint."""

    async def encoded_for(self, endpoint: Endpoint) -> EncodedRequest:  # noqa: ARG002  one body for all
        assert isinstance(self.request, SentRequest)  # noqa: S101  as BodyEndpoint makes them
        return _Encoded(self.request)


class _Encoded(EncodedRequest):
    """The form of a SentRequest, which remembers it."""

    request: SentRequest

    def __new__(cls, request: SentRequest) -> _Encoded:
        made = super().__new__(cls, _PATH, request.body, True)
        made.request = request
        return made


class BodyEndpoint(Endpoint):
    """An endpoint that keeps the text of each reply."""

    async def attempt(self, asked: Asked, number: int, ticket: int) -> Reply | Failure:
        request = asked.request
        is_body = isinstance(request, SentRequest) and not request.messages
        return await super().attempt(_Sent(request) if is_body else asked, number, ticket)

    async def _asked_once(self, encoded: EncodedRequest, number: int) -> Reply:
        if not isinstance(encoded, _Encoded):
            return await super()._asked_once(encoded, number)
        text = await self.server.post(encoded.path, encoded.body)
        reply = chat_reply(text, 0.0, number)
        encoded.request.said[:] = [text]
        return reply


class Asker:
    """Asks one model at its servers. Ray pickles its settings alone: each worker opens connections of its own."""

    def __init__(self, settings: AskerSettings) -> None:
        self._settings = settings
        self._asked: Endpoint | Replicas | None = None
        self._servers: list[Server] = []

    def __reduce__(self) -> tuple[type[Asker], tuple[AskerSettings]]:
        return Asker, (self._settings,)

    def __call__(self) -> AskerSession:
        """A session for one block; all of them share the connections and the limits. Raises RuntimeError for a worker
        that cannot ask."""
        if self._asked is None:
            self._asked = self._connected()
        return AskerSession(self)

    def _connected(self) -> Endpoint | Replicas:
        settings = self._settings
        if settings.version != __version__:
            raise WorkerUnfit(f"emeval {__version__} is on a node, and {settings.version} here; install the same")
        key = settings.spec.key()
        if settings.has_key and key == "none":
            variable = settings.spec.key_variable
            raise WorkerUnfit(f"{variable} is not set on a node; start Ray there with it in the environment")
        policy = RetryPolicy(max_attempts=settings.max_attempts, max_total_s=settings.max_total_s)
        endpoints: list[Endpoint] = []
        for url in settings.spec.base_urls:
            server = Server(
                url,
                key,
                concurrency=settings.concurrency,
                timeout_s=settings.timeout_s,
                transport=settings.transport,
                max_reply_mb=settings.max_reply_mb,
            )
            self._servers.append(server)
            endpoints.append(BodyEndpoint(ServedModel(settings.spec.at((url,)), server), policy))
        return endpoints[0] if len(endpoints) == 1 else Replicas(endpoints, policy, lambda _text: None)

    async def close(self) -> None:
        for server in self._servers:
            await server.close()

    async def ask(self, body: str) -> Outcome:
        """What comes of a request; never raises for what a server does."""
        assert self._asked is not None  # noqa: S101  a session is open
        request = SentRequest((), 1, body=body.encode())
        try:
            found = await self._asked.send(request)
        except EndpointDown as error:
            return Outcome(body="", kind="", detail="", attempts=0, down=str(error))
        if isinstance(found, Failure):
            return Outcome(body="", kind=found.kind, detail=found.detail, attempts=found.attempts, down="")
        try:
            text = _one_line(request.said[0], self._servers[0], int(self._settings.max_reply_mb * MEGABYTE))
        except TooLarge as error:
            return Outcome(body="", kind="too_large", detail=str(error), attempts=found.attempts, down="")
        except (ValueError, RecursionError):
            detail = "the server's 200 has a body that is not a chat completion"
            return Outcome(body="", kind="unparsable", detail=detail, attempts=found.attempts, down="")
        return Outcome(body=text, kind="", detail="", attempts=found.attempts, down="")


class WorkerUnfit(Exception):
    """A node of the cluster that cannot ask: in one line, why and what to do."""


class AskerSession:
    """As much of a session of aiohttp as Ray Data's HTTP stage uses: every request of a block is sent at once, as far
    as the limits of its servers allow, and every reply is a 200."""

    def __init__(self, asker: Asker) -> None:
        self._asker = asker

    async def __aenter__(self) -> AskerSession:
        return self

    async def __aexit__(self, *_error: object) -> None:
        """The connections stay open for the next block."""

    def post(self, _url: str, *, data: str, **_headers: object) -> asyncio.Future[_Answered]:
        """`data` is the request's body as a JSON string; the URL and headers that Ray knows are of no use."""
        return asyncio.ensure_future(self._answer(json.loads(data)))

    async def _answer(self, body: str) -> _Answered:
        return _Answered(await self._asker.ask(body))


class _Answered:
    """As much of a response of aiohttp as that stage uses."""

    status = 200

    def __init__(self, outcome: Outcome) -> None:
        self._outcome = outcome

    async def __aenter__(self) -> _Answered:
        return self

    async def __aexit__(self, *_error: object) -> None:
        pass

    async def json(self) -> Outcome:
        return self._outcome


def result_line(custom_id: str, outcome: Outcome) -> str:
    """A line of results, as `emeval batch import` reads it, with the number of attempts."""
    head = f'{{"custom_id":{json.dumps(custom_id)},"attempts":{outcome["attempts"]},'
    if outcome["kind"]:
        error = {"code": failure_code(outcome["kind"]), "message": outcome["detail"]}
        return f'{head}"response":null,"error":{json.dumps(error)}}}'
    return f'{head}"response":{{"status_code":200,"body":{outcome["body"]}}},"error":null}}'


def _one_line(text: str, server: Server, most: int) -> str:
    """The JSON of a body on one line, without the key. Raises ValueError, RecursionError, and TooLarge for one that
    would be refused when it is read again."""
    value: Any = json.loads("[" * _HEADROOM + text + "]" * _HEADROOM)
    for _ in range(_HEADROOM):
        (value,) = value
    cleaned = _without_key(value, server)
    line = json.dumps(cleaned, ensure_ascii=False, separators=(",", ":"))
    if not is_text(line):
        line = json.dumps(cleaned, separators=(",", ":"))
    check_values(line + _AROUND)
    if len(line.encode()) + len(_AROUND) > most:
        raise too_large(most)
    return line


def _without_key(value: Any, server: Server) -> Any:
    match value:
        case str():
            return server.without_key(value)
        case list():
            return [_without_key(inner, server) for inner in cast("list[Any]", value)]
        case dict():
            fields = cast("dict[str, Any]", value)
            return {server.without_key(name): _without_key(inner, server) for name, inner in fields.items()}
        case _:
            return value
