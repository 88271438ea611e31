"""The transport of a name."""

from __future__ import annotations

from evals.endpoints.transport.transport import Transport, TransportName, TransportSettings


def open_transport(name: TransportName, settings: TransportSettings) -> Transport:
    """The transport of that name, whose package is imported only now."""
    if name == "openai":
        from evals.endpoints.transport.openai_transport import OpenAITransport

        return OpenAITransport(settings)
    from evals.endpoints.transport.aiohttp_transport import AiohttpTransport

    return AiohttpTransport(settings)
