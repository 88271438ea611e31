"""A small OpenAI-compatible server on a free loopback port, scripted to answer well or to misbehave.

    with OpenAIServer(script).start() as server:     # in a thread of its own, for tests
        ask(server.url)
        assert len(server.chats) == 2

    python -m tests.support.servers.openai_server --latency 0.5      # a process of its own, for benchmarks; prints its
    URL first

A script chooses a behaviour for each chat request: one behaviour for all of them, a sequence by how often this same
body has come (the last one stays), a mapping from a piece of the last message to either, or a callable of the body and
that number, 1 the first time. Without a script every judge prompt is answered 85 and everything else A, so two runs get
the same answers.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import json
import math
import socket
import struct
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator, Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Self, TypeAlias

from aiohttp import web

from evals.runner.preflight.judge_cases import CASES
from evals.runner.preflight.sampler import PROMPTS
from judges.verdicts import Labelled, Scored

JUDGE_MARK = "Rate the reply on a scale"
DEFAULT_MODELS = ("test-model",)


@dataclass(frozen=True)
class Answer:
    """A chat completion. `content` None is a null; `model` None repeats the name that was asked for.

    `top_logprobs` holds one mapping from text to probability for each token, the sampled one first; `also` holds
    further fields of the message. From the completions endpoint only the content comes, as the text, and the
    probabilities in the shape of its kind of server.
    """

    content: str | None = "A"
    finish_reason: str | None = "stop"
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    top_logprobs: Sequence[Mapping[str, float]] | None = None
    model: str | None = None
    delay_s: float = 0.0
    reasoning_tokens: int | None = None
    completion_tokens: int = 1
    also: Mapping[str, Any] = field(default_factory=dict)


@dataclass(frozen=True)
class Status:
    """An error in OpenAI's shape."""

    status: int
    message: str = "the server says no"
    code: str | None = None
    type: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0


@dataclass(frozen=True)
class Raw:
    """Any body with any status."""

    body: bytes
    status: int = 200
    content_type: str = "application/json"
    headers: Mapping[str, str] = field(default_factory=dict)


@dataclass(frozen=True)
class Stall:
    """Headers and the first half of a reply, then silence; with `bare`, silence from the start."""

    bare: bool = False


@dataclass(frozen=True)
class Trickle:
    """A whole reply, one byte at a time: each read succeeds and the whole takes very long."""

    interval_s: float = 0.02


@dataclass(frozen=True)
class Reset:
    """The connection is reset before the reply; with `midway`, after half of it; with `quiet`, it is only closed."""

    midway: bool = False
    quiet: bool = False


@dataclass(frozen=True)
class Garbage:
    """Bytes that are not HTTP."""

    data: bytes = b"SSH-2.0-OpenSSH_9.6\r\n\r\n"


Behaviour: TypeAlias = Answer | Status | Raw | Stall | Trickle | Reset | Garbage
Steps: TypeAlias = Behaviour | Sequence[Behaviour]
Script: TypeAlias = Steps | Mapping[str, Steps] | Callable[[Mapping[str, Any], int], Behaviour]

QUOTA_USED_UP = Status(429, "You exceeded your current quota.", code="insufficient_quota", type="insufficient_quota")
HTML = Raw(b"<html><body>Welcome to the hotel wifi</body></html>", content_type="text/html")
TRUNCATED_JSON = Raw(b'{"id": "chatcmpl-1", "choices": [{"message": {"content": "half of')


@dataclass(frozen=True)
class Request:
    """One request as seen. `at` is monotonic seconds, `in_flight` counts chat requests, this one included."""

    path: str
    body: Mapping[str, Any]
    authorization: str
    at: float
    in_flight: int


def default_script(body: Mapping[str, Any], seen: int) -> Behaviour:
    """85 to a judge prompt, A to anything else; with token probabilities where they are asked for."""
    if JUDGE_MARK not in json.dumps(body["messages"]):
        return Answer("A")
    return Answer("85", top_logprobs=[{"85": 0.9, "90": 0.1}] if body.get("logprobs") else None)


