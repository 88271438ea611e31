"""An OpenAI-compatible server: its models, whether it answers, and what its errors mean."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from typing import Any, cast

import aiohttp
import openai

from evals.endpoints.limiter import AdaptiveLimiter
from evals.endpoints.model_spec import OPENAI_URL
from evals.endpoints.wire import Unparsable, read_models
from evals.errors import BadInput
from evals.text import one_line, redact

_CONNECT_TIMEOUT_S = 10.0
PREFLIGHT_TIMEOUT_S = 10.0
_LOAD_TIMEOUT_S = 300.0
# A reply that is not HTTP passes the SDK as aiohttp's own error, whose repr holds the request's headers and so the key.
CONNECTION_ERRORS = (openai.APIConnectionError, aiohttp.ClientError)


class Server:
    """A connection to one base URL with one key: its client and its concurrency limit. Close it when done.

    `has_ended`: True once a server that emeval started has exited; its requests are not retried. `say` gets remarks
    for people, in one line each.
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
    ) -> None:
        self.base_url = base_url
        self.has_ended = has_ended
        self._say = say
        self._said: set[str] = set()
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

    def say_once(self, text: str, about: str = "") -> None:
        """Tell people, the first time only. `about` names the matter where the text differs from time to time."""
        if (about or text) not in self._said:
            self._said.add(about or text)
            self._say(text)

    async def post_beside(self, path: str, body: Mapping[str, Any]) -> str:
        """The reply's body from a route of the server that stands beside the API, not under its /v1."""
        root = self.base_url.removesuffix("/v1")
        return await self.client.post(f"{root}{path}", cast_to=str, body=body)

    async def get_beside(self, path: str) -> str:
        """The body of such a route that is read."""
        root = self.base_url.removesuffix("/v1")
        return await self.client.get(f"{root}{path}", cast_to=str)

    async def served_models(self) -> list[str] | None:
        """The ids that the server lists, None when it keeps no list. Raises BadInput when it cannot be used at all."""
        listing = await self.listing()
        return None if listing is None else list(listing)

    async def listing(self) -> dict[str, str | None] | None:
        """The same, each with the id of the base that it is an adapter of, as far as the server says so."""
        try:
            async with asyncio.timeout(PREFLIGHT_TIMEOUT_S):
                body = await self.client.get("/models", cast_to=str)
            return read_models(body)
        except TimeoutError:
            raise BadInput(
                f"{self.base_url} does not answer: no reply to /models in {PREFLIGHT_TIMEOUT_S:.0f} s"
            ) from None
        except CONNECTION_ERRORS as error:
            raise BadInput(f"{self.base_url} cannot be reached: {self.clean(root_cause(error))}") from None
        except (openai.AuthenticationError, openai.PermissionDeniedError) as error:
            reason = self.clean(server_message(error))
            raise BadInput(f"{self.base_url} does not accept the key ({error.status_code}): {reason}") from None
        except openai.APIStatusError as error:
            if error.status_code in (404, 405, 501):
                return None
            reason = self.clean(server_message(error))
            raise BadInput(f"{self.base_url} answers /models with {error.status_code}: {reason}") from None
        except (Unparsable, openai.APIResponseValidationError):
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
            said = self.clean(server_message(error))
            if error.status_code in (404, 405) and name not in said and folder not in said:
                raise BadInput(
                    f"{what}: start it with VLLM_ALLOW_RUNTIME_LORA_UPDATING=True and --enable-lora, or have it serve "
                    f"the adapter itself (--lora-modules NAME={folder}) and write vllm/BASE:NAME"
                ) from None
            if "already been loaded" not in said:  # by another run, a moment ago, from the same files
                raise BadInput(f"{what} ({error.status_code}): {said}") from None
        except CONNECTION_ERRORS as error:
            raise BadInput(f"{what}: {self.clean(root_cause(error))}") from None


def server_message(error: openai.APIStatusError) -> str:
    """The server's own words: the message field of its error body where there is one, else the body."""
    body: object = error.body
    if isinstance(body, dict):
        message = cast("dict[str, object]", body).get("message")
        if isinstance(message, str):
            return message
    return error.response.text or error.message


def root_cause(error: BaseException) -> str:
    while error.__cause__ is not None:
        error = error.__cause__
    return str(error) or type(error).__name__
