"""The process that asks over Ray: requests in, a file of results for each block that ends.

    python -m evals.batches.ray.job        its Job as JSON in the environment variable EMEVAL_RAY_JOB

It is apart from emeval so that whatever Ray starts, prints or does to signals stays here: it ends with all of it when
emeval does, even killed. Scheduling, lost workers and nodes, and the way of the data are Ray Data's. A command line
would not do for the Job: Ray keeps the one of each driver.
"""

from __future__ import annotations

import math
import os
import re
import socket
import sys
from collections.abc import Iterator, Sequence
from importlib import import_module
from logging import ERROR, getLogger
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict

from evals.batches.ray.asker import Asker, AskerSettings, WorkerUnfit, result_line
from evals.batches.ray.files import block_name, next_block
from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.providers.provider import Provider
from evals.endpoints.transport.transport import TransportName
from evals.io.atomic import whole_file
from evals.plan.settings.via import LOCAL_RAY

VARIABLE = "EMEVAL_RAY_JOB"
SAID = "emeval: "
"""What the line of the log begins with that says why no more is asked."""
_LEAST_WORKERS = 2
_LEAST_IN_BLOCK, _MOST_IN_BLOCK = 16, 256
_OBJECT_STORE = 256_000_000
"""Bytes that a local Ray keeps of blocks under way, before it puts them on the disk."""
_CONNECT_S = 10.0
_ID = re.compile(r'"custom_id":"([0-9a-f]{32})"')
_BODY = b',"body":'


class Job(BaseModel):
    """What is asked where. `session` is the folder of a local Ray's own files, "" for a cluster. See AskerSettings."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    address: str
    session: str
    requests: str
    blocks: str
    name: str
    provider: str
    own: Provider | None
    served_name: str
    urls: tuple[str, ...]
    key_variable: str
    has_key: bool
    concurrency: int
    timeout_s: float
    max_attempts: int
    max_total_s: float
    max_reply_mb: float
    transport: TransportName

    def asker(self, workers: int) -> Asker:
        spec = ModelSpec(self.name, self.provider, self.served_name, None, self.key_variable, own=self.own).at(
            self.urls
        )
        settings = AskerSettings(
            spec=spec,
            has_key=self.has_key,
            concurrency=math.ceil(self.concurrency / workers),
            timeout_s=self.timeout_s,
            max_attempts=self.max_attempts,
            max_total_s=self.max_total_s,
            max_reply_mb=self.max_reply_mb,
            transport=self.transport,
        )
        return Asker(settings)


class ServerDown(Exception):
    """Why no further request would be answered."""


def main() -> int:
    job = Job.model_validate_json(os.environ.pop(VARIABLE))
    ray: Any = import_module("ray")
    try:
        _connect(ray, job)
        _ask(ray, job)
    except ServerDown as error:
        _say(str(error))
        return 3
    except Exception as error:
        _say(_reason(error))
        raise
    finally:
        ray.shutdown()
    return 0


def _connect(ray: Any, job: Job) -> None:
    """Be a driver of the cluster, or start a Ray here."""
    quiet = {"log_to_driver": False, "logging_level": "ERROR"}
    if job.address == LOCAL_RAY:
        own = {"include_dashboard": False, "num_cpus": _LEAST_WORKERS + 1, "object_store_memory": _OBJECT_STORE}
        ray.init(address="local", _temp_dir=job.session, **own, **quiet)
        return
    if job.address != "auto":  # Ray itself would wait for minutes
        host, _, port = job.address.rpartition(":")
        with socket.create_connection((host.strip("[]"), int(port)), timeout=_CONNECT_S):
            pass
    ray.init(address=job.address, **quiet)


def _ask(ray: Any, job: Job) -> None:
    """Map the requests over the workers, and write each block as it comes. Raises ServerDown."""
    data: Any = import_module("ray.data")
    llm: Any = import_module("ray.data.llm")
    getLogger("ray.data").setLevel(ERROR)
    data.DataContext.get_current().enable_progress_bars = False
    nodes = sum(1 for node in ray.nodes() if node["Alive"])
    workers = min(job.concurrency, max(_LEAST_WORKERS, nodes))
    # Ray Data gives an actor four blocks at a time: twice what its limit lets through, as the last of a block lag.
    rows = max(_LEAST_IN_BLOCK, min(_MOST_IN_BLOCK, math.ceil(job.concurrency / workers) * len(job.urls) // 2))
    config = llm.HttpRequestProcessorConfig(
        url="emeval",  # unused: the session knows its servers
        batch_size=rows,
        concurrency=(workers, workers),
        session_factory=job.asker(workers),
    )
    processor = llm.build_processor(config, preprocess=_as_it_is, postprocess=_lined)
    requests = list(_requests(Path(job.requests)))
    asked = data.from_items(requests, override_num_blocks=math.ceil(len(requests) / rows))
    folder = Path(job.blocks)
    number = next_block(folder)
    for block in processor(asked).iter_batches(batch_size=None, batch_format="pyarrow", prefetch_batches=0):
        found: list[dict[str, str]] = block.to_pylist()
        _write(folder / block_name(number), [row["line"] for row in found if not row["down"]])
        number += 1
        if down := next((row["down"] for row in found if row["down"]), ""):
            raise ServerDown(down)


def _requests(path: Path) -> Iterator[dict[str, str]]:
    """The requests of a file that emeval has written: their ids, and their bodies to the byte."""
    with path.open("rb") as file:
        for line in file:
            head, _, body = line.rstrip(b"\n").partition(_BODY)
            found = _ID.search(head.decode())
            assert found is not None  # noqa: S101
            yield {"custom_id": found[1], "payload": body[:-1].decode()}


def _as_it_is(row: dict[str, Any]) -> dict[str, Any]:
    return row


def _lined(row: dict[str, Any]) -> dict[str, str]:
    """On a worker: the line of results of a request, and why no more would be answered."""
    outcome = row["http_response"]
    return {"line": "" if outcome["down"] else result_line(row["custom_id"], outcome), "down": outcome["down"]}


def _write(path: Path, lines: Sequence[str]) -> None:
    if lines:
        with whole_file(path) as file:
            file.writelines(f"{line}\n" for line in lines)


def _say(text: str) -> None:
    sys.stderr.write(f"\n{SAID}{' '.join(text.split())}\n")


def _reason(error: BaseException) -> str:
    """What an error of Ray says, in one line: of a task's, the last words of its traceback."""
    text = str(error).strip()
    if unfit := re.search(rf"{WorkerUnfit.__name__}: (.+)", text):
        return unfit[1]
    if "No module named 'evals'" in text:
        return "emeval is not installed on a node; install it there, in the same version"
    last = text.splitlines()[-1] if text else ""
    return f"{type(error).__name__}: {last}" if last else type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
