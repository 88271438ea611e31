"""One async `send`, the only place that knows the wire.

An Endpoint is a model behind an OpenAI-compatible server. It speaks through openai's client on its aiohttp transport
and reads replies with a schema of its own straight from the body: that is faster than the SDK's response objects, keeps
fields that the SDK does not know (`reasoning`), and turns a body that does not parse into an error that is retried.
"""

from __future__ import annotations

import asyncio
import math
import time
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Annotated, Any, Literal, NamedTuple, TypeVar, cast

import aiohttp
import openai
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from evals.errors import BadInput, EndpointDown
from evals.io.retry_after import is_transient_status, retry_after_s
from evals.limiter import AdaptiveLimiter
from evals.models import OPENAI_URL, ModelSpec
from evals.rendering import Renderer, find_renderer, template_switch
from evals.retries import RetryPolicy, Transient, with_retries
from evals.text import one_line, redact
from evals.trials.prompt import STOP, Message, Messages, transcript_of, wire_messages
from evals.trials.response import Failure

_T = TypeVar("_T")

_CONNECT_TIMEOUT_S = 10.0
_PREFLIGHT_TIMEOUT_S = 10.0
_LOAD_TIMEOUT_S = 300.0
_TOP_LOGPROBS = 20
_LARGEST_COUNT = 2**63 - 1  # what a column of the journal holds
_MAYBE_THE_SERVER = frozenset({"timeout", "connection", "server_error", "denied", "unparsable"})
# A reply that is not HTTP passes the SDK as aiohttp's own error, whose repr holds the request's headers and so the key.
_CONNECTION_ERRORS = (openai.APIConnectionError, aiohttp.ClientError)

PROBE: Messages = (Message("user", "Reply with the letter A."),)
"""What no server has a reason to turn down, and a model answers with few tokens whatever their limit."""

PROBE_TIME_S = 60.0
"""Seconds for the probe of an endpoint, in all: a local server under load needs some."""


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


class _Alternative(_Wire):
    token: str
    logprob: float = Field(le=1.0)  # room for a rounding error above 0, none for NaN


class _Token(_Alternative):
    top_logprobs: list[_Alternative] | None = None


class _Logprobs(_Wire):
    content: list[_Token] | None = None


def _is_hidden(block: object) -> bool:
    kind = cast("dict[str, object]", block).get("type") if isinstance(block, dict) else None
    return kind in ("reasoning.encrypted", "redacted_thinking")


def _hidden(blocks: object) -> bool:
    return isinstance(blocks, list) and any(map(_is_hidden, cast("list[object]", blocks)))


class _Message(_Wire):
    """`reasoning_details` (OpenRouter) and `thinking_blocks` (LiteLLM) are read as whether they hold what is
    encrypted."""

    content: str | None = None
    reasoning: str | None = None
    reasoning_content: str | None = None
    refusal: str | None = None
    reasoning_details: Annotated[bool, BeforeValidator(_hidden)] = False
    thinking_blocks: Annotated[bool, BeforeValidator(_hidden)] = False


class _Choice(_Wire):
    message: _Message
    finish_reason: str | None = None
    logprobs: _Logprobs | None = None


def _count(value: object) -> int | None:
    """`value` if it can be a count of tokens, else None: a reply is not lost for a wrong figure beside it."""
    return value if type(value) is int and 0 <= value <= _LARGEST_COUNT else None


_Count = Annotated[int | None, BeforeValidator(_count)]


def _text(value: object) -> str | None:
    return value if isinstance(value, str) and value else None


def _fields(value: object) -> object:
    return cast("dict[str, object]", value) if isinstance(value, dict) else None


class _TokenDetails(_Wire):
    reasoning_tokens: _Count = None


class _Usage(_Wire):
    prompt_tokens: _Count = None
    completion_tokens: _Count = None
    completion_tokens_details: Annotated[_TokenDetails | None, BeforeValidator(_fields)] = None


class _Completion(_Wire):
    model: str = ""
    choices: list[_Choice] = Field(min_length=1)
    usage: Annotated[_Usage | None, BeforeValidator(_fields)] = None


