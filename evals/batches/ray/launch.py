"""The job that asks over Ray as a child process, with Ray itself where it runs on this machine alone."""

from __future__ import annotations

import asyncio
import os
import secrets
import shutil
import sys
import tempfile
from collections.abc import Callable, Generator
from contextlib import contextmanager
from pathlib import Path

from evals.batches.ray.files import BlockFiles
from evals.batches.ray.job import SAID, VARIABLE, Job
from evals.endpoints.endpoint import Endpoint
from evals.endpoints.servers.vllm import Process
from evals.errors import RunStopped
from evals.io.environment import child_environment
from evals.io.folders.leftovers import new_folder, partial_path, remove_left_folders
from evals.plan.config import RunConfig
from evals.plan.settings.via import LOCAL_RAY

_LOOK_EVERY_S = 0.25
_LONGEST_REASON = 400
_LOCAL = {
    "RAY_USAGE_STATS_ENABLED": "0",
    "RAY_AUTH_MODE": "token",
    "RAY_BACKEND_LOG_LEVEL": "fatal",
    "RAY_prestart_worker_first_driver": "0",
    # As on macOS: every port is opened on the loopback interface. Elsewhere Ray listens on all.
    "RAY_ENABLE_WINDOWS_OR_OSX_CLUSTER": "0",
}


async def run_job(config: RunConfig, endpoint: Endpoint, files: BlockFiles, say: Callable[[str], None]) -> None:
    """Have the requests in `files` asked, until each has its line in a block. Cancelled, it ends the job.

    Raises RunStopped where it fails.
    """
    with _ray_folder(config.ray_address) as session:
        job = _job(config, endpoint, files, session)
        place = "on this machine" if config.ray_address == LOCAL_RAY else f"at {config.ray_address}"
        words = [sys.executable, "-P", "-m", "evals.batches.ray.job"]
        process = Process(f"Ray {place}", words, environment=_environment(job), log_prefix="emeval-ray-")
        try:
            say(f"{endpoint.name}: asked over {process.name}; its log: {process.log}")
            while not process.has_ended():  # noqa: ASYNC110  nobody tells us
                await asyncio.sleep(_LOOK_EVERY_S)
            if process.code:
                said = [line for line in process.log_lines(200, _LONGEST_REASON) if line.startswith(SAID)]
                if said and process.code == 3:
                    raise RunStopped(said[-1].removeprefix(SAID))
                process.keep_log = True
                why = f"{process.name}: {said[-1].removeprefix(SAID)}; {process.log_note()}" if said else process.end()
                raise RunStopped(f"{why}{'' if said else process.log_tail()}")
        finally:
            process.stop()


def _job(config: RunConfig, endpoint: Endpoint, files: BlockFiles, session: Path | None) -> Job:
    spec = endpoint.spec
    return Job(
        address=config.ray_address,
        session="" if session is None else str(session),
        requests=str(files.requests.absolute()),
        blocks=str(files.folder.absolute()),
        name=spec.name,
        provider=spec.provider,
        own=spec.own,
        served_name=spec.served_name,
        urls=spec.base_urls,
        key_variable=spec.key_variable,
        has_key=spec.key() != "none",
        concurrency=config.concurrency,
        timeout_s=config.timeout,
        max_attempts=config.max_attempts,
        max_total_s=config.max_retry_time,
        max_reply_mb=config.max_reply_mb,
        transport=config.transport,
    )


def _environment(job: Job) -> dict[str, str]:
    """What the job needs, and of secrets the model's key for a Ray that is started here, and the cluster's token."""
    needed = ["RAY_*", "RAY_AUTH_TOKEN", "RAY_AUTH_TOKEN_PATH"]
    if job.address == LOCAL_RAY:
        needed += [job.key_variable, "OPENAI_ORG_ID", "OPENAI_PROJECT_ID"]
    environment = child_environment(needed)
    if job.address == LOCAL_RAY:
        environment.pop("RAY_ADDRESS", None)
        environment |= _LOCAL | {"RAY_AUTH_TOKEN": secrets.token_hex(32)}
    return environment | {VARIABLE: job.model_dump_json()}


@contextmanager
def _ray_folder(address: str) -> Generator[Path | None]:
    """Where a local Ray keeps its sockets, logs and what memory does not hold; None for a cluster. That of a killed
    session is removed."""
    if address != LOCAL_RAY:
        yield None
        return
    # The paths of its sockets may have 107 bytes, which a folder of the user's (TMPDIR) seldom leaves.
    target = (Path("/tmp") if os.path.isdir("/tmp") else Path(tempfile.gettempdir())) / "eray"  # noqa: S108, PTH112
    remove_left_folders(target)
    part = partial_path(target)
    try:
        with new_folder(part):
            part.chmod(0o700)
            yield part
    except OSError as error:
        raise RunStopped(f"{part}: cannot be written: {error.strerror}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
