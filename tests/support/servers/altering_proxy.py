"""A proxy on loopback that changes the fields of every chat request before it passes it on."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Collection, Iterator, Mapping
from typing import Any

from aiohttp import ClientSession, web


@contextlib.contextmanager
def altering_proxy(
    upstream: str, fields: Mapping[str, Any], dropped: Collection[str] = (), key: str = "none"
) -> Iterator[str]:
    """The URL of the proxy, for as long as the block lasts. `upstream` is a server's URL up to its /v1; `fields` are
    added to a request or replace its own, those `dropped` are taken away. `key` is the upstream's."""
    ready, loop, found = threading.Event(), asyncio.new_event_loop(), list[str]()

    async def serve() -> None:
        async with ClientSession(headers={"Authorization": f"Bearer {key}"}) as session:

            async def forward(request: web.Request) -> web.Response:
                sent = await request.json() if request.can_read_body else None
                body = sent and {name: value for name, value in sent.items() if name not in dropped} | dict(fields)
                path = request.path.removeprefix("/v1")
                async with session.request(request.method, f"{upstream}{path}", json=body) as reply:
                    return web.Response(body=await reply.read(), status=reply.status, content_type=reply.content_type)

            app = web.Application()
            app.router.add_route("*", "/v1/{path:.*}", forward)
            runner = web.AppRunner(app, access_log=None)
            await runner.setup()
            listening = socket.create_server(("127.0.0.1", 0))
            await web.SockSite(runner, listening).start()
            found.append(f"http://127.0.0.1:{runner.addresses[0][1]}/v1")
            ready.set()
            await closing.wait()
            loop.remove_reader(listening)
            await asyncio.sleep(0)  # asyncio forgets, unclosed, a connection accepted as its port closes
            await runner.cleanup()

    closing = asyncio.Event()
    thread = threading.Thread(target=lambda: loop.run_until_complete(serve()), daemon=True)
    thread.start()
    ready.wait()
    try:
        yield found[0]
    finally:
        loop.call_soon_threadsafe(closing.set)
        thread.join(timeout=10)
        loop.close()
