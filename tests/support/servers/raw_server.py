"""A server that answers each request with the bytes that a test gives, well-formed or not.

with RawServer(lambda path: ok(b"{}")).start() as server:
    ask(server.url)
"""

from __future__ import annotations

import asyncio
import contextlib
import ssl
import threading
from collections.abc import AsyncIterator, Callable, Iterator
from dataclasses import dataclass
from typing import TypeAlias

Bytes: TypeAlias = bytes | Callable[[], AsyncIterator[bytes]]
"""A whole reply, or the pieces of one, as they are to be written."""


@dataclass(frozen=True)
class RawRequest:
    method: str
    path: str
    headers: str
    body: bytes


def ok(body: bytes, headers: bytes = b"", status: bytes = b"200 OK") -> bytes:
    """A reply with a length, which says that the connection ends; `headers` end with a line end each."""
    length = f"Connection: close\r\nContent-Length: {len(body)}\r\n".encode()
    return b"HTTP/1.1 " + status + b"\r\nContent-Type: application/json\r\n" + headers + length + b"\r\n" + body


class RawServer:
    """`answer` gives the reply to a path. Each connection carries one request, and is closed after the reply."""

    def __init__(self, answer: Callable[[str], Bytes], tls: ssl.SSLContext | None = None) -> None:
        self.answer = answer
        self.tls = tls
        self.requests: list[RawRequest] = []
        self.url = ""

    @contextlib.contextmanager
    def start(self) -> Iterator[RawServer]:
        """Serve from a thread until the block ends."""
        started = threading.Event()
        loops: list[asyncio.AbstractEventLoop] = []
        closing = asyncio.Event()

        async def serve() -> None:
            loops.append(asyncio.get_running_loop())
            server = await asyncio.start_server(self._handle, "127.0.0.1", 0, ssl=self.tls)
            self.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}/v1"
            started.set()
            await closing.wait()
            asyncio.get_running_loop().remove_reader(server.sockets[0].fileno())
            await asyncio.sleep(0)  # asyncio forgets, unclosed, a connection accepted as its port closes
            server.close()

        thread = threading.Thread(target=lambda: asyncio.run(serve()), daemon=True)
        thread.start()
        started.wait()
        try:
            yield self
        finally:
            loops[0].call_soon_threadsafe(closing.set)
            thread.join(timeout=10)

    async def _handle(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with contextlib.suppress(ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
            lines = head.split("\r\n")
            lengths = [int(line.split(":")[1]) for line in lines if line.lower().startswith("content-length:")]
            body = await reader.readexactly(lengths[0]) if lengths else b""
            method, path, _ = lines[0].split(" ", 2)
            self.requests.append(RawRequest(method, path, head, body))
            reply = self.answer(path)
            if isinstance(reply, bytes):
                writer.write(reply)
            else:
                async for piece in reply():
                    writer.write(piece)
                    await writer.drain()
            await writer.drain()
        with contextlib.suppress(ConnectionError):
            writer.close()