class _TextChoice(_Wire):
    text: str
    finish_reason: str | None = None


class _TextCompletion(_Wire):
    model: str = ""
    choices: list[_TextChoice] = Field(min_length=1)
    usage: Annotated[_Usage | None, BeforeValidator(_fields)] = None


class _Model(_Wire):
    """`parent` is the base model of an adapter, where the server (vLLM) says so."""

    id: str
    parent: Annotated[str | None, BeforeValidator(_text)] = None


class _ModelList(_Wire):
    data: list[_Model]


@dataclass(frozen=True, slots=True)
class Reply:
    """A parsed completion, before anyone splits reasoning from answer. Absent texts are "".

    `prefill` is what the content goes on from; `reasoning_withheld` says that the server shows nothing of a thought.
    """

    content: str
    reasoning: str
    refusal: str
    finish_reason: str
    model: str
    prompt_tokens: int | None
    completion_tokens: int | None
    token_alternatives: tuple[tuple[str, Mapping[str, float]], ...] | None
    latency_s: float
    attempts: int
    reasoning_withheld: bool = False
    prefill: str = ""


@dataclass(frozen=True, slots=True)
class ChatRequest:
    """What is asked of a model. `temperature`, `seed` and `thinking` None are left to the server.

    `reply_schema` is the JSON schema of structured output, None for free text. A `prefill` needs an endpoint whose
    server renders prompts; it is asked for without token probabilities and without a schema. A `transcript` is the
    chat as plain text, completed without any template (see `evals.trials.prompt`).
    """

    messages: Messages
    max_tokens: int
    temperature: float | None = None
    seed: int | None = None
    logprobs: bool = False
    reply_schema: Mapping[str, Any] | None = None
    thinking: bool | None = None
    prefill: str = ""
    transcript: bool = False


class CheckedModel(NamedTuple):
    """A model as its server knows it, and the server's own list of models, None when it keeps none.

    `base` is the served name of the model that it is an adapter of, where the list says so.
    """

    spec: ModelSpec
    listed: list[str] | None
    base: str | None = None