def labelled_answer(body: Mapping[str, Any]) -> Answer | None:
    """The right verdict on a labelled case, under any rubric; None for any other request."""
    text = "\n".join(str(message["content"]) for message in body["messages"])
    for cases in CASES.values():
        for case in cases:
            shown = [case.judge_input.question, case.judge_input.answer, case.judge_input.reasoning]
            if not all(part in text for part in shown):
                continue
            match case.says:
                case Labelled(label, "flagged"):
                    return Answer(json.dumps({"reasons": "so", "flag": label}))
                case Labelled(label, "classified"):
                    return Answer(json.dumps({"reasons": "so", "verdict": label}))
                case Labelled(label, "credited"):
                    if '"credited"' in text:
                        return Answer(json.dumps({"reasons": "so", "credited": label}))
                    continue
                case Labelled(label):
                    if "articulates" in text:
                        return Answer(json.dumps({"reasons": "so", "articulates": label == "yes"}))
                    continue
                case _:
                    pass
            score = "95" if case.is_right(Scored(95.0, "text")) else "5"
            shares = [{score: 0.9, "90" if score == "95" else "10": 0.1}] if body.get("logprobs") else None
            if not any(mark in text for mark in ("articulates", '"flag"', '"credited"')):
                return Answer(score, top_logprobs=shares)
    return None


def last_message(body: Mapping[str, Any]) -> str:
    return str(body["messages"][-1]["content"])


@dataclass(frozen=True)
class Template:
    """A chat template and how the server shows what it renders: by vLLM's routes or by llama.cpp's.

    Like Qwen3's, it closes an empty thought when thinking is off, unless it does not heed the switch. `opening` begins
    every assistant's turn, `system` is a system message of its own, `default` one for chats without any, `drops` is a
    text that it loses. The token of a character is its code point. Any `status` but 200 is an error in place of what
    would be shown.
    """

    kind: Literal["vllm", "llama.cpp"] = "vllm"
    heeds: bool = True
    opening: str = ""
    system: str = ""
    default: str = ""
    drops: str = ""
    status: int = 200

    def render(self, body: Mapping[str, Any]) -> str:
        given = any(turn["role"] == "system" for turn in body["messages"])
        own = [{"role": "system", "content": text} for text in (self.system, "" if given else self.default) if text]
        turns = [f"<|{turn['role']}|>\n{turn['content']}\n" for turn in (*own, *body["messages"])]
        thinking = body.get("chat_template_kwargs", {}).get("enable_thinking", True)
        closed = "<think>\n\n</think>\n\n" if self.heeds and not thinking else ""
        text = "".join([*turns, "<|assistant|>\n", self.opening, closed])
        return text.replace(self.drops, "") if self.drops else text


def prompt_text(body: Mapping[str, Any]) -> str:
    """The prompt of a request to the completions endpoint, as text."""
    prompt: str | list[int] = body["prompt"]
    return prompt if isinstance(prompt, str) else "".join(map(chr, prompt))


