"""`vllm run-batch` as a child process: a file of requests in, a file of results out, no server and no port."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from pathlib import Path

from evals.endpoints.servers.vllm import Process
from evals.endpoints.servers.vllm_launch import Launch, batch_command
from evals.errors import RunStopped

_LOOK_EVERY_S = 0.25
_SAY_EVERY_S = 60.0


async def run_batch(launch: Launch, requests: Path, results: Path, say: Callable[[str], None]) -> None:
    """Have `requests` answered into `results`, which vLLM writes at its end alone.

    Cancelled, it ends vLLM. Raises RunStopped, with the end of its log, where it fails.
    """
    words = [*batch_command(launch), "-i", str(requests), "-o", str(results)]
    process = Process(f"vllm run-batch {launch.base}", words)
    try:
        say(f"{process.name}: answering {requests.name}; its log: {process.log}")
        said = time.monotonic()
        while not process.has_ended():
            await asyncio.sleep(_LOOK_EVERY_S)
            if time.monotonic() - said >= _SAY_EVERY_S and (last := process.log_lines(1)):
                said = time.monotonic()
                say(f"{process.name}: {last[0]}")
        if process.code:
            process.keep_log = True
            raise RunStopped(f"{process.end()}{process.log_tail()}")
    finally:
        process.stop()