class Server:
    """A connection to one base URL with one key: its client and its concurrency limit. Close it when done.

    `has_ended` tells of a server whose process is ours that it is there no more, and so not worth a retry.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        concurrency: int,
        timeout_s: float,
        has_ended: Callable[[], bool] = lambda: False,
    ) -> None:
        self.base_url = base_url
        self.has_ended = has_ended
        self.timeout_s = timeout_s
        self.limiter = AdaptiveLimiter(concurrency)
        self._key = key
        self.client = openai.AsyncOpenAI(
            base_url=base_url,
            api_key=key,
            max_retries=0,
            timeout=openai.Timeout(timeout_s, connect=min(_CONNECT_TIMEOUT_S, timeout_s)),
            http_client=openai.DefaultAioHttpClient(),
        )
        if base_url != OPENAI_URL:  # the client would tell every server the OpenAI account in the environment
            self.client.organization = self.client.project = None

    async def close(self) -> None:
        await self.client.close()

    def clean(self, text: str) -> str:
        """Text of the server for people: one line, no control characters, no key."""
        # On one line first: characters that it takes away could stand inside an echoed key and hide it.
        return one_line(redact(one_line(text, limit=len(text)), self._key))

    async def post_beside(self, path: str, body: Mapping[str, Any]) -> str:
        """The reply's body from a route of the server that stands beside the API, not under its /v1."""
        root = self.base_url.removesuffix("/v1")
        return await self.client.post(f"{root}{path}", cast_to=str, body=body)

    async def served_models(self) -> list[str] | None:
        """The ids that the server lists, None when it keeps no list. Raises BadInput when it cannot be used at all."""
        listing = await self.listing()
        return None if listing is None else list(listing)

    async def listing(self) -> dict[str, str | None] | None:
        """The same, each with the id of the base that it is an adapter of, as far as the server says so."""
        try:
            async with asyncio.timeout(_PREFLIGHT_TIMEOUT_S):
                body = await self.client.get("/models", cast_to=str)
            return {model.id: model.parent for model in _ModelList.model_validate_json(body).data}
        except TimeoutError:
            raise BadInput(
                f"{self.base_url} does not answer: no reply to /models in {_PREFLIGHT_TIMEOUT_S:.0f} s"
            ) from None
        except _CONNECTION_ERRORS as error:
            raise BadInput(f"{self.base_url} cannot be reached: {self.clean(_root_cause(error))}") from None
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            reason = self.clean(_server_message(error))
            raise BadInput(f"{self.base_url} does not accept the key ({error.status_code}): {reason}") from None
        except openai.APIStatusError as error:
            if error.status_code in (404, 405, 501):
                return None
            reason = self.clean(_server_message(error))
            raise BadInput(f"{self.base_url} answers /models with {error.status_code}: {reason}") from None
        except (ValidationError, openai.APIResponseValidationError):
            raise BadInput(
                f"{self.base_url} answers /models with something else: is it an OpenAI-compatible URL?"
            ) from None

    async def load_adapter(self, name: str, folder: str) -> None:
        """Have a vLLM server load the LoRA adapter in `folder`, a path as it sees it, under `name`. Raises BadInput."""
        what = f"{self.base_url} does not load the adapter {folder}"
        try:
            async with asyncio.timeout(_LOAD_TIMEOUT_S):
                body = {"lora_name": name, "lora_path": folder}
                await self.client.post(
                    "/load_lora_adapter", cast_to=str, body=body, options={"timeout": _LOAD_TIMEOUT_S}
                )
        except TimeoutError:
            raise BadInput(f"{what}: no reply in {_LOAD_TIMEOUT_S:.0f} s") from None
        except openai.APIStatusError as error:
            said = self.clean(_server_message(error))
            if error.status_code in (404, 405) and name not in said and folder not in said:
                raise BadInput(
                    f"{what}: start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --enable-lora, or have it serve "
                    f"the adapter itself (--lora-modules NAME={folder}) and write vllm/BASE:NAME"
                ) from None
            if "already been loaded" not in said:  # by another run, a moment ago, from the same files
                raise BadInput(f"{what} ({error.status_code}): {said}") from None
        except _CONNECTION_ERRORS as error:
            raise BadInput(f"{what}: {self.clean(_root_cause(error))}") from None