class OpenAIServer:
    """The server. `models` and `key` may change while it runs; `models` None answers 404, `key` None takes any key.

    `models_behaviour` replaces the reply to /models, `latency_s` delays every chat reply. With a `template` the server
    shows its rendered prompts and has a completions endpoint, whose requests come to the script as chats of one
    message. `parents` are the bases that /models gives for adapters, by their names, `context` the length that it gives
    for every model. The cases that judges are checked
    with before a run are answered rightly and are neither recorded nor the script's, unless `labelled` is False. The
    draws of the sampler's check are not recorded either; they get no token probabilities without a script `draws`.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        models: Sequence[str] | None = DEFAULT_MODELS,
        key: str | None = None,
        models_behaviour: Behaviour | None = None,
        latency_s: float = 0.0,
        template: Template | None = None,
        labelled: bool = True,
        draws: Callable[[Mapping[str, Any], int], Behaviour] | None = None,
        parents: Mapping[str, str] | None = None,
        context: int | None = None,
    ) -> None:
        self.script = script
        self.labelled = labelled
        self.draws = draws
        self.parents = dict(parents or {})
        self.context = context
        self.template = template
        self.models = models
        self.key = key
        self.models_behaviour = models_behaviour
        self.latency_s = latency_s
        self.requests: list[Request] = []
        self.max_in_flight = 0
        self.in_flight = 0
        self.url = ""
        self._seen: Counter[bytes] = Counter()
        self._fixed: dict[tuple[str, bool], bytes] = {}
        self._closing = asyncio.Event()
        self._loop: asyncio.AbstractEventLoop | None = None

    @property
    def chats(self) -> list[Request]:
        return [request for request in self.requests if request.path == "/v1/chat/completions"]

    @property
    def completions(self) -> list[Request]:
        return [request for request in self.requests if request.path == "/v1/completions"]

    @contextlib.contextmanager
    def start(self) -> Iterator[Self]:
        """Serve from a thread until the block ends, or until `stop`."""
        started: threading.Event = threading.Event()
        failures: list[BaseException] = []

        def work() -> None:
            try:
                asyncio.run(self._serve_until_stopped(started))
            except BaseException as error:
                failures.append(error)
            finally:
                started.set()

        self._thread = threading.Thread(target=work, name="openai-server", daemon=True)
        self._thread.start()
        started.wait()
        try:
            yield self
        finally:
            self.stop()
            if failures:
                raise failures[0]

    def stop(self) -> None:
        """Go away: close the port and every connection. May be called twice."""
        with contextlib.suppress(RuntimeError):  # the loop is closed already
            if self._loop is not None:
                self._loop.call_soon_threadsafe(self._closing.set)
        if threading.current_thread() is not self._thread:
            self._thread.join(timeout=10)

    async def _serve_until_stopped(self, started: threading.Event) -> None:
        async with self.serving():
            started.set()
            await self._closing.wait()

    @contextlib.asynccontextmanager
    async def serving(self, port: int = 0) -> AsyncIterator[str]:
        """Serve from the running loop; the URL."""
        self._loop = asyncio.get_running_loop()
        self._closing = asyncio.Event()
        server = web.Server(self._handle, handler_cancellation=True, access_log=None)
        runner = web.ServerRunner(server, access_log=None, shutdown_timeout=0.2)
        await runner.setup()
        listening = socket.create_server(("127.0.0.1", port), backlog=2048)
        try:
            await web.SockSite(runner, listening, backlog=2048).start()
            self.url = f"http://127.0.0.1:{runner.addresses[0][1]}/v1"
            yield self.url
        finally:
            self._closing.set()
            self._loop.remove_reader(listening)
            await asyncio.sleep(0)  # asyncio forgets, unclosed, a connection accepted as its port closes
            await runner.cleanup()

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/v1/chat/completions" and request.method == "POST":
            self.in_flight += 1
            self.max_in_flight = max(self.max_in_flight, self.in_flight)
            try:
                return await self._chat(request)
            finally:
                self.in_flight -= 1
        if request.path == "/v1/models" and request.method == "GET":
            self._record(request, {})
            return await self._list_models(request)
        if self.template is not None and request.method == "POST":
            body = json.loads(await request.read())
            self._record(request, body)
            if request.path == "/v1/completions":
                return await self._complete(request, body)
            if self.template.status != 200:
                return error_reply(Status(self.template.status))
            shown = self._shown(request.path, body, self.template)
            if shown is not None:
                return error_reply(wrong_key(request)) if self._refuses(request) else web.json_response(shown)
        self._record(request, {})
        return error_reply(Status(404, f"no route {request.path}"))

    def _shown(self, path: str, body: Mapping[str, Any], template: Template) -> dict[str, Any] | None:
        match template.kind, path:
            case "llama.cpp", "/apply-template":
                return {"prompt": template.render(body)}
            case "llama.cpp", "/tokenize":
                return {"tokens": []}  # as it answers a request without a `content`
            case "vllm", "/tokenize":
                text = template.render(body) if "messages" in body else body["prompt"]
                return {"tokens": [ord(char) for char in text], "count": len(text), "max_model_len": 4096}
            case "vllm", "/detokenize":
                return {"prompt": "".join(map(chr, body["tokens"]))}
            case _:
                return None

    async def _complete(self, request: web.BaseRequest, body: Mapping[str, Any]) -> web.StreamResponse:
        if self._refuses(request):
            return error_reply(wrong_key(request))
        chat = {**body, "messages": [{"role": "user", "content": prompt_text(body)}]}
        raw = json.dumps(chat).encode()
        self._seen[raw] += 1
        behaviour = self._choose(chat, self._seen[raw])
        if isinstance(behaviour, Answer):
            kind = self.template.kind if self.template is not None else "vllm"
            return web.Response(body=_text_completion(behaviour, body["model"], kind), content_type="application/json")
        return await self._behave(behaviour, request, body["model"])

    def _record(self, request: web.BaseRequest, body: Mapping[str, Any]) -> None:
        authorization = request.headers.get("Authorization", "")
        self.requests.append(Request(request.path, body, authorization, time.monotonic(), self.in_flight))

    def _refuses(self, request: web.BaseRequest) -> bool:
        return self.key is not None and request.headers.get("Authorization") != f"Bearer {self.key}"

    async def _list_models(self, request: web.BaseRequest) -> web.StreamResponse:
        if self._refuses(request):
            return error_reply(wrong_key(request))
        if self.models_behaviour is not None:
            return await self._behave(self.models_behaviour, request, "")
        if self.models is None:
            return error_reply(Status(404, "no such route"))
        listed = [
            {"id": model, "object": "model", "created": 0, "owned_by": "test", "parent": self.parents.get(model)}
            | ({} if self.context is None else {"max_model_len": self.context})
            for model in self.models
        ]
        return web.json_response({"object": "list", "data": listed})

    async def _chat(self, request: web.BaseRequest) -> web.StreamResponse:
        raw = await request.read()
        body = json.loads(raw)
        right = labelled_answer(body) if self.labelled else None
        if right is not None and not self._refuses(request):
            return web.Response(body=completion_body(right, body["model"]), content_type="application/json")
        if _is_draw(body) and not self._refuses(request):
            self._seen[raw] += 1
            behaviour = Answer("word") if self.draws is None else self.draws(body, self._seen[raw])
            return await self._behave(behaviour, request, body["model"])
        self._record(request, body)
        if self._refuses(request):
            return error_reply(wrong_key(request))
        if self.latency_s:
            await asyncio.sleep(self.latency_s)
        if self.script is None and not body.get("logprobs"):
            return self._fixed_reply(raw, body["model"])
        self._seen[raw] += 1
        return await self._behave(self._choose(body, self._seen[raw]), request, body["model"])

    def _fixed_reply(self, raw: bytes, model: str) -> web.Response:
        """The default script's reply, from bytes that are built once."""
        is_judge = JUDGE_MARK.encode() in raw
        if (model, is_judge) not in self._fixed:
            self._fixed[model, is_judge] = completion_body(Answer("85" if is_judge else "A"), model)
        return web.Response(body=self._fixed[model, is_judge], content_type="application/json")

    def _choose(self, body: Mapping[str, Any], seen: int) -> Behaviour:
        script = self.script if self.script is not None else default_script
        if callable(script):
            return script(body, seen)
        if isinstance(script, Mapping):
            text = last_message(body)
            steps: Steps = next((steps for mark, steps in script.items() if mark in text), default_script(body, seen))
        else:
            steps = script
        return steps[min(seen, len(steps)) - 1] if isinstance(steps, Sequence) else steps

    async def _behave(self, behaviour: Behaviour, request: web.BaseRequest, model: str) -> web.StreamResponse:
        match behaviour:
            case Answer():
                await asyncio.sleep(behaviour.delay_s)
                return web.Response(body=completion_body(behaviour, model), content_type="application/json")
            case Status():
                await asyncio.sleep(behaviour.delay_s)
                return error_reply(behaviour)
            case Raw(body, status, content_type, headers):
                return web.Response(body=body, status=status, content_type=content_type, headers=headers)
            case Stall(bare):
                return await self._stall(request, bare)
            case Trickle(interval_s):
                return await self._trickle(request, interval_s)
            case Reset():
                return await self._reset(request, behaviour)
            case Garbage(data):
                _transport(request).write(data)
                _transport(request).close()
                return web.Response()

    async def _begin(self, request: web.BaseRequest, body: bytes) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Type": "application/json"})
        response.content_length = len(body)
        await response.prepare(request)
        return response

    async def _stall(self, request: web.BaseRequest, bare: bool) -> web.StreamResponse:
        if bare:
            await self._closing.wait()
            return web.Response()
        body = completion_body(Answer("never whole"), "m")
        response = await self._begin(request, body)
        await response.write(body[: len(body) // 2])
        await self._closing.wait()
        _transport(request).abort()
        return response

    async def _trickle(self, request: web.BaseRequest, interval_s: float) -> web.StreamResponse:
        body = completion_body(Answer("drop by drop"), "m")
        response = await self._begin(request, body)
        for byte in body:
            await response.write(bytes([byte]))
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._closing.wait(), interval_s)
                _transport(request).abort()
                break
        return response

    async def _reset(self, request: web.BaseRequest, how: Reset) -> web.StreamResponse:
        response: web.StreamResponse = web.Response()
        if how.midway:
            body = completion_body(Answer("never whole"), "m")
            response = await self._begin(request, body)
            await response.write(body[: len(body) // 2])
            await asyncio.sleep(0.02)  # let the half arrive before the reset throws it away
        transport = _transport(request)
        if not how.quiet:
            sock: socket.socket = transport.get_extra_info("socket")
            sock.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
        transport.abort()
        return response


def _transport(request: web.BaseRequest) -> asyncio.Transport:
    assert request.transport is not None, "the client has gone"
    return request.transport  # type: ignore[return-value]


def wrong_key(request: web.BaseRequest) -> Status:
    # Like OpenAI's own message, this one repeats the key.
    given = request.headers.get("Authorization", "").removeprefix("Bearer ")
    return Status(401, f"Incorrect API key provided: {given}", code="invalid_api_key", type="invalid_request_error")


def error_reply(status: Status) -> web.Response:
    error = {"message": status.message, "type": status.type, "param": None, "code": status.code}
    return web.json_response({"error": error}, status=status.status, headers=status.headers)


def completion_body(reply: Answer, model: str) -> bytes:
    message: dict[str, Any] = {"role": "assistant", "content": reply.content, "refusal": reply.refusal, **reply.also}
    if reply.reasoning is not None:
        message["reasoning"] = reply.reasoning
    if reply.reasoning_content is not None:
        message["reasoning_content"] = reply.reasoning_content
    choice = {"index": 0, "message": message, "finish_reason": reply.finish_reason, "logprobs": None}
    if reply.top_logprobs is not None:
        choice["logprobs"] = {"content": [_token(options) for options in reply.top_logprobs]}
    completion = {
        "id": "chatcmpl-1",
        "object": "chat.completion",
        "created": 0,
        "model": reply.model or model,
        "choices": [choice],
        "usage": {"prompt_tokens": 10, "completion_tokens": reply.completion_tokens, "total_tokens": 11},
    }
    if reply.reasoning_tokens is not None:
        completion["usage"] |= {"completion_tokens_details": {"reasoning_tokens": reply.reasoning_tokens}}
    return json.dumps(completion).encode()


def _text_completion(reply: Answer, model: str, kind: str) -> bytes:
    logprobs: dict[str, Any] | None = None
    if reply.top_logprobs is not None and kind == "llama.cpp":
        logprobs = {"content": [_token(options) for options in reply.top_logprobs]}
    elif reply.top_logprobs is not None:
        shown = [{text: math.log(share) for text, share in options.items()} for options in reply.top_logprobs]
        tokens = [next(iter(options)) for options in reply.top_logprobs]
        logprobs = {"tokens": tokens, "token_logprobs": [-0.5] * len(tokens), "top_logprobs": shown, "text_offset": [0]}
    choice = {"index": 0, "text": reply.content or "", "finish_reason": reply.finish_reason, "logprobs": logprobs}
    completion = {
        "id": "cmpl-1",
        "object": "text_completion",
        "created": 0,
        "model": reply.model or model,
        "choices": [choice],
        "usage": {"prompt_tokens": 10, "completion_tokens": reply.completion_tokens, "total_tokens": 11},
    }
    return json.dumps(completion).encode()


def _is_draw(body: Mapping[str, Any]) -> bool:
    """Whether a request is one of the sampler's check."""
    return bool(body.get("logprobs")) and last_message(body) in {prompt[-1].content for prompt in PROMPTS}


def _token(options: Mapping[str, float]) -> dict[str, Any]:
    listed = [
        {"token": text, "logprob": math.log(share), "bytes": list(text.encode())} for text, share in options.items()
    ]
    return listed[0] | {"top_logprobs": listed}


async def _serve_forever(server: OpenAIServer, port: int) -> None:
    async with server.serving(port) as url:
        print(url, flush=True)
        await asyncio.Event().wait()


class _Uncounted(list[Request]):
    """Keeps nothing: a benchmark's requests would only fill the memory."""

    def append(self, request: Request, /) -> None:
        pass


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--port", type=int, default=0, help="0 picks a free one")
    parser.add_argument("--latency", type=float, default=0.0, help="seconds before each chat reply")
    parser.add_argument("--models", nargs="+", default=list(DEFAULT_MODELS), help="the ids that /models lists")
    parser.add_argument("--key", help="the only key that is accepted; without it, any")
    options = parser.parse_args()
    server = OpenAIServer(models=options.models, key=options.key, latency_s=options.latency)
    server.requests = _Uncounted()
    with contextlib.suppress(KeyboardInterrupt):
        asyncio.run(_serve_forever(server, options.port))


if __name__ == "__main__":
    main()
