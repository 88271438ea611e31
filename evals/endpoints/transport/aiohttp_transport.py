"""The default transport: aiohttp, with nothing between it and the body of a reply.

No cookies, no redirects, no charset of a Content-Type (JSON is UTF-8), no decompression without a limit. The
connection to a reply that is not read to its end is closed.
"""

from __future__ import annotations

import aiohttp

from evals.endpoints.transport.body_decoder import ACCEPT_ENCODING, Undecodable, read_bounded, read_first_part
from evals.endpoints.transport.environment import proxy_of, trusted_certificates
from evals.endpoints.transport.transport import (
    MAX_ERROR_BODY,
    UNBOUNDED,
    ConnectionFailed,
    TimedOut,
    TransportError,
    TransportSettings,
    error_of,
    is_success,
    root_cause,
    too_large,
)

_JSON = "application/json"
_READ_BUFFER = 1 << 20
_KEEPALIVE_S = 4.0
"""Below the 5 seconds of uvicorn, so that no request goes out on a connection that the server is about to close."""


class _NoCookies(aiohttp.DummyCookieJar):
    """Does not even parse them: what a server sets may be malformed in ways that parsing raises for."""

    def update_cookies_from_headers(self, headers: object, response_url: object) -> None:
        pass


class AiohttpTransport:
    """See Transport. The session is opened by the first request."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._headers = {
            "Accept": _JSON,
            "Accept-Encoding": ACCEPT_ENCODING,
            "Content-Type": _JSON,
            **settings.headers,
        }
        self._timeout = _timeout(settings.timeout_s, settings.connect_s)
        self._no_timeout = aiohttp.ClientTimeout(total=None, sock_connect=settings.connect_s)
        self._proxy: str | None = None
        self._session: aiohttp.ClientSession | None = None

    async def post(self, url: str, body: bytes, timeout_s: float | None = None) -> str:
        return await self._ask("POST", url, body, timeout_s)

    async def get(self, url: str) -> str:
        return await self._ask("GET", url, None, None)

    async def close(self) -> None:
        if self._session is not None:
            await self._session.close()

    async def _ask(
        self, method: str, url: str, body: bytes | None, timeout_s: float | None, *, is_first: bool = True
    ) -> str:
        try:
            session = self._session or self._open()
            if timeout_s == UNBOUNDED:
                timeout = self._no_timeout
            else:
                timeout = self._timeout if timeout_s is None else _timeout(timeout_s, self._settings.connect_s)
            # A payload, since aiohttp takes longer to find the right one for bytes than to make it.
            data = None if body is None else aiohttp.BytesPayload(body, content_type=_JSON)
            sent = session.request(method, url, data=data, allow_redirects=False, proxy=self._proxy, timeout=timeout)
            async with sent as reply:
                return await self._read(reply, url)
        except TransportError:
            raise
        except TimeoutError as error:
            raise TimedOut(root_cause(error)) from None
        except aiohttp.ServerDisconnectedError as error:
            # A server may close a connection that was idle just as it is used again. Sampling has retries of its own.
            if is_first and not url.endswith("/completions"):
                return await self._ask(method, url, body, timeout_s, is_first=False)
            raise ConnectionFailed(root_cause(error)) from None
        except aiohttp.ClientConnectorError as error:
            raise ConnectionFailed(root_cause(error), refused=True) from None
        except Undecodable as error:
            raise ConnectionFailed(str(error)) from None
        # Whatever else a server makes the client raise (headers, chunks, encodings, addresses have many ways to be
        # wrong) is a failure of this request, not of the run.
        except Exception as error:
            raise ConnectionFailed(root_cause(error)) from None

    async def _read(self, reply: aiohttp.ClientResponse, url: str) -> str:
        encoding = ", ".join(reply.headers.getall("Content-Encoding", ()))
        chunks, limit = reply.content.iter_any(), self._settings.max_bytes
        try:
            if is_success(reply.status):
                if not encoding and reply.content.is_eof() and reply.content.total_bytes <= limit:
                    return _arrived(reply.content).decode("utf-8", "replace")
                body = await read_bounded(chunks, encoding, limit)
                if body is None:
                    raise too_large(limit)
                return body.decode("utf-8", "replace")
            headers = {name.lower(): value for name, value in reply.headers.items()}
            first = await read_first_part(chunks, encoding, min(limit, MAX_ERROR_BODY))
            raise error_of(reply.status, headers, first.decode("utf-8", "replace"), url)
        except BaseException:
            if not reply.content.at_eof():
                reply.close()
            raise

    def _open(self) -> aiohttp.ClientSession:
        base_url = self._settings.base_url
        self._proxy = proxy_of(base_url)
        tls = trusted_certificates() if base_url.lower().startswith("https:") else True
        self._session = aiohttp.ClientSession(
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=_KEEPALIVE_S, ssl=tls),
            headers=self._headers,
            cookie_jar=_NoCookies(),
            read_bufsize=_READ_BUFFER,
            auto_decompress=False,
        )
        return self._session


def _arrived(content: aiohttp.StreamReader) -> bytes:
    """A body that has arrived as a whole, as most do with their headers."""
    body = content.read_nowait()
    while not content.at_eof():
        body += content.read_nowait()
    return body


def _timeout(seconds: float, connect_s: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=None, sock_connect=min(connect_s, seconds), sock_read=seconds)
