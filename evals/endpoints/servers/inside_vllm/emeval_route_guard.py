"""Runs inside a `vllm serve` that emeval starts: no route but /health without the server's key.

vLLM itself asks for its key under /v1 and a few other prefixes. Its further routes (/invocations, /tokenize, /metrics
and, by version and settings, ones that scale, pause or reload the model) would be open to every user of the machine.
Only the standard library, and nothing of emeval: vLLM's own Python imports it by its name (--middleware).
"""

from __future__ import annotations

import hmac
import os
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from typing import Any

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
_Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
_App = Callable[[_Scope, _Receive, _Send], Awaitable[None]]
_OPEN = "/health"
_REFUSAL = b'{"error": "this server needs the key that it was started with"}'


class RouteGuard:
    """ASGI middleware that answers a request without the key VLLM_API_KEY with 401, whatever its route and method."""

    def __init__(self, app: _App) -> None:
        self._app = app
        self._expected = f"Bearer {os.environ['VLLM_API_KEY']}".encode()

    async def __call__(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        is_open = scope["type"] == "lifespan" or (scope.get("method") == "GET" and scope["path"] == _OPEN)
        if is_open or self._is_allowed(scope["headers"]):
            await self._app(scope, receive, send)
        elif scope["type"] == "websocket":
            await send({"type": "websocket.close", "code": 1008})
        else:
            headers = [(b"content-type", b"application/json"), (b"content-length", str(len(_REFUSAL)).encode())]
            await send({"type": "http.response.start", "status": 401, "headers": headers})
            await send({"type": "http.response.body", "body": _REFUSAL})

    def _is_allowed(self, headers: Iterable[tuple[bytes, bytes]]) -> bool:
        sent = [value for name, value in headers if name.lower() == b"authorization"]
        return len(sent) == 1 and hmac.compare_digest(sent[0], self._expected)