class Endpoint:
    """One model on one server. `send` returns a Reply or a Failure and never raises for what befalls one request."""

    width = 1
    """Servers that it asks."""

    def __init__(self, spec: ModelSpec, server: Server, policy: RetryPolicy, renderer: Renderer | None = None) -> None:
        self.spec = spec
        self.name = spec.name
        self.server = server
        self.renderer = renderer
        self._policy = policy
        self._listing = _SharedCheck()
        self._chat = _SharedCheck()
        # OpenAI's newer models refuse max_tokens; other servers may not know its successor.
        self._limit_field = "max_completion_tokens" if spec.provider == "openai" else "max_tokens"

    async def preflight(self) -> CheckedModel:
        """Check that the server answers, takes the key and serves the model, and find out under which name.

        Raises BadInput, in one line, when a run against this endpoint could not give a true number.
        """
        listing = await self.server.listing()
        listed = None if listing is None else list(listing)
        spec = self.spec
        if spec.full_name is not None:
            name = spec.full_name if listed is not None and spec.full_name in listed else spec.served_name
            spec = replace(spec, served_name=name, full_name=None)
        if listed is not None and spec.served_name not in listed:
            shown = ", ".join(self.server.clean(model) for model in listed[:8]) or "no models"
            more = f" and {len(listed) - 8} more" if len(listed) > 8 else ""
            other = "" if self.spec.full_name is None else f" (nor {self.spec.full_name!r})"
            raise BadInput(
                f"{self.server.base_url} does not serve {spec.served_name!r}{other}; it serves {shown}{more}"
            )
        return CheckedModel(spec, listed, None if listing is None else listing.get(spec.served_name))

    async def probe(self, request: ChatRequest, time_s: float) -> Failure | None:
        """Ask once, with few retries, in at most so many seconds; the failure, if it is one.

        Raises EndpointDown when the account's quota is used up or the server asks to wait for very long.
        """
        reply = await self.probe_reply(request, time_s)
        return reply if isinstance(reply, Failure) else None

    async def probe_reply(self, request: ChatRequest, time_s: float) -> Reply | Failure:
        """The same, and the reply if there is one."""
        return await self._ask(request, RetryPolicy(max_attempts=3, max_total_s=time_s, longest_wait_s=2.0))

    async def find_renderer(self) -> Renderer | None:
        """The model's chat template, where the server shows what it renders. Raises BadInput if it cannot be asked."""
        if self.server.base_url == OPENAI_URL:
            return None
        return await self._of_the_template(find_renderer(self.spec.served_name, self.server.post_beside))

    async def render(self, messages: Messages, thinking: bool | None) -> str | None:
        """The prompt that a chat is rendered to, None where the server does not show it. Raises BadInput."""
        if self.renderer is None:
            return None
        return (await self._of_the_template(self.renderer.render(messages, thinking))).text

    async def _of_the_template(self, asked: Awaitable[_T]) -> _T:
        what = f"{self.name}: {self.server.base_url} could not be asked for a rendered prompt"
        try:
            async with asyncio.timeout(_PREFLIGHT_TIMEOUT_S):
                return await asked
        except TimeoutError:
            raise BadInput(f"{what}: no reply in {_PREFLIGHT_TIMEOUT_S:.0f} s") from None
        except openai.APIStatusError as error:
            raise BadInput(f"{what} ({error.status_code}): {self.server.clean(_server_message(error))}") from None
        except _CONNECTION_ERRORS as error:
            raise BadInput(f"{what}: {self.server.clean(_root_cause(error))}") from None
        except ValidationError:
            raise BadInput(f"{what}: its reply is of another shape") from None

    async def send(self, request: ChatRequest, retried: Callable[[], None] | None = None) -> Reply | Failure:
        """Ask once, with retries, of each of which `retried` is told.

        Raises EndpointDown when it is the server, not this request, that has failed.
        """
        result = await self._ask(request, self._policy, retried)
        if isinstance(result, Failure):
            problem = await self.problem(request, result)
            if problem is not None:
                raise EndpointDown(f"{self.name}: {problem}")
        return result

    async def is_usable(self) -> bool:
        """Whether the server answers, takes the key and serves the model."""
        return await self._listing.run(self._listing_problem) is None

    async def problem(self, request: ChatRequest, failure: Failure) -> str | None:
        """What is wrong with the server as a whole, after `request` has failed there; None when it is the request."""
        if failure.kind not in _MAYBE_THE_SERVER:
            return None
        problem = await self._listing.run(self._listing_problem)
        if problem is None and failure.kind == "denied":  # a list may be public
            problem = await self._chat.run(lambda: self._chat_problem(request))
        return problem

    async def _listing_problem(self) -> str | None:
        try:
            await self.preflight()
        except BadInput as problem:
            return str(problem)
        return None

    async def _chat_problem(self, request: ChatRequest) -> str | None:
        """Why not even a harmless request with the parameters of `request` is let through; None when it is."""
        failure = await self.probe(replace(request, messages=PROBE), PROBE_TIME_S)
        if failure is None or failure.kind != "denied":
            return None
        return f"{self.server.base_url} turns every request down: {failure.detail}"

    async def _ask(
        self, request: ChatRequest, policy: RetryPolicy, retried: Callable[[], None] | None = None
    ) -> Reply | Failure:
        try:
            return await with_retries(
                lambda number, ticket: self.attempt(request, number, ticket),
                policy,
                self.server.limiter.acquire,
                retried,
            )
        except Transient as error:
            return error.failure

    def _body(self, request: ChatRequest) -> dict[str, Any]:
        body: dict[str, Any] = {
            "model": self.spec.served_name,
            "messages": wire_messages(request.messages),
            self._limit_field: request.max_tokens,
            **_sampling(request),
            **template_switch(request.thinking),
        }
        if request.logprobs:
            body |= {"logprobs": True, "top_logprobs": _TOP_LOGPROBS}
        if request.reply_schema is not None:
            described = {"name": "verdict", "strict": True, "schema": request.reply_schema}
            body["response_format"] = {"type": "json_schema", "json_schema": described}
        return body

    async def _ask_chat(self, request: ChatRequest, number: int) -> Reply:
        started = time.perf_counter()
        text = await self.server.client.post("/chat/completions", cast_to=str, body=self._body(request))
        completion = _Completion.model_validate_json(text)
        return _reply(completion, time.perf_counter() - started, number)

    async def _ask_completion(self, request: ChatRequest, number: int) -> Reply:
        """A completion of the rendered chat and the prefill; latency without the rendering, which asks no model."""
        if self.renderer is None:
            raise ValueError(f"{self.name}: a prefill without a renderer")
        rendered = await self.renderer.prefilled(request.messages, request.thinking, request.prefill)
        body = {
            "model": self.spec.served_name,
            "prompt": rendered.prompt,
            "max_tokens": request.max_tokens,
            **_sampling(request),
        }
        if self.renderer.kind == "vllm":
            # The marks of a thought may be special tokens, and no parser reads them here. The last token of a reply
            # that has ended is left out all the same.
            body["skip_special_tokens"] = False
        started = time.perf_counter()
        text = await self.server.client.post("/completions", cast_to=str, body=body)
        completion = _TextCompletion.model_validate_json(text)
        return _text_reply(completion, rendered.prefill, time.perf_counter() - started, number)

    async def _ask_transcript(self, request: ChatRequest, number: int) -> Reply:
        body = {
            "model": self.spec.served_name,
            "prompt": transcript_of(request.messages),
            "max_tokens": request.max_tokens,
            "stop": list(STOP),
            **_sampling(request),
        }
        started = time.perf_counter()
        text = await self.server.client.post("/completions", cast_to=str, body=body)
        completion = _TextCompletion.model_validate_json(text)
        return _text_reply(completion, "", time.perf_counter() - started, number)

    async def attempt(self, request: ChatRequest, number: int, ticket: int) -> Reply | Failure:
        """Ask once, at a place that the limiter has given. Raises Transient where another attempt may help, and
        EndpointDown."""
        latency_s: float | None = None
        overloaded = False
        try:
            # The client's timeout bounds each read; this one bounds the whole of a body that trickles in.
            async with asyncio.timeout(self.server.timeout_s):
                reply = await self._way(request)(request, number)
            latency_s = reply.latency_s
            return reply
        except ValidationError:
            detail = "the server's 200 has a body that is not a chat completion"
            raise Transient(Failure("unparsable", detail, number)) from None
        except openai.APIStatusError as error:
            overloaded = error.status_code in (429, 503, 529)
            return self._status_failure(error, number)
        except (TimeoutError, *_CONNECTION_ERRORS) as error:
            if self.server.has_ended():
                raise EndpointDown(f"{self.name}: the server that emeval has started is gone") from None
            kind, detail = self._connection_failure(error)
            raise Transient(Failure(kind, detail, number)) from None
        finally:
            self.server.limiter.release(ticket, latency_s=latency_s, overloaded=overloaded)

    def _way(self, request: ChatRequest) -> Callable[[ChatRequest, int], Awaitable[Reply]]:
        if request.transcript:
            return self._ask_transcript
        return self._ask_completion if request.prefill else self._ask_chat

    def _connection_failure(self, error: Exception) -> tuple[Literal["timeout", "connection"], str]:
        if isinstance(error, TimeoutError) or _is_timeout(error):
            return "timeout", f"no complete reply within {self.server.timeout_s:g} s"
        return "connection", f"the connection failed: {self.server.clean(_root_cause(error))}"

    def _status_failure(self, error: openai.APIStatusError, number: int) -> Failure:
        """A final failure of this request. Raises Transient for one that may pass.

        Raises EndpointDown for a used-up quota, and where the server asks to wait longer than the run would.
        """
        status = error.status_code
        message = self.server.clean(_server_message(error))
        if _is_quota(error):
            raise EndpointDown(f"{self.name}: the account's quota is used up ({status}): {message}") from None
        if status == 402:
            raise EndpointDown(f"{self.name}: the account's balance is used up ({status}): {message}") from None
        detail = f"status {status}: {message}"
        if not is_transient_status(status):
            # Usually the key or the model; but gateways also turn a single prompt down in this way.
            return Failure("denied" if status in (401, 403, 404) else "rejected", detail, number)
        asked_s = retry_after_s(error.response.headers)
        if status in (429, 503) and asked_s is not None and asked_s >= self._policy.max_total_s:
            raise EndpointDown(f"{self.name}: the server asks to wait {_span(asked_s)} ({status}): {message}") from None
        kind = "rate_limited" if status == 429 else "server_error"
        raise Transient(Failure(kind, detail, number), asked_s) from None


