"""One async `send`, the only place that knows the wire.

An Endpoint is a model behind an OpenAI-compatible server. It speaks through openai's client on its aiohttp transport
and reads replies with a schema of its own straight from the body: that is faster than the SDK's response objects, keeps
fields that the SDK does not know (`reasoning`), and turns a body that does not parse into an error that is retried.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any, Literal, TypeVar

import openai
from pydantic import ValidationError

from evals.endpoints.chat import PROBE, PROBE_TIME_S, ChatRequest, Reply, sampler_fields
from evals.endpoints.chat_template import Renderer, find_renderer, template_switch
from evals.endpoints.model_spec import OPENAI_URL, can_be_from
from evals.endpoints.retries import RetryPolicy, Transient, with_retries
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import (
    CONNECTION_ERRORS,
    PREFLIGHT_TIMEOUT_S,
    root_cause,
    server_message,
)
from evals.endpoints.server_error import ErrorInReply, ServerError, error_in
from evals.endpoints.wire import (
    Completion,
    TextCompletion,
    Unparsable,
    read_completion,
    reply_from,
    text_reply_from,
)
from evals.errors import BadInput, EndpointDown
from evals.io.retry_after import retry_after_s
from evals.trials.finish_reason import at_limit, ending_of, is_below_limit, is_known
from evals.trials.prompt import EMPTY_SYSTEM, STOP, Messages, has_system, transcript_of, wire_messages
from evals.trials.response import Failure
from evals.trials.trial import Sampler

_T = TypeVar("_T")
_TOP_LOGPROBS = 20
_MAYBE_THE_SERVER = frozenset({"timeout", "connection", "server_error", "denied", "unparsable", "broken_off"})


class Endpoint:
    """One model on one server, ready to be asked. `send` returns a Reply or a Failure and never raises for an error
    that concerns only this request."""

    width = 1
    """Servers that it asks."""

    def __init__(self, model: ServedModel, policy: RetryPolicy, renderer: Renderer | None = None) -> None:
        self.model = model
        self.spec = model.spec
        self.name = model.spec.name
        self.server = model.server
        self.renderer = renderer
        self._policy = policy
        self._listing = _SharedCheck()
        self._chat = _SharedCheck()
        # OpenAI's newer models refuse max_tokens; other servers may not know its successor.
        self._limit_field = "max_completion_tokens" if self.spec.provider == "openai" else "max_tokens"

    async def preflight(self) -> ServedModel:
        """Check that the server answers, takes the key and serves the model; the model, under the name it has there.

        Raises BadInput, in one line, when a run against this endpoint could not give a true number.
        """
        listing = await self.server.listing()
        listed = None if listing is None else tuple(listing)
        spec, base = self.spec, self.model.base
        if spec.full_name is not None and listed is not None and spec.full_name in listed:
            spec = replace(spec, served_name=spec.full_name, full_name=None)
        elif spec.full_name is not None:  # the server knows an adapter, not one model of that whole name
            base = spec.full_name.rpartition(":")[0]
            spec = replace(spec, full_name=None)
        if listed is not None and spec.served_name not in listed:
            shown = ", ".join(self.server.clean(model) for model in listed[:8]) or "no models"
            more = f" and {len(listed) - 8} more" if len(listed) > 8 else ""
            other = "" if self.spec.full_name is None else f" (nor {self.spec.full_name!r})"
            raise BadInput(
                f"{self.server.base_url} does not serve {spec.served_name!r}{other}; it serves {shown}{more}"
            )
        parent = None if listing is None else listing.get(spec.served_name)
        return replace(self.model, spec=spec, base=parent or base, listed=listed)

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
        return (await self._of_the_template(self.renderer.render(self._messages(messages), thinking))).text

    async def own_system_text(self, thinking: bool | None, system: Messages = ()) -> str | None:
        """What the chat template says of its own in a chat that begins with `system`; see Renderer. None where the
        server does not show it. Raises BadInput."""
        if self.renderer is None:
            return None
        return await self._of_the_template(self.renderer.own_system_text(thinking, system))

    def _messages(self, messages: Messages) -> Messages:
        return (EMPTY_SYSTEM, *messages) if self.model.empty_system and not has_system(messages) else messages

    async def _of_the_template(self, asked: Awaitable[_T]) -> _T:
        what = f"{self.name}: {self.server.base_url} could not be asked for a rendered prompt"
        try:
            async with asyncio.timeout(PREFLIGHT_TIMEOUT_S):
                return await asked
        except TimeoutError:
            raise BadInput(f"{what}: no reply in {PREFLIGHT_TIMEOUT_S:.0f} s") from None
        except openai.APIStatusError as error:
            raise BadInput(f"{what} ({error.status_code}): {self.server.clean(server_message(error))}") from None
        except CONNECTION_ERRORS as error:
            raise BadInput(f"{what}: {self.server.clean(root_cause(error))}") from None
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
            "messages": wire_messages(self._messages(request.messages)),
            self._limit_field: request.max_tokens,
            **self._sampling(request),
            **template_switch(request.thinking),
        }
        if request.logprobs:
            body |= {"logprobs": True, "top_logprobs": _TOP_LOGPROBS}
        if request.reply_schema is not None:
            described = {"name": "verdict", "strict": True, "schema": request.reply_schema}
            body["response_format"] = {"type": "json_schema", "json_schema": described}
        return body

    def _sampling(self, request: ChatRequest) -> dict[str, Any]:
        fields = {"temperature": request.temperature, "seed": request.seed}
        return {name: value for name, value in fields.items() if value is not None} | self._sampler(request.sampler)

    def _sampler(self, sampler: Sampler) -> dict[str, Any]:
        """The sampler as this server takes it: of a hosted API only `top_p` is known to be taken."""
        fields = sampler_fields(sampler)
        if self.spec.provider == "openai":
            fields = {name: value for name, value in fields.items() if name == "top_p"}
        return {name: value for name, value in fields.items() if name not in self.model.refused}

    async def _ask_chat(self, request: ChatRequest, number: int) -> Reply:
        started = time.perf_counter()
        text = await self.server.client.post("/chat/completions", cast_to=str, body=self._body(request))
        completion = read_completion(text, Completion)
        return reply_from(completion, time.perf_counter() - started, number)

    async def _ask_completion(self, request: ChatRequest, number: int) -> Reply:
        """A completion of the rendered chat and the prefill; latency without the rendering, which asks no model."""
        if self.renderer is None:
            raise ValueError(f"{self.name}: a prefill without a renderer")
        rendered = await self.renderer.prefilled(self._messages(request.messages), request.thinking, request.prefill)
        body = {
            "model": self.spec.served_name,
            "prompt": rendered.prompt,
            "max_tokens": request.max_tokens,
            **self._sampling(request),
        }
        if self.renderer.kind == "vllm":
            # The marks of a thought may be special tokens, and no parser reads them here. The last token of a reply
            # that has ended is left out all the same.
            body["skip_special_tokens"] = False
        started = time.perf_counter()
        text = await self.server.client.post("/completions", cast_to=str, body=body)
        completion = read_completion(text, TextCompletion)
        return text_reply_from(completion, rendered.prefill, time.perf_counter() - started, number)

    async def _ask_transcript(self, request: ChatRequest, number: int) -> Reply:
        body = {
            "model": self.spec.served_name,
            "prompt": transcript_of(request.messages),
            "max_tokens": request.max_tokens,
            "stop": list(STOP),
            **self._sampling(request),
        }
        started = time.perf_counter()
        text = await self.server.client.post("/completions", cast_to=str, body=body)
        completion = read_completion(text, TextCompletion)
        return text_reply_from(completion, "", time.perf_counter() - started, number)

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
            return self._checked(reply, request, number)
        except (Unparsable, ValidationError):
            detail = "the server's 200 has a body that is not a chat completion"
            raise Transient(Failure("unparsable", detail, number)) from None
        except ErrorInReply as found:
            overloaded = found.error.is_overload
            codes = self.server.clean(", ".join(dict.fromkeys(found.error.codes)))[:60]
            return self._failure(found.error, f"error in a 200 ({codes or 'no code'})", number)
        except openai.APIStatusError as error:
            said = _said_in(error)
            overloaded = said.is_overload
            return self._failure(said, f"status {error.status_code}", number, retry_after_s(error.response.headers))
        except (TimeoutError, *CONNECTION_ERRORS) as error:
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
        return "connection", f"the connection failed: {self.server.clean(root_cause(error))}"

    def _checked(self, reply: Reply, request: ChatRequest, number: int) -> Reply:
        """The reply, with a word of its own for an end at the limit of tokens. Tells people of another model's.

        Raises Transient for one that an error or an unknown reason ended.
        """
        if ending_of(reply.finish_reason) == "broken_off":
            word = self.server.clean(reply.finish_reason)[:60]
            if not is_known(reply.finish_reason):
                self.server.say_once(
                    f"{self.name}: {self.server.base_url} ended a reply with finish_reason {word!r}, which has no "
                    "known meaning: such a reply is asked for again, and fails when it ends so again"
                )
            raise Transient(Failure("broken_off", f"the reply was broken off: finish_reason {word!r}", number))
        if not can_be_from(self.name, self.spec.served_name, reply.model):
            other = self.server.clean(reply.model)[:100]
            self.server.say_once(f"{self.name}: a reply names another model than the one asked for: {other}")
            reply = replace(reply, answered_as=other)
        self._note_lower_limit(reply, request)
        word = at_limit(reply.finish_reason, reply.completion_tokens, request.max_tokens)
        return reply if word == reply.finish_reason else replace(reply, finish_reason=word)

    def _note_lower_limit(self, reply: Reply, request: ChatRequest) -> None:
        """Tell people, once, of a server that allows fewer tokens than are asked for."""
        if not is_below_limit(reply.finish_reason, reply.completion_tokens, request.max_tokens):
            return
        if self.spec.provider == "openai" and (reply.reasoning or reply.reasoning_withheld):
            return  # some hosted APIs do not count the tokens of a thought
        tokens = f"{reply.completion_tokens:,} of {request.max_tokens:,} tokens"
        word = self.server.clean(reply.finish_reason)[:60]
        self.server.say_once(
            f"{self.name}: {self.server.base_url} cut a reply after {tokens} (finish_reason {word!r}): it has a lower "
            "limit of its own, such as max_new_tokens in the model's generation_config.json, or the context length",
            about=f"lower limit of {self.name}",
        )

    def _failure(self, error: ServerError, where: str, number: int, asked_s: float | None = None) -> Failure:
        """A final failure of this request; `asked_s` is how long the server asks to wait. Raises Transient for one that
        may pass.

        Raises EndpointDown for an account that cannot pay, and where the server asks to wait longer than the run would.
        """
        message = self.server.clean(error.message)
        if error.unpaid is not None:
            raise EndpointDown(f"{self.name}: {self._unpaid(error.unpaid, error.status)}: {message}") from None
        failure = Failure(error.kind, f"{where}: {message}", number)
        if not error.is_transient:
            return failure
        if error.status in (429, 503) and asked_s is not None and asked_s >= self._policy.max_total_s:
            asked = f"the server asks to wait {_span(asked_s)} ({error.status})"
            raise EndpointDown(f"{self.name}: {asked}: {message}") from None
        raise Transient(failure, asked_s) from None

    def _unpaid(self, code: str, status: int | None) -> str:
        if code == "insufficient_quota":
            return f"the account's quota is used up ({status or code})"
        if code == "402":
            return "the account's balance is used up (402)"
        shown = self.server.clean(code)[:60]
        return f"the account cannot pay or is closed ({shown if status is None else f'{status}, {shown}'})"


class _SharedCheck:
    """Runs a check at most once at a time: callers that come while it runs share its result."""

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


def _said_in(error: openai.APIStatusError) -> ServerError:
    """What an HTTP error says, with its own status."""
    said = error_in(error.body) or ServerError("")
    return said._replace(message=server_message(error), status=error.status_code)


def _span(seconds: float) -> str:
    for size, unit in ((86400, "days"), (3600, "h"), (60, "min")):
        if seconds >= 2 * size:
            return f"{seconds / size:.0f} {unit}"
    return f"{seconds:.0f} s"


def _is_timeout(error: BaseException) -> bool:
    """Whether a time limit lies at the root: the transport also reports some resets as connect timeouts."""
    while error.__cause__ is not None:
        error = error.__cause__
    return isinstance(error, TimeoutError)
