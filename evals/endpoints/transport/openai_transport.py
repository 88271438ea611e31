"""The transport through openai's client: a cross-check for reports of bugs, on the reference implementation.

It is slower, and parses cookies and redirects before anything can be done about it; what it raises for them is a
failure of the request all the same. Bodies are read with the same limits as on the default transport.
"""

from __future__ import annotations

from collections.abc import Awaitable

import aiohttp
import httpx2
import openai

from evals.endpoints.transport.body_decoder import ACCEPT_ENCODING, Undecodable, read_bounded, read_first_part
from evals.endpoints.transport.transport import (
    MAX_ERROR_BODY,
    ConnectionFailed,
    TimedOut,
    TransportError,
    TransportSettings,
    error_of,
    is_success,
    root_cause,
    too_large,
)


class OpenAITransport:
    """See Transport."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._client = openai.AsyncOpenAI(
            base_url=settings.base_url,
            api_key="none",  # the headers have it
            default_headers={**settings.headers, "Accept-Encoding": ACCEPT_ENCODING},
            max_retries=0,
            timeout=openai.Timeout(settings.timeout_s, connect=settings.connect_s),
            http_client=openai.DefaultAioHttpClient(
                follow_redirects=False, event_hooks={"response": [self._read_bounded]}
            ),
        )
        self._client.organization = self._client.project = None  # it would tell every server the user's account

    async def post(self, url: str, body: bytes, timeout_s: float | None = None) -> str:
        timeout = self._settings.timeout_s if timeout_s is None else timeout_s
        connect_s = min(timeout, self._settings.connect_s)
        return await _translated(
            self._client.post(
                url,
                cast_to=str,
                content=body,
                options={
                    "headers": {"Content-Type": "application/json"},
                    "timeout": openai.Timeout(timeout, connect=connect_s),
                },
            )
        )

    async def get(self, url: str) -> str:
        return await _translated(self._client.get(url, cast_to=str))

    async def close(self) -> None:
        await self._client.close()

    async def _read_bounded(self, reply: httpx2.Response) -> None:
        """Read the body here, so that the client gets one which is small and not encoded. Raises TransportError."""
        encoding = reply.headers.get("Content-Encoding", "")
        limit, stream = self._settings.max_bytes, reply.stream
        if not isinstance(stream, httpx2.AsyncByteStream):
            raise ConnectionFailed("the reply has no body to read")
        url = str(reply.request.url)
        if not is_success(reply.status_code):
            first = await read_first_part(stream, encoding, min(limit, MAX_ERROR_BODY))
            headers = {name.lower(): value for name, value in reply.headers.items()}
            raise error_of(reply.status_code, headers, first.decode("utf-8", "replace"), url)
        body = await read_bounded(stream, encoding, limit)
        if body is None:
            raise too_large(limit)
        await stream.aclose()
        reply.headers.pop("Content-Encoding", None)
        reply.stream = httpx2.ByteStream(body)
        reply.encoding = "utf-8"


async def _translated(sent: Awaitable[str]) -> str:
    """The text, or a TransportError in place of what the client raises."""
    try:
        return await sent
    except TransportError:
        raise
    except Undecodable as error:
        raise ConnectionFailed(str(error)) from None
    # As on the default transport: whatever a server makes the client raise is a failure of this request.
    except Exception as error:
        causes: list[BaseException] = [error]
        while causes[-1].__cause__ is not None:
            causes.append(causes[-1].__cause__)
        # The client also calls some resets a connect timeout: it is one where a time limit lies at the root.
        if isinstance(causes[-1], TimeoutError):
            raise TimedOut(root_cause(error)) from None
        refused = any(isinstance(cause, aiohttp.ClientConnectorError) for cause in causes)
        raise ConnectionFailed(root_cause(error), refused=refused) from None
