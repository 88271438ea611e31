"""The transport through openai's client: a cross-check for reports of bugs, on the reference implementation.

It is slower, and parses cookies and redirects before anything can be done about it; what it raises for them is a
failure of the request all the same. Bodies are read with the same limits as on the default transport.
"""

from __future__ import annotations

import openai

from evals.endpoints.transport.openai_client import open_client, translated
from evals.endpoints.transport.transport import UNBOUNDED, TransportSettings


class OpenAITransport:
    """See Transport."""

    def __init__(self, settings: TransportSettings) -> None:
        self._settings = settings
        self._client = open_client(settings)

    async def post(self, url: str, body: bytes, timeout_s: float | None = None) -> str:
        timeout = self._settings.timeout_s if timeout_s is None else timeout_s
        connect_s = min(timeout, self._settings.connect_s)
        return await translated(
            self._client.post(
                url,
                cast_to=str,
                content=body,
                options={
                    "headers": {"Content-Type": "application/json"},
                    "timeout": openai.Timeout(None if timeout == UNBOUNDED else timeout, connect=connect_s),
                },
            )
        )

    async def get(self, url: str) -> str:
        return await translated(self._client.get(url, cast_to=str))

    async def close(self) -> None:
        await self._client.close()
