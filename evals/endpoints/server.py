"""An OpenAI-compatible server: its models, whether it answers, and what its errors mean."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Mapping
from typing import Any, cast

from pydantic_core import to_json

from evals import __version__
from evals.endpoints.model_list import Listed, read_models
from evals.endpoints.providers.table import OPENAI_URL
from evals.endpoints.transport.key_redactor import KeyRedactor
from evals.endpoints.transport.limiter import AdaptiveLimiter
from evals.endpoints.transport.open_transport import open_transport
from evals.endpoints.transport.outage import Outage, Problem, span
from evals.endpoints.transport.reply_json import Unparsable, check_values
from evals.endpoints.transport.server_error import ServerError, error_in
from evals.endpoints.transport.transport import (
    DEFAULT_MAX_REPLY_MB,
    MEGABYTE,
    UNBOUNDED,
    ConnectionFailed,
    Redirected,
    StatusError,
    TimedOut,
    TooLarge,
    TransportError,
    TransportName,
    TransportSettings,
)
from evals.errors import BadInput
from evals.io.web.retry_after import is_transient_status
from evals.text import one_line

PREFLIGHT_TIMEOUT_S = 10.0
_LOAD_TIMEOUT_S = 300.0


class ServerAway(BadInput):
    """A server that cannot be used now, and may come back by itself."""


class Server:
    """A connection to one base URL with one key: its transport and its concurrency limit. Close it when done.

    `has_ended`: True once a server that emeval started has exited; its requests are not retried. `say` gets remarks
    for people, in one line each. `may_come_back`: False for a server within this process, which is not waited for.
    """

    def __init__(
        self,
        base_url: str,
        key: str,
        *,
        concurrency: int,
        timeout_s: float,
        has_ended: Callable[[], bool] = lambda: False,
        say: Callable[[str], None] = lambda _text: None,
        transport: TransportName = "aiohttp",
        max_reply_mb: float = DEFAULT_MAX_REPLY_MB,
        may_come_back: bool = True,
    ) -> None:
        self.base_url = base_url
        self._api = base_url.rstrip("/")
        self.has_ended = has_ended
        self._say = say
        self._said: set[str] = set()
        self.timeout_s = timeout_s
        self.limiter = AdaptiveLimiter(concurrency)
        self.outage = Outage()
        self._may_come_back = may_come_back
        self._redactor = KeyRedactor(key)
        max_bytes = int(max_reply_mb * MEGABYTE)
        self._transport = open_transport(
            transport, TransportSettings(base_url, headers_for(base_url, key), timeout_s, max_bytes)
        )

    async def close(self) -> None:
        await self._transport.close()

    def clean(self, text: str) -> str:
        """Text of the server for people: one line, no control characters, no key."""
        # On one line first: characters that it takes away could stand inside an echoed key and hide it.
        return one_line(self._redactor.redact(one_line(text, limit=len(text))))

    def without_key(self, text: str) -> str:
        """Text of the server as it is stored: with a mark in place of its key."""
        return self._redactor.redact(text)

    def tell(self, text: str) -> None:
        """Tell people, each time."""
        self._say(text)

    def say_once(self, text: str, about: str = "") -> None:
        """Tell people, the first time only. `about` names the matter where the text differs from time to time."""
        if (about or text) not in self._said:
            self._said.add(about or text)
            self._say(text)

    async def post(self, path: str, body: bytes) -> str:
        """The reply's body from a route of the API, however long it takes. Raises TransportError."""
        return await self._transport.post(self._api + path, body, UNBOUNDED)

    async def post_beside(self, path: str, body: Mapping[str, Any]) -> str:
        """The same from a route of the server that stands beside the API, not under its /v1."""
        text = await self._transport.post(f"{self._root}{path}", encoded(body))
        check_values(text)
        return text

    async def get_beside(self, path: str) -> str:
        """The reply's body from such a route that is read. Raises TransportError."""
        text = await self._transport.get(f"{self._root}{path}")
        check_values(text)
        return text

    @property
    def _root(self) -> str:
        return self.base_url.rstrip("/").removesuffix("/v1")

    def left_s(self, max_total_s: float) -> float:
        """Seconds for which it is still waited for while it is away."""
        if not self._may_come_back or self.has_ended():
            return 0.0
        return self.outage.left_s(max_total_s)

    def note_outage(self, problem: Problem, wait_s: float) -> None:
        """Tell people, once, that the server is waited for."""
        if self.outage.begins():
            self._say(f"{problem.text}; waiting up to {span(wait_s)} for it to come back")

    def note_return(self) -> None:
        """Tell people that a server is back which they know to be waited for."""
        away_s = self.outage.ends()
        if away_s is not None:
            self.limiter.reopen()
            self._say(f"{self.base_url} is back after {span(away_s)}")

    async def served_models(self) -> list[str] | None:
        """The ids that the server lists, None when it keeps no list. Raises BadInput when it cannot be used at all."""
        listing = await self.listing()
        return None if listing is None else list(listing)

    async def listing(self, *, takes_key: bool = True) -> dict[str, Listed] | None:
        """The same, each with what the server says of it. Without `takes_key`, a list that is denied says nothing."""
        try:
            async with asyncio.timeout(PREFLIGHT_TIMEOUT_S):
                return read_models(await self._transport.get(f"{self.base_url.rstrip('/')}/models"))
        except Redirected as error:
            raise BadInput(f"{self.base_url} answers /models with {error.status}: {self.clean(error.advice)}") from None
        except StatusError as error:
            if error.status in (404, 405, 501) or (error.status in (401, 403) and not takes_key):
                return None
            reason = self.clean(server_message(error))
            if error.status in (401, 403):
                raise BadInput(f"{self.base_url} does not accept the key ({error.status}): {reason}") from None
            kind = ServerAway if is_transient_status(error.status) else BadInput
            raise kind(f"{self.base_url} answers /models with {error.status}: {reason}") from None
        except TooLarge as error:
            raise BadInput(f"{self.base_url} answers /models with too much: {error}") from None
        except ConnectionFailed as error:
            raise ServerAway(f"{self.base_url} cannot be reached: {self.clean(str(error))}") from None
        except (TimeoutError, TimedOut):
            raise ServerAway(
                f"{self.base_url} does not answer: no reply to /models in {PREFLIGHT_TIMEOUT_S:.0f} s"
            ) from None
        except Unparsable:
            raise BadInput(
                f"{self.base_url} answers /models with something else: is it an OpenAI-compatible URL?"
            ) from None

    async def load_adapter(self, name: str, folder: str) -> None:
        """Have a vLLM server load the LoRA adapter in `folder`, a path as it sees it, under `name`. Raises BadInput."""
        what = f"{self.base_url} does not load the adapter {folder}"
        body = encoded({"lora_name": name, "lora_path": folder})
        try:
            async with asyncio.timeout(_LOAD_TIMEOUT_S):
                url = f"{self.base_url.rstrip('/')}/load_lora_adapter"
                await self._transport.post(url, body, timeout_s=_LOAD_TIMEOUT_S)
        except (TimeoutError, TimedOut):
            raise BadInput(f"{what}: no reply in {_LOAD_TIMEOUT_S:.0f} s") from None
        except StatusError as error:
            said = self.clean(server_message(error))
            if error.status in (404, 405) and name not in said and folder not in said:
                raise BadInput(
                    f"{what}: start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --enable-lora, or have it serve "
                    f"the adapter itself (--lora-modules NAME={folder}) and write vllm/BASE:NAME"
                ) from None
            if "already been loaded" not in said:  # by another run, a moment ago, from the same files
                raise BadInput(f"{what} ({error.status}): {said}") from None
        except TransportError as error:
            raise BadInput(f"{what}: {self.clean(str(error))}") from None


