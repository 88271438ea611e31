"""`vllm serve` as a child process: one for each base model, with the adapters that are measured on it.

The server listens on a free loopback port and takes a key made up for it alone, on every route but /health, so nobody
else on the machine can use it. It runs under a guard (`evals.endpoints.servers.guard`) that ends it with everything it
started, however emeval ends. Its log goes into a file of its own in the folder for temporary files: a run folder that
could not be begun is taken away again, and the log is what tells why. It is deleted when all went well.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import re
import secrets
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import AsyncGenerator, Callable
from dataclasses import dataclass
from pathlib import Path

import aiohttp

from evals.endpoints.servers import guard
from evals.endpoints.servers.vllm_launch import ROUTE_GUARD, Launch, command, free_port
from evals.errors import BadInput, EndpointDown
from evals.io.environment import VLLM, child_environment, secrets_in
from evals.text import one_line, redact

_LOOK_EVERY_S = 0.25
_SAY_EVERY_S = 15.0
_END_S = guard.GRACE_S + 5.0
_TAIL_BYTES = 1 << 16
_TAIL_LINES = 12
_TAIL_WIDTH = 240
_ESCAPE = re.compile(r"\x1b\[[0-9;?]*[A-Za-z]")
_ERROR = re.compile(r"\b\w*(?:Error|Exception|error)\b: .+")
_NOT_THE_CAUSE = ("Engine core initialization failed", "Worker failed with error", "WorkerProc initialization failed")


@dataclass(frozen=True)
class VllmServer:
    """A server that is ready: its address, its key, and whether its process is still there."""

    base_url: str
    key: str
    has_ended: Callable[[], bool]


@contextlib.asynccontextmanager
async def running(launch: Launch, start_timeout_s: float, say: Callable[[str], None]) -> AsyncGenerator[VllmServer]:
    """The server of a launch, ready, for as long as the block lasts.

    Raises BadInput with the end of its log when it does not become ready; adds how it ended to an EndpointDown that
    comes from the block.
    """
    port = free_port()
    key = secrets.token_urlsafe(24)
    process = Process(f"vllm serve {launch.base}", command(launch, port), key)
    try:
        say(f"starting {process.name}; its log: {process.log}")
        for warning in launch.warnings:
            say(warning)
        await _until_ready(process, f"http://127.0.0.1:{port}", start_timeout_s, say)
        yield VllmServer(f"http://127.0.0.1:{port}/v1", key, process.has_ended)
    except EndpointDown as error:
        process.keep_log = True
        if await process.ends_within(1.0):
            raise EndpointDown(f"{error}; {process.end()}") from None
        raise
    finally:
        process.stop()


async def _until_ready(process: Process, root: str, timeout_s: float, say: Callable[[str], None]) -> None:
    started = said = time.monotonic()
    async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=5.0)) as session:
        while True:
            elapsed = time.monotonic() - started
            if process.has_ended():
                process.keep_log = True
                raise BadInput(f"{process.end()}{process.log_tail()}")
            if await _is_healthy(session, root):
                say(f"{process.name} is ready after {elapsed:.0f} s")
                return
            if elapsed > timeout_s:
                process.keep_log = True
                limit = (
                    f"{process.name} is not ready after {timeout_s:g} s (--vllm-start-timeout); {process.log_note()}"
                )
                raise BadInput(f"{limit}{process.log_tail()}")
            if time.monotonic() - said >= _SAY_EVERY_S:
                said = time.monotonic()
                last = process.log_lines(1)
                say(f"{process.name}: not ready after {elapsed:.0f} s{': ' + last[0] if last else ''}")
            await asyncio.sleep(_LOOK_EVERY_S)


async def _is_healthy(session: aiohttp.ClientSession, root: str) -> bool:
    try:
        async with session.get(f"{root}/health") as reply:
            return reply.status == 200
    except (aiohttp.ClientError, TimeoutError):
        return False


def _environment(key: str) -> dict[str, str]:
    """vLLM's environment: its key, where its Python finds the guard of its routes, and no key of another server.

    Without the routes for development, which would let anybody on the machine change the model.
    """
    environment = child_environment(VLLM)
    for name in ("VLLM_BASE_URL", "VLLM_API_KEY", "VLLM_SERVER_DEV_MODE", "VLLM_ALLOW_RUNTIME_LORA_UPDATING"):
        environment.pop(name, None)
    folders = [str(ROUTE_GUARD.parent), environment.get("PYTHONPATH", "")]
    own = {"NO_COLOR": "1", "PYTHONUNBUFFERED": "1", "PYTHONDONTWRITEBYTECODE": "1"}
    own |= {"PYTHONPATH": os.pathsep.join(filter(None, folders))}
    return environment | own | ({"VLLM_API_KEY": key} if key else {})


class Process:
    """vLLM under its guard, and its log. `key` is what a server asks for, "" where there is none. An `environment` is
    that of another program."""

    def __init__(
        self,
        name: str,
        words: list[str],
        key: str = "",
        *,
        environment: dict[str, str] | None = None,
        log_prefix: str = "emeval-vllm-",
    ) -> None:
        self.name = one_line(name, 120)
        self.keep_log = False
        environment = _environment(key) if environment is None else environment
        self._secrets = secrets_in(os.environ | environment)
        handle, log = tempfile.mkstemp(prefix=log_prefix, suffix=".log")
        self.log = Path(log)
        with os.fdopen(handle, "wb") as file:
            self._process = subprocess.Popen(  # noqa: S603  the user's own program
                [sys.executable, "-I", str(Path(guard.__file__)), *words],
                stdin=subprocess.PIPE,
                stdout=file,
                stderr=subprocess.STDOUT,
                env=environment,
                start_new_session=True,
            )

    def has_ended(self) -> bool:
        return self._process.poll() is not None

    @property
    def code(self) -> int | None:
        """Its exit code, 128 and the number of a signal that killed it, None while it runs."""
        return self._process.poll()

    async def ends_within(self, time_s: float) -> bool:
        deadline = time.monotonic() + time_s
        while not self.has_ended() and time.monotonic() < deadline:  # noqa: ASYNC110  nobody tells us
            await asyncio.sleep(0.05)
        return self.has_ended()

    def end(self) -> str:
        """How it ended, and why as far as its log tells."""
        code = self._process.returncode
        if code > 128 and code - 128 in {number.value for number in signal.Signals}:
            how = f"was ended by {signal.Signals(code - 128).name}"
        else:
            how = f"ended with exit code {code}"
        reason = self._reason()
        return f"{self.name} {how}{': ' + reason if reason else ''}; {self.log_note()}"

    def log_note(self) -> str:
        return f"its log: {self.log}"

    def log_tail(self) -> str:
        """The last lines of the log, each on a line of its own after a line end; empty when there are none."""
        return "".join(f"\n  | {line}" for line in self.log_lines(_TAIL_LINES))

    def log_lines(self, count: int, width: int = _TAIL_WIDTH) -> list[str]:
        """The last lines that say something, for people: printable, cut, and without keys."""
        return [one_line(line, width) for line in self._clean_lines()[-count:]]

    def stop(self) -> None:
        """End the server, and wait until it has ended. May be called twice."""
        if self._process.stdin is not None:
            self._process.stdin.close()
        try:
            self._process.wait(timeout=_END_S)
        except subprocess.TimeoutExpired:
            self._process.kill()
            self._process.wait()
        if not self.keep_log:
            self.log.unlink(missing_ok=True)

    def _reason(self) -> str:
        """The last error that the log names; a server of several processes repeats the first one's in other words."""
        found = [error[0] for line in self._clean_lines() if (error := _ERROR.search(line))]
        causes = [error for error in found if not any(words in error for words in _NOT_THE_CAUSE)]
        return one_line((causes or found or [""])[-1])

    def _clean_lines(self) -> list[str]:
        try:
            with self.log.open("rb") as file:
                file.seek(max(0, os.fstat(file.fileno()).st_size - _TAIL_BYTES))
                text = file.read().decode(errors="replace")
        except OSError:
            return []
        lines = (_ESCAPE.sub("", line.rstrip("\r").rpartition("\r")[2]) for line in text.split("\n"))
        cleaned = (one_line(line, len(line) + 1) for line in lines)
        return [self._redacted(line) for line in cleaned if line]

    def _redacted(self, text: str) -> str:
        for secret in self._secrets:
            text = redact(text, secret)
        return text
