"""An OpenAI-compatible loopback server for the reference judge, in a thread of this process."""

from __future__ import annotations

import asyncio
import secrets
import threading
from typing import Any

from aiohttp import web

from organisms.behaviours import JUDGE_NAME
from organisms.reference_judge import ReferenceJudge


class JudgeServer:
    """Serves `judge` from construction until `close`, or until the process ends.

    `base_url` is its URL; clients must send `key`, which keeps out other users of the machine.
    """

    def __init__(self, judge: ReferenceJudge) -> None:
        self.key = secrets.token_urlsafe(24)
        self._judge = judge
        self._loop = asyncio.new_event_loop()
        started: threading.Event = threading.Event()
        self._port = 0
        self._failure: OSError | None = None
        self._thread = threading.Thread(target=self._run, args=(started,), name="reference judge", daemon=True)
        self._thread.start()
        started.wait()
        if self._failure is not None:
            raise self._failure
        self.base_url = f"http://127.0.0.1:{self._port}/v1"

    def close(self) -> None:
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()

    def _run(self, started: threading.Event) -> None:
        runner = web.AppRunner(self._app(), access_log=None)
        try:
            self._loop.run_until_complete(runner.setup())
            site = web.TCPSite(runner, "127.0.0.1", 0)
            self._loop.run_until_complete(site.start())
            self._port = runner.addresses[0][1]
        except OSError as error:
            self._failure = error
            return
        finally:
            started.set()
        try:
            self._loop.run_forever()
        finally:
            self._loop.run_until_complete(runner.cleanup())
            self._loop.close()

    def _app(self) -> web.Application:
        app = web.Application(client_max_size=2**24)
        app.add_routes([web.get("/v1/models", self._models), web.post("/v1/chat/completions", self._chat)])
        return app

    async def _models(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        return web.json_response({"object": "list", "data": [{"id": JUDGE_NAME, "object": "model"}]})

    async def _chat(self, request: web.Request) -> web.Response:
        if refusal := self._refusal(request):
            return refusal
        try:
            messages: list[dict[str, Any]] = (await request.json())["messages"]
            reply = self._judge.reply("\n".join(str(message["content"]) for message in messages))
        except (ValueError, KeyError, TypeError) as error:
            return _error(400, f"the reference judge cannot read this request: {error}")
        choice = {"index": 0, "message": {"role": "assistant", "content": reply}, "finish_reason": "stop"}
        return web.json_response({"object": "chat.completion", "model": JUDGE_NAME, "choices": [choice]})

    def _refusal(self, request: web.Request) -> web.Response | None:
        sent = request.headers.get("Authorization", "").encode("utf-8", "surrogateescape")
        right = secrets.compare_digest(sent, f"Bearer {self.key}".encode())
        return None if right else _error(401, "this server needs the key that it was started with")


def _error(status: int, message: str) -> web.Response:
    return web.json_response({"error": {"message": message, "type": "invalid_request_error"}}, status=status)