def encoded(body: Mapping[str, Any]) -> bytes:
    """A request's body."""
    return to_json(body)


def error_object(error: StatusError) -> object:
    """What an error's body holds: its `error` field, else all of it; the text where that is not JSON."""
    text = error.body.strip()
    try:
        value: object = json.loads(text)
    except (ValueError, RecursionError):
        return text
    if not isinstance(value, dict):
        return value
    fields = cast("dict[str, object]", value)
    return fields.get("error", fields)


def server_message(error: StatusError) -> str:
    """The server's own words: the message field of its error body where there is one, else the body."""
    if isinstance(error, Redirected):
        return error.advice
    body = error_object(error)
    if isinstance(body, dict):
        message = cast("dict[str, object]", body).get("message")
        if isinstance(message, str):
            return message
    return error.body or f"Error code: {error.status}"


def said_in(error: StatusError) -> ServerError:
    """What an HTTP error says, with its own status."""
    said = error_in(error_object(error)) or ServerError("")
    return said._replace(message=server_message(error), status=error.status)


def headers_for(base_url: str, key: str) -> dict[str, str]:
    """What goes with every request to a server."""
    headers = {"Authorization": f"Bearer {key}", "User-Agent": f"emeval/{__version__}"}
    if base_url == OPENAI_URL:  # no other server is told the OpenAI account in the environment
        account = {"OpenAI-Organization": "OPENAI_ORG_ID", "OpenAI-Project": "OPENAI_PROJECT_ID"}
        headers |= {name: value for name, variable in account.items() if (value := os.environ.get(variable))}
    return headers