class _SharedCheck:
    """Runs a check at most once at a time: whoever comes while it runs gets its result."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._finished = 0
        self._result: str | None = None

    async def run(self, check: Callable[[], Awaitable[str | None]]) -> str | None:
        finished = self._finished
        async with self._lock:
            if self._finished == finished:
                self._result = await check()
                self._finished += 1
            return self._result


def _sampling(request: ChatRequest) -> dict[str, Any]:
    fields = {"temperature": request.temperature, "seed": request.seed}
    return {name: value for name, value in fields.items() if value is not None}


def _reply(completion: _Completion, latency_s: float, attempts: int) -> Reply:
    choice = completion.choices[0]
    usage = completion.usage or _Usage()
    return Reply(
        content=choice.message.content or "",
        reasoning=choice.message.reasoning or choice.message.reasoning_content or "",
        reasoning_withheld=_is_withheld(choice.message, usage),
        refusal=choice.message.refusal or "",
        finish_reason=choice.finish_reason or "",
        model=completion.model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        token_alternatives=_alternatives(choice.logprobs),
        latency_s=latency_s,
        attempts=attempts,
    )


def _is_withheld(message: _Message, usage: _Usage) -> bool:
    """Whether the server says that the model reasoned, and shows nothing of it.

    An empty thought is none: vLLM (0.32) shows its line ends, or counts no tokens for it.
    """
    if message.reasoning or message.reasoning_content:
        return False
    details = usage.completion_tokens_details or _TokenDetails()
    return bool(details.reasoning_tokens) or message.reasoning_details or message.thinking_blocks


def _text_reply(completion: _TextCompletion, prefill: str, latency_s: float, attempts: int) -> Reply:
    choice = completion.choices[0]
    usage = completion.usage or _Usage()
    return Reply(
        content=choice.text,
        reasoning="",
        refusal="",
        finish_reason=choice.finish_reason or "",
        model=completion.model,
        prompt_tokens=usage.prompt_tokens,
        completion_tokens=usage.completion_tokens,
        token_alternatives=None,
        latency_s=latency_s,
        attempts=attempts,
        prefill=prefill,
    )


def _alternatives(logprobs: _Logprobs | None) -> tuple[tuple[str, Mapping[str, float]], ...] | None:
    if logprobs is None or not logprobs.content:
        return None
    return tuple((token.token, _by_text(token.top_logprobs or [token])) for token in logprobs.content)


def _by_text(options: Sequence[_Alternative]) -> dict[str, float]:
    """Probability by text: different tokens can spell the same text."""
    shares: dict[str, float] = {}
    for option in options:
        shares[option.token] = shares.get(option.token, 0.0) + math.exp(min(option.logprob, 0.0))
    return shares


def _server_message(error: openai.APIStatusError) -> str:
    """The server's own words: the message field of its error body where there is one, else the body."""
    body: object = error.body
    if isinstance(body, dict):
        message = cast("dict[str, object]", body).get("message")
        if isinstance(message, str):
            return message
    return error.response.text or error.message


def _is_quota(error: openai.APIStatusError) -> bool:
    return "insufficient_quota" in (error.code, error.type)


def _span(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__


def _is_timeout(error: BaseException) -> bool:
    """Whether a time limit lies at the root: the transport also reports some resets as connect timeouts."""
    while error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, TimeoutError)
