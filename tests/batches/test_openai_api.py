"""The client of the Batch API, against a server with its routes, its states and its faults."""

from __future__ import annotations

import asyncio
import contextlib
import json
from collections.abc import AsyncIterator, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar

import pytest

from evals.batches.openai.api import Batch, BatchApi, UnknownToServer
from evals.endpoints.model_spec import Overrides, resolve_model
from evals.endpoints.server import Server
from evals.errors import EndpointDown, RunStopped
from tests.support.servers.batch_server import BatchServer, Cut, Ending, Fault, Lost
from tests.support.servers.openai_server import HTML, QUOTA_USED_UP, Answer, Raw, Reset, Stall, Status

_T = TypeVar("_T")
KEY = "sk-proj-0123456789abcdef0123"
TAG = {"emeval_run": "r", "emeval_shard": "0"}


@contextlib.asynccontextmanager
async def opened(url: str, *, max_total_s: float = 30.0, timeout_s: float = 20.0) -> AsyncIterator[BatchApi]:
    spec = resolve_model("openai/m", Overrides(url))
    server = Server(url, KEY, concurrency=1, timeout_s=timeout_s)
    api = BatchApi(server, spec, max_total_s=max_total_s)
    try:
        yield api
    finally:
        await api.close()
        await server.close()


