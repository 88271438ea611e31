"""A program that behaves like `vllm serve` and `vllm run-batch` from outside: arguments, log, processes, routes, files;
without a model.

    python -m tests.support.servers.fake_vllm serve MODEL --host H --port P --served-model-name NAME... [--lora-modules
    JSON...] ...
    python -m tests.support.servers.fake_vllm run-batch --model MODEL -i FILE -o FILE ...

VLLM_FAKE says what it does: nothing (serve), `die` (with an error in its log), `hang` (never ready), `deaf` (serves,
and takes no notice of SIGTERM, nor does its child), `killed:N` (is killed at the Nth chat). A batch goes to the server
at VLLM_FAKE_URL, request by request. Of batches alone, and of the Nth one: `batch-killed:N` (killed as it has written
half of its results), `orphaned:N` (kills whoever waits for it, once it has written them), `crash:N` (fails after that),
`engine:N` (its engine dies in the middle), `short:N` (leaves out the last result). VLLM_FAKE_RECORD is a file that gets
a line of JSON for each start: argv, the key, the process ids. An adapter answers B, a base A.
"""

from __future__ import annotations

import asyncio
import json
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from aiohttp import web

from tests.support.batch_worker import as_vllm, requests_in, results_of
from tests.support.servers.openai_server import Answer, Behaviour, OpenAIServer

MODE = os.environ.get("VLLM_FAKE", "")


def program(folder: Path) -> Path:
    """An executable `vllm` in `folder` that is this module."""
    path = folder / "vllm"
    path.write_text(f'#!/bin/sh\nexec {sys.executable} -m tests.support.servers.fake_vllm "$@"\n')
    path.chmod(0o755)
    return path


class FakeVllm(OpenAIServer):
    """The scripted server with the routes that vLLM has beside it."""

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        if request.path == "/health":
            return web.Response()
        if request.path == "/v1/load_lora_adapter" and os.environ.get("VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
            return await self._load(request)
        return await super()._handle(request)

    async def _load(self, request: web.BaseRequest) -> web.StreamResponse:
        body = json.loads(await request.read())
        self._record(request, body)
        if not Path(body["lora_path"]).is_dir():  # noqa: ASYNC240  one look
            message = f"No adapter found for {body['lora_path']}"
            return web.json_response({"error": {"message": message, "code": 404}}, status=404)
        self.models = [*(self.models or []), body["lora_name"]]
        return web.Response(text="Success")


def values(arguments: list[str], option: str) -> list[str]:
    """What stands after an option, up to the next one."""
    if option not in arguments:
        return []
    found: list[str] = []
    for word in arguments[arguments.index(option) + 1 :]:
        if word.startswith("--"):
            break
        found.append(word)
    return found


def answer(body: Mapping[str, Any], _seen: int) -> Behaviour:
    """B from a name with a hash in it, A from another."""
    return Answer("B" if "-" in str(body["model"]).rpartition("/")[2] else "A", delay_s=0.02)


class _Killed(FakeVllm):
    """Kills itself at the chat with the number that the mode names."""

    async def _chat(self, request: web.BaseRequest) -> web.StreamResponse:
        if len(self.chats) + 1 >= int(MODE.removeprefix("killed:")):
            os.kill(os.getpid(), signal.SIGKILL)
        return await super()._chat(request)


async def serve(arguments: list[str], key: str) -> None:
    modules = [json.loads(item)["name"] for item in values(arguments, "--lora-modules")]
    models = [*values(arguments, "--served-model-name"), *modules]
    kind = _Killed if MODE.startswith("killed:") else FakeVllm
    server = kind(answer, models=models, key=key or None)
    async with server.serving(int(values(arguments, "--port")[0])):
        await asyncio.Event().wait()


def run_batch(arguments: list[str]) -> None:
    """Answer a file as vLLM does: everything is written at the end. Like it, with an error for each request that was at
    work when the engine died."""
    requests, out = Path(values(arguments, "-i")[0]), Path(values(arguments, "-o")[0])
    served = {*values(arguments, "--served-model-name")}
    served |= {json.loads(item)["name"] for item in values(arguments, "--lora-modules")}
    assert {request["body"]["model"] for request in requests_in(requests)} <= served
    lines = [as_vllm(line) for line in results_of(requests, os.environ["VLLM_FAKE_URL"])]
    mode, _, number = MODE.partition(":")
    record = os.environ.get("VLLM_FAKE_RECORD")
    if record and number and len(Path(record).read_text().splitlines()) == int(number):
        half = len(lines) // 2
        if mode == "engine":
            lines[half:] = [_dead(line) for line in lines[half:]]
        elif mode == "short":
            del lines[-1]
        elif mode == "batch-killed":
            out.write_text("".join(lines[:half]) + lines[half][:30])
            os.kill(os.getpid(), signal.SIGKILL)
        out.write_text("".join(lines))
        if mode == "orphaned":
            os.kill(_parent(os.getppid()), signal.SIGKILL)
            time.sleep(600)  # the guard ends it
        sys.exit(1 if mode == "crash" else 0)
    out.write_text("".join(lines))


def _dead(line: str) -> str:
    said = {"message": "EngineCore encountered an issue.", "type": "InternalServerError", "param": None, "code": 500}
    response = {"status_code": 500, "request_id": "vllm-batch-1", "body": None}
    return json.dumps(json.loads(line) | {"response": response, "error": {"error": said}}) + "\n"


def _parent(pid: int) -> int:
    return int((Path("/proc") / str(pid) / "stat").read_text().rpartition(")")[2].split()[1])


def main() -> None:
    arguments = sys.argv[1:]
    key = os.environ.get("VLLM_API_KEY", "")
    if MODE == "deaf":
        signal.signal(signal.SIGTERM, signal.SIG_IGN)
    # Like an engine core: a child in the same session that does not end with its parent, in a group of its own.
    child = subprocess.Popen(["sleep", "600"], process_group=0)
    if record := os.environ.get("VLLM_FAKE_RECORD"):
        started = {"argv": arguments, "key": key, "pids": [os.getpid(), child.pid]}
        with Path(record).open("a") as file:
            file.write(json.dumps(started) + "\n")
    print("\x1b[32mINFO\x1b[0m  loading weights", flush=True)
    if arguments[0] == "run-batch":  # under a job of a cluster nobody would end it
        child.kill()
        child.wait()
    if arguments[0] == "run-batch" and MODE not in ("die", "hang"):
        run_batch(arguments)
        return
    if MODE == "die":
        print(f"the key is {key}")
        print(
            "(EngineCore pid=1) ERROR [core.py:1] ValueError: No available memory for the cache blocks\x1b]0;owned\x07"
        )
        print("RuntimeError: Engine core initialization failed. See root cause above.", flush=True)
        sys.exit(1)
    if MODE == "hang":
        time.sleep(600)
    asyncio.run(serve(arguments, key))


if __name__ == "__main__":
    main()
