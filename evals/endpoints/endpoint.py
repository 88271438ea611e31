"""A model behind an OpenAI-compatible server: ask it, with retries, and tell a failed request from a failed server.

Replies are read with a schema of emeval's own, which keeps fields that few clients know (`reasoning`) and makes a body
that does not parse an error that is retried.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import NoReturn, TypeVar

from pydantic import ValidationError

from evals.endpoints.chat import PROBE, PROBE_TIME_S, ChatRequest, Reply
from evals.endpoints.chat_template import Renderer, find_renderer
from evals.endpoints.model_list import Listed
from evals.endpoints.model_spec import can_be_from
from evals.endpoints.request_body import EncodedRequest, encode_request, sent_messages
from evals.endpoints.retries import RetryPolicy, Transient, with_retries
from evals.endpoints.served_model import ServedModel
from evals.endpoints.server import PREFLIGHT_TIMEOUT_S, ServerAway, said_in, server_message
from evals.endpoints.transport.key_redactor import MARK
from evals.endpoints.transport.outage import Problem, SharedCheck, span, wait_until_back
from evals.endpoints.transport.reply_json import Unparsable
from evals.endpoints.transport.server_error import ErrorInReply, ServerError
from evals.endpoints.transport.transport import (
    ConnectionFailed,
    Redirected,
    StatusError,
    TimedOut,
    TooLarge,
    TransportError,
)
from evals.endpoints.wire import TextCompletion, chat_reply, read_completion, text_reply_from
from evals.errors import BadInput, EndpointDown
from evals.io.web.retry_after import retry_after_s
from evals.trials.finish_reason import at_limit, ending_of, is_below_limit, is_known
from evals.trials.prompt import Messages
from evals.trials.response import Failure

_T = TypeVar("_T")
_TEXTS = ("content", "reasoning", "refusal", "finish_reason", "model")
_KNOWN_NAMES, _LONGEST_NAME = 100, 200
"""How many names of models in replies are remembered, and how long they may be: a server may send a new one with each
reply."""
_MAYBE_THE_SERVER = frozenset({"timeout", "connection", "server_error", "denied", "unparsable", "broken_off"})


class Asked:
    """A request and its form for each endpoint that it has been sent to: retries send the same bytes."""

    def __init__(self, request: ChatRequest) -> None:
        self.request = request
        self._encoded: dict[int, EncodedRequest] = {}

    async def encoded_for(self, endpoint: Endpoint) -> EncodedRequest:
        """Raises as the renderer of the endpoint does, for a request with a prefill."""
        found = self._encoded.get(id(endpoint))
        if found is None:
            found = self._encoded[id(endpoint)] = await encode_request(endpoint.model, endpoint.renderer, self.request)
        return found


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
        self._names: dict[str, str] = {}
        self._listing = SharedCheck()
        self._chat = SharedCheck()
        self._return = SharedCheck()

    async def preflight(self) -> ServedModel:
        """Check that the server answers, takes the key and serves the model; the model, under the name it has there.

        Raises BadInput, in one line, when a run against this endpoint could not give a true number.
        """
        quirks = self.spec.quirks
        listing = await self.server.listing(takes_key=quirks.model_list != "none")
        listed = None if listing is None else tuple(listing)
        spec, base = self.spec, self.model.base
        if spec.full_name is not None and listed is not None and spec.full_name in listed:
            spec = replace(spec, served_name=spec.full_name, full_name=None)
        elif spec.full_name is not None:  # the server knows an adapter, not one model of that whole name
            base = spec.full_name.rpartition(":")[0]
            spec = replace(spec, full_name=None)
        if listed is not None and quirks.model_list == "complete" and spec.served_name not in listed:
            shown = ", ".join(self.server.clean(model) for model in listed[:8]) or "no models"
            more = f" and {len(listed) - 8} more" if len(listed) > 8 else ""
            other = "" if self.spec.full_name is None else f" (nor {self.spec.full_name!r})"
            raise BadInput(
                f"{self.server.base_url} does not serve {spec.served_name!r}{other}; it serves {shown}{more}"
            )
        said = (listing or {}).get(spec.served_name, Listed())
        of_base = (listing or {}).get(said.parent or base or "", Listed())  # vLLM says it of no adapter
        context = of_base.context if said.context is None else said.context
        base = said.parent or base
        return replace(self.model, spec=spec, base=base, listed=listed, context=context, root=said.root)

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
        if self.spec.quirks.hosted and self.server.base_url == self.spec.known_as.base_url:
            return None
        return await self._of_the_template(find_renderer(self.spec.served_name, self.server.post_beside))

    async def render(self, messages: Messages, thinking: bool | None) -> str | None:
        """The prompt that a chat is rendered to, None where the server does not show it. Raises BadInput."""
        if self.renderer is None:
            return None
        return (await self._of_the_template(self.renderer.render(sent_messages(self.model, messages), thinking))).text

    async def own_system_text(self, thinking: bool | None, system: Messages = ()) -> str | None:
        """What the chat template says of its own in a chat that begins with `system`; see Renderer. None where the
        server does not show it. Raises BadInput."""
        if self.renderer is None:
            return None
        return await self._of_the_template(self.renderer.own_system_text(thinking, system))

    async def _of_the_template(self, asked: Awaitable[_T]) -> _T:
        what = f"{self.name}: {self.server.base_url} could not be asked for a rendered prompt"
        try:
            async with asyncio.timeout(PREFLIGHT_TIMEOUT_S):
                return await asked
        except (TimeoutError, TimedOut):
            raise BadInput(f"{what}: no reply in {PREFLIGHT_TIMEOUT_S:.0f} s") from None
        except StatusError as error:
            raise BadInput(f"{what} ({error.status}): {self.server.clean(server_message(error))}") from None
        except TransportError as error:
            raise BadInput(f"{what}: {self.server.clean(str(error))}") from None
        except ValidationError:
            raise BadInput(f"{what}: its reply is of another shape") from None

    async def send(self, request: ChatRequest, retried: Callable[[], None] | None = None) -> Reply | Failure:
        """Ask once, with retries, of each of which `retried` is told, and wait for a server that is away.

        Raises EndpointDown when it is the server, not this request, that has failed.
        """
        attempts = 0
        while True:
            result = await self._ask(request, self._policy, retried)
            if attempts:
                result = replace(result, attempts=result.attempts + attempts)
            if isinstance(result, Reply):
                return result
            problem = await self.problem(request, result)
            if problem is None:
                return result
            problem = await self._return.run(lambda found=problem: self._wait_until_back(found))
            if problem is not None:
                raise EndpointDown(f"{self.name}: {problem.text}")
            attempts = result.attempts

    async def _wait_until_back(self, problem: Problem) -> Problem | None:
        """Wait for the server as long as retries of one request may take; what is wrong if it is not back then."""
        left_s = self.left_s()
        if problem.may_pass and left_s > 0:
            self.server.note_outage(problem, left_s)
        still = await wait_until_back(problem, lambda: self._listing.run(self._listing_problem), self.left_s)
        if still is None:
            self.server.note_return()
        return still

    def left_s(self) -> float:
        """Seconds for which the server is still waited for while it is away."""
        return self.server.left_s(self._policy.max_total_s)

    async def is_usable(self) -> bool:
        """Whether the server answers, takes the key and serves the model."""
        return await self._listing.run(self._listing_problem) is None

    async def problem(self, request: ChatRequest, failure: Failure) -> Problem | None:
        """What is wrong with the server as a whole, after `request` has failed there; None when it is the request."""
        if failure.kind not in _MAYBE_THE_SERVER:
            return None
        problem = await self._listing.run(self._listing_problem)
        if problem is None and failure.kind == "denied":  # a list may be public
            problem = await self._chat.run(lambda: self._chat_problem(request))
        return problem

    async def _listing_problem(self) -> Problem | None:
        try:
            await self.preflight()
        except BadInput as problem:
            return Problem(str(problem), isinstance(problem, ServerAway))
        return None

    async def _chat_problem(self, request: ChatRequest) -> Problem | None:
        """Why not even a harmless request with the parameters of `request` is let through; None when it is."""
        failure = await self.probe(replace(request, messages=PROBE), PROBE_TIME_S)
        if failure is None or failure.kind != "denied":
            return None
        return Problem(f"{self.server.base_url} turns every request down: {failure.detail}")

    async def _ask(
        self, request: ChatRequest, policy: RetryPolicy, retried: Callable[[], None] | None = None
    ) -> Reply | Failure:
        asked = Asked(request)
        try:
            return await with_retries(
                lambda number, ticket: self.attempt(asked, number, ticket),
                policy,
                self.server.limiter.acquire,
                retried,
                ends_within_s=self.server.timeout_s,
            )
        except Transient as error:
            return error.failure

    async def attempt(self, asked: Asked, number: int, ticket: int) -> Reply | Failure:
        """Ask once, at a place that the limiter has given. Raises Transient where another attempt may help, and
        EndpointDown."""
        server = self.server
        has_replied = overloaded = False
        try:
            # It bounds the whole: a body that trickles in keeps every single read short.
            async with asyncio.timeout(server.timeout_s):
                reply = await self._asked_once(await asked.encoded_for(self), number)
            has_replied = True
            server.outage.note_reply()
            return self.checked(reply, asked.request, number)
        except (Unparsable, ValidationError):
            detail = "the server's 200 has a body that is not a chat completion"
            raise Transient(Failure("unparsable", detail, number)) from None
        except ErrorInReply as found:
            overloaded = found.error.is_overload
            codes = server.clean(", ".join(dict.fromkeys(found.error.codes)))[:60]
            return self._failure(found.error, f"error in a 200 ({codes or 'no code'})", number)
        except Redirected as error:
            return Failure("denied", f"status {error.status}: {server.clean(error.advice)}", number)
        except StatusError as error:
            said = said_in(error)
            overloaded = said.is_overload
            if error.status >= 500:
                server.outage.note_failure()
            return self._failure(said, f"status {error.status}", number, retry_after_s(error.headers))
        except TooLarge as error:
            return Failure("too_large", str(error), number)
        except (TimeoutError, TransportError) as error:
            overloaded = not isinstance(error, ConnectionFailed) or error.refused
            self._raise_unreached(error, number)
        finally:
            server.limiter.release(ticket, replied=has_replied, overloaded=overloaded)

    async def _asked_once(self, encoded: EncodedRequest, number: int) -> Reply:
        started = time.perf_counter()
        text = await self.server.post(encoded.path, encoded.body)
        latency_s = time.perf_counter() - started
        if encoded.is_chat:
            return chat_reply(text, latency_s, number)
        return text_reply_from(read_completion(text, TextCompletion), encoded.prefill, latency_s, number)

    def _raise_unreached(self, error: Exception, number: int) -> NoReturn:
        """Raise Transient for a request without a reply; EndpointDown for a server of emeval's that has ended."""
        self.server.outage.note_failure()
        if self.server.has_ended():
            raise EndpointDown(f"{self.name}: the server that emeval has started is gone") from None
        if isinstance(error, TimeoutError | TimedOut):
            failure = Failure("timeout", f"no complete reply within {self.server.timeout_s:g} s", number)
        else:
            failure = Failure("connection", f"the connection failed: {self.server.clean(str(error))}", number)
        raise Transient(failure) from None

    def checked(self, reply: Reply, request: ChatRequest, number: int) -> Reply:
        """The reply, with a word of its own for an end at the limit of tokens. Tells people of another model's.

        Raises Transient for one that an error or an unknown reason ended.
        """
        reply = self._without_key(reply)
        if ending_of(reply.finish_reason) == "broken_off":
            word = self.server.clean(reply.finish_reason)[:60]
            if not is_known(reply.finish_reason):
                self.server.say_once(
                    f"{self.name}: {self.server.base_url} ended a reply with finish_reason {word!r}, which has no "
                    "known meaning: such a reply is asked for again, and fails when it ends so again"
                )
            raise Transient(Failure("broken_off", f"the reply was broken off: finish_reason {word!r}", number))
        other = self._other_model(reply.model)
        if other:
            reply = replace(reply, answered_as=other)
        self._note_lower_limit(reply, request)
        word = at_limit(reply.finish_reason, reply.completion_tokens, request.max_tokens)
        return reply if word == reply.finish_reason else replace(reply, finish_reason=word)

    def _other_model(self, reported: str) -> str:
        """The name of the model that a reply is from, where that is another one than was asked for, of which people
        are told; "" for the right one."""
        known = self._names.get(reported)
        if known is not None:
            return known
        other = ""
        if not can_be_from(self.name, self.spec.served_name, reported):
            other = self.server.clean(reported)[:100]
            self.server.say_once(f"{self.name}: a reply names another model than the one asked for: {other}")
        if len(self._names) < _KNOWN_NAMES and len(reported) <= _LONGEST_NAME:
            self._names[reported] = other
        return other

    def _without_key(self, reply: Reply) -> Reply:
        """The reply with a mark wherever the server repeats the key that it was given, of which people are told."""
        said = {name: text for name in _TEXTS if (text := getattr(reply, name))}
        kept = {name: self.server.without_key(text) for name, text in said.items()}
        if kept == said:
            return reply
        self.server.say_once(
            f"{self.name}: {self.server.base_url} repeats its key in replies: it is stored as {MARK}",
            about=f"key in replies of {self.name}",
        )
        return replace(reply, **kept)

    def _note_lower_limit(self, reply: Reply, request: ChatRequest) -> None:
        """Tell people, once, of a server that allows fewer tokens than are asked for."""
        if not is_below_limit(reply.finish_reason, reply.completion_tokens, request.max_tokens):
            return
        if self.spec.quirks.hosted and (reply.reasoning or reply.reasoning_withheld):
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
            asked = f"the server asks to wait {span(asked_s)} ({error.status})"
            raise EndpointDown(f"{self.name}: {asked}: {message}") from None
        raise Transient(failure, asked_s) from None

    def _unpaid(self, code: str, status: int | None) -> str:
        if code == "insufficient_quota":
            return f"the account's quota is used up ({status or code})"
        if code == "402":
            return "the account's balance is used up (402)"
        shown = self.server.clean(code)[:60]
        return f"the account cannot pay or is closed ({shown if status is None else f'{status}, {shown}'})"