@pytest.fixture(autouse=True)
def _key(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPENAI_API_KEY", KEY)


def with_api(server: BatchServer, act: Callable[[BatchApi], Coroutine[Any, Any, _T]], **options: float) -> _T:
    async def inside() -> _T:
        async with opened(server.url, **options) as api:
            return await act(api)

    return asyncio.run(inside())


def shard(folder: Path, count: int = 5) -> Path:
    path = folder / "shard.jsonl"
    lines = [
        {
            "custom_id": f"t{number}",
            "method": "POST",
            "url": "/v1/chat/completions",
            "body": {"model": "m", "messages": [{"role": "user", "content": f"Question {number}"}]},
        }
        for number in range(count)
    ]
    path.write_text("".join(json.dumps(line) + "\n" for line in lines), encoding="utf-8")
    return path


async def ended(api: BatchApi, batch: Batch) -> Batch:
    while batch.status not in ("completed", "failed", "expired", "cancelled"):
        batch = await api.retrieve(batch.id)
    return batch


def whole(folder: Path, **download: int) -> Callable[[BatchApi], Coroutine[Any, Any, list[dict[str, Any]]]]:
    """Upload, create, wait, download: the lines of the output."""

    async def act(api: BatchApi) -> list[dict[str, Any]]:
        file_id = await api.upload(shard(folder), "shard.jsonl")
        batch = await ended(api, await api.create(file_id, TAG, is_new=True))
        assert batch.output_file_id is not None
        out = folder / "out.jsonl"
        await api.download(batch.output_file_id, out, **({"max_bytes": 100_000, "least_lines": 5} | download))
        return [json.loads(line) for line in out.read_text().splitlines()]

    return act


def test_a_file_goes_up_and_its_results_come_down_in_another_order(tmp_path: Path) -> None:
    with BatchServer(Answer("so"), key=KEY).start() as server:
        found = with_api(server, whole(tmp_path))
    assert sorted(line["custom_id"] for line in found) == [f"t{number}" for number in range(5)]
    assert [line["custom_id"] for line in found] != [f"t{number}" for number in range(5)]
    assert server.batches[0]["metadata"] == TAG
    assert server.asked.total() == 5


FAULTS: list[Fault] = [
    Status(429, headers={"Retry-After": "0"}),
    Status(500),
    Status(503),
    Reset(),
    Reset(quiet=True),
    HTML,
    Raw(b'{"id": 7}'),
]


@pytest.mark.parametrize("fault", FAULTS, ids=lambda fault: str(fault)[:30])
@pytest.mark.parametrize(
    "route",
    ["POST /v1/files", "POST /v1/batches", "GET /v1/batches/{id}", "GET /v1/files/{id}", "GET /v1/files/{id}/content"],
)
def test_what_may_pass_is_asked_again_and_no_batch_is_made_twice(tmp_path: Path, route: str, fault: Fault) -> None:
    if route.endswith("content") and isinstance(fault, Raw):
        fault = Reset(midway=True)
    with BatchServer(Answer("so"), faults={route: [fault, fault]}).start() as server:
        found = with_api(server, whole(tmp_path))
    assert len(found) == 5
    assert len(server.batches) == 1
    assert server.calls.count(route) >= 3


def test_a_batch_whose_creation_was_not_heard_of_is_found_again(tmp_path: Path) -> None:
    with BatchServer(Answer("so"), faults={"POST /v1/batches": [Lost()]}).start() as server:
        assert len(with_api(server, whole(tmp_path))) == 5
    assert len(server.batches) == 1
    assert server.asked.total() == 5


def test_a_batch_is_found_by_what_it_is_tagged_with_on_any_page_of_the_list(tmp_path: Path) -> None:
    async def act(api: BatchApi) -> tuple[Batch | None, Batch | None]:
        file_id = await api.upload(shard(tmp_path), "shard.jsonl")
        mine = await api.create(file_id, TAG, is_new=True)
        for number in range(120):
            await api.create(file_id, {"emeval_run": "other", "n": str(number)}, is_new=True)
        assert (await api.create(file_id, TAG, is_new=False)).id == mine.id
        return await api.find(TAG), await api.find({"emeval_run": "nobody's"})

    with BatchServer().start() as server:
        mine, nobodys = with_api(server, act)
    assert mine is not None
    assert mine.id == server.batches[0]["id"]
    assert nobodys is None


@pytest.mark.parametrize("fault", [Cut(), Reset(midway=True)])
def test_a_file_that_is_not_whole_is_downloaded_again(tmp_path: Path, fault: Fault) -> None:
    with BatchServer(Answer("so"), faults={"GET /v1/files/{id}/content": [fault]}).start() as server:
        assert len(with_api(server, whole(tmp_path))) == 5


def test_a_file_that_stays_too_short_is_never_taken_for_whole(tmp_path: Path) -> None:
    cut = [Cut()] * 100
    with (
        BatchServer(Answer("so"), faults={"GET /v1/files/{id}/content": cut}).start() as server,
        pytest.raises(RunStopped, match="not all of it"),
    ):
        with_api(server, whole(tmp_path), max_total_s=1.0)
    assert not (tmp_path / "out.jsonl").exists()


def test_a_file_above_the_limit_is_refused(tmp_path: Path) -> None:
    with BatchServer(Answer("so")).start() as server, pytest.raises(RunStopped, match="larger than 100 bytes"):
        with_api(server, whole(tmp_path, max_bytes=100))
    assert not (tmp_path / "out.jsonl").exists()


@pytest.mark.parametrize(
    ("fault", "error", "words"),
    [
        (QUOTA_USED_UP, EndpointDown, "cannot pay"),
        (Status(401, f"Incorrect API key provided: {KEY}"), RunStopped, r"401: Incorrect API key provided: \[key\]"),
        (Status(404, "no such route"), UnknownToServer, "404: no such route"),
        (Status(400, "bad\n\x1b[31mthing"), RunStopped, "400: bad"),
        (Raw(b"", 307, headers={"Location": "https://elsewhere.example/v1/files"}), RunStopped, "redirects to"),
    ],
)
def test_what_cannot_pass_is_one_line_without_the_key(
    tmp_path: Path, fault: Fault, error: type[RunStopped], words: str
) -> None:
    with (
        BatchServer(faults={"POST /v1/files": [fault]}).start() as server,
        pytest.raises(error, match=words) as raised,
    ):
        with_api(server, lambda api: api.upload(shard(tmp_path), "shard.jsonl"))
    assert KEY not in str(raised.value)
    assert len(str(raised.value).splitlines()) == 1
    assert "\x1b" not in str(raised.value)
    assert server.calls == ["POST /v1/files"]


def test_a_server_that_stays_away_ends_it_after_the_time_of_retries(tmp_path: Path) -> None:
    with (
        BatchServer(faults={"POST /v1/files": [Stall(bare=True)] * 9}).start() as server,
        pytest.raises(RunStopped, match="no complete reply within"),
    ):
        with_api(server, lambda api: api.upload(shard(tmp_path), "s.jsonl"), max_total_s=1.0, timeout_s=0.2)


def test_the_errors_of_a_file_are_read_whatever_their_shape(tmp_path: Path) -> None:
    wrong: list[Any] = [{"code": "invalid", "message": "no good", "line": 3}, "text", {"code": 7, "line": "x"}]

    async def act(api: BatchApi) -> Batch:
        file_id = await api.upload(shard(tmp_path), "shard.jsonl")
        return await ended(api, await api.create(file_id, TAG, is_new=True))

    with BatchServer(endings=[Ending("failed", errors=wrong, states=())]).start() as server:
        failed = with_api(server, act)
    assert [(error.code, error.message, error.line) for error in failed.errors] == [
        ("invalid", "no good", 3),
        ("", "", None),
    ]


def test_a_batch_that_has_ended_is_not_cancelled(tmp_path: Path) -> None:
    async def act(api: BatchApi) -> tuple[str, str]:
        file_id = await api.upload(shard(tmp_path), "shard.jsonl")
        first = await ended(api, await api.create(file_id, TAG, is_new=True))
        second = await api.create(file_id, {"n": "2"}, is_new=True)
        return (await api.cancel(first.id)).status, (await api.cancel(second.id)).status

    with BatchServer(Answer("so")).start() as server:
        assert with_api(server, act) == ("completed", "cancelling")
