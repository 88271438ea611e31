"""openai's client, made to keep the rules of a transport: no redirect, no retry of its own, bounded bodies, and nothing
but a TransportError for whatever a server makes it raise.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import TypeVar

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

_T = TypeVar("_T")


def open_client(
    settings: TransportSettings, streams: Callable[[str], bool] = lambda _path: False
) -> openai.AsyncOpenAI:
    """The client. A success at a path for which `streams` holds comes with its body unread, for the caller to bound."""

    async def read(reply: httpx2.Response) -> None:
        if not (is_success(reply.status_code) and streams(reply.request.url.path)):
            await _read_bounded(reply, settings.max_bytes)

    client = openai.AsyncOpenAI(
        base_url=settings.base_url,
        api_key="none",  # the headers have it
        default_headers={**settings.headers, "Accept-Encoding": ACCEPT_ENCODING},
        max_retries=0,
        timeout=openai.Timeout(settings.timeout_s, connect=settings.connect_s),
        http_client=openai.DefaultAioHttpClient(follow_redirects=False, event_hooks={"response": [read]}),
    )
    client.organization = client.project = None  # it would tell every server the user's account
    return client


async def _read_bounded(reply: httpx2.Response, limit: int) -> None:
    """Read the body here, so that the client gets one which is small and not encoded. Raises TransportError."""
    encoding = reply.headers.get("Content-Encoding", "")
    stream = reply.stream
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


async def translated(sent: Awaitable[_T]) -> _T:
    """The result, or a TransportError in place of what the client raises."""
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
