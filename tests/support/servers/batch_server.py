"""The OpenAI-compatible server with OpenAI's Batch API beside its chats: files, batches and their states, and faults.

    with BatchServer(script).start() as server:
        ...
        assert server.batches[0]["status"] == "completed"

Every line of a batch is answered by the script of the chats, and the results come in another order than the requests.
Time passes by polls alone: each `GET /v1/batches/{id}` moves a batch on by one state. `endings` says what becomes of
the first batch, the second and so on; the last one stays. `faults` holds behaviours by route, such as
`POST /v1/batches`, used up one for each request before anything is done; None is none, `Lost` does all that is asked
and then drops the connection, `Cut` sends a file without its last bytes, as if that were all.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeAlias

from aiohttp import web

from tests.support.servers.openai_server import (
    Answer,
    Behaviour,
    OpenAIServer,
    Raw,
    Reset,
    Script,
    Stall,
    Status,
    completion_body,
    error_reply,
    wrong_key,
)

MOST_REQUESTS = 50_000
ROUTES = ("POST /v1/files", "GET /v1/files/{id}", "GET /v1/files/{id}/content", "GET /v1/batches")
ROUTES += ("POST /v1/batches", "GET /v1/batches/{id}", "POST /v1/batches/{id}/cancel")
_OPEN = frozenset({"validating", "in_progress", "finalizing", "cancelling"})


@dataclass(frozen=True)
class Ending:
    """What becomes of a batch. `share` of its requests are done by the end; the others stand in the error file, unless
    `silent`. `strange`: there is a result of no request, too. `errors` are those of a batch that fails; `states` come
    before the end, one for each poll."""

    status: str = "completed"
    share: float = 1.0
    errors: Sequence[Mapping[str, Any]] = ()
    silent: bool = False
    strange: bool = False
    states: Sequence[str] = ("validating", "in_progress", "finalizing")


@dataclass(frozen=True)
class Lost:
    """The request is done, and its reply is lost; `stalls`: it never comes."""

    stalls: bool = False


@dataclass(frozen=True)
class Cut:
    """So many bytes are missing at the end of a file."""

    missing: int = 40


Fault: TypeAlias = Behaviour | Lost | Cut


@dataclass
class Batch:
    """A batch at work: what the API shows of it, the lines asked, and the ids of those that were done."""

    shown: dict[str, Any]
    lines: list[dict[str, Any]]
    ending: Ending
    left: list[str] = field(default_factory=list)
    done: list[str] = field(default_factory=list)


class BatchServer(OpenAIServer):
    """See the module. `hold` keeps every batch in progress; `queue_limit` is the most requests in open batches,
    `largest_file` the most bytes of a file.

    `asked` counts the bodies that batches were made for, by custom id: what would have been paid.
    """

    def __init__(
        self,
        script: Script | None = None,
        *,
        endings: Sequence[Ending] = (Ending(),),
        faults: Mapping[str, Sequence[Fault | None]] | None = None,
        queue_limit: int | None = None,
        **options: Any,
    ) -> None:
        super().__init__(script, **options)
        self.endings = list(endings)
        self.faults = {route: list(steps) for route, steps in (faults or {}).items()}
        self.queue_limit = queue_limit
        self.hold = False
        self.largest_file = 300_000_000
        self.calls: list[str] = []
        self.asked: Counter[str] = Counter()
        self.bodies: list[dict[str, Any]] = []
        self._batches: dict[str, Batch] = {}
        self._files: dict[str, tuple[dict[str, Any], bytes]] = {}

    @property
    def batches(self) -> list[dict[str, Any]]:
        """The batches as the API shows them, in the order of their creation."""
        return [batch.shown for batch in self._batches.values()]

    @property
    def files(self) -> list[bytes]:
        """What the files hold, in the order of their creation."""
        return [content for _, content in self._files.values()]

    async def _handle(self, request: web.BaseRequest) -> web.StreamResponse:
        route = re.sub(r"(?<=/)(file|batch)_[^/]+", "{id}", f"{request.method} {request.path}")
        if route not in ROUTES:
            return await super()._handle(request)
        self.calls.append(route)
        if self._refuses(request):
            return error_reply(wrong_key(request))
        steps = self.faults.get(route)
        fault = steps.pop(0) if steps else None
        if isinstance(fault, Status | Raw | Stall) or (isinstance(fault, Reset) and not fault.midway):
            await request.read() if request.method == "GET" else await _drain(request)
            return await self._behave(fault, request, "")
        reply = await self._do(route, request, fault)
        if isinstance(fault, Lost):
            return await self._behave(Stall(bare=True) if fault.stalls else Reset(), request, "")
        return reply

    async def _do(self, route: str, request: web.BaseRequest, fault: Fault | None) -> web.StreamResponse:
        one = request.path.removesuffix("/content").removesuffix("/cancel").rpartition("/")[2]
        known: Mapping[str, Any] = self._files if "/files/" in route else self._batches
        if "{id}" in route and one not in known:
            return error_reply(Status(404, f"No such object: {one}", type="invalid_request_error"))
        match route:
            case "POST /v1/files":
                return await self._upload(request)
            case "GET /v1/files/{id}":
                return web.json_response(self._files[one][0])
            case "GET /v1/files/{id}/content":
                content = self._files[one][1]
                if isinstance(fault, Reset):
                    return await self._break_off(request, content)
                content = content[: -fault.missing] if isinstance(fault, Cut) else content
                return web.Response(body=content, content_type="application/octet-stream")
            case "POST /v1/batches":
                return self._create(json.loads(await request.read()))
            case "GET /v1/batches/{id}":
                self._advance(self._batches[one])
                return web.json_response(self._batches[one].shown)
            case "POST /v1/batches/{id}/cancel":
                return self._cancel(self._batches[one])
            case _:
                return self._list(request)

    async def _break_off(self, request: web.BaseRequest, content: bytes) -> web.StreamResponse:
        response = await self._begin(request, content)
        await response.write(content[: len(content) // 2])
        return await self._reset(request, Reset())

    async def _upload(self, request: web.BaseRequest) -> web.StreamResponse:
        fields: dict[str, bytes] = {}
        name = ""
        reader = await request.clone(client_max_size=self.largest_file).multipart()
        while (part := await reader.next()) is not None:
            fields[part.name or ""] = bytes(await part.read())  # type: ignore[union-attr]
            name = getattr(part, "filename", None) or name
        if fields.get("purpose") != b"batch" or not fields.get("file"):
            return error_reply(Status(400, "a file for batches has purpose=batch", type="invalid_request_error"))
        return web.json_response(self._keep(fields["file"], name, "batch"))

    def _keep(self, content: bytes, name: str, purpose: str) -> dict[str, Any]:
        file_id = f"file_{len(self._files):04}"
        shown = {"id": file_id, "object": "file", "bytes": len(content), "created_at": int(time.time())}
        shown |= {"filename": name, "purpose": purpose, "status": "processed"}
        self._files[file_id] = (shown, content)
        return shown

    def _create(self, asked: Mapping[str, Any]) -> web.Response:
        if asked.get("input_file_id") not in self._files:
            return error_reply(Status(404, "No such file", type="invalid_request_error"))
        content = self._files[asked["input_file_id"]][1]
        lines = [json.loads(line) for line in content.decode().splitlines()]
        ending = self.endings[min(len(self._batches), len(self.endings) - 1)]
        errors = [*_errors_in(lines, asked["endpoint"]), *(ending.errors if ending.status == "failed" else ())]
        in_queue = sum(len(batch.lines) for batch in self._batches.values() if batch.shown["status"] in _OPEN)
        if self.queue_limit is not None and in_queue + len(lines) > self.queue_limit:
            errors.append({"code": "token_limit_exceeded", "message": "Enqueued token limit reached", "line": None})
        if errors:
            ending = Ending("failed", errors=errors, states=("validating",))
        batch_id = f"batch_{len(self._batches):04}"
        shown = {
            **{"id": batch_id, "object": "batch", "endpoint": asked["endpoint"], "errors": None},
            **{"input_file_id": asked["input_file_id"], "completion_window": asked["completion_window"]},
            **{"status": "validating", "output_file_id": None, "error_file_id": None, "created_at": int(time.time())},
            **{"metadata": asked.get("metadata"), "request_counts": {"total": 0, "completed": 0, "failed": 0}},
        }
        self._batches[batch_id] = Batch(shown, lines, ending, list(ending.states))
        return web.json_response(shown)

    def _cancel(self, batch: Batch) -> web.Response:
        if batch.shown["status"] not in _OPEN:
            return error_reply(Status(409, f"Cannot cancel a batch with status '{batch.shown['status']}'."))
        batch.shown["status"] = "cancelling"
        batch.ending = Ending("cancelled", share=min(batch.ending.share, 0.5))
        batch.left = []
        return web.json_response(batch.shown)

    def _list(self, request: web.BaseRequest) -> web.Response:
        newest = list(reversed(self.batches))
        after, limit = request.query.get("after"), int(request.query.get("limit", "20"))
        ids = [shown["id"] for shown in newest]
        start = ids.index(after) + 1 if after in ids else 0
        page = newest[start : start + limit]
        more = start + limit < len(newest)
        return web.json_response({"object": "list", "data": page, "has_more": more})

    def _advance(self, batch: Batch) -> None:
        shown = batch.shown
        if shown["status"] not in _OPEN and shown["status"] == batch.ending.status:
            return
        if batch.left:
            shown["status"] = batch.left.pop(0)
            if shown["status"] == "in_progress":
                shown["request_counts"] = {"total": len(batch.lines), "completed": 0, "failed": 0}
            if self.hold and shown["status"] == "in_progress":
                batch.left.insert(0, "in_progress")
            return
        shown["status"] = batch.ending.status
        if batch.ending.status == "failed":
            shown["errors"] = {"object": "list", "data": list(batch.ending.errors)}
        else:
            self._finish(batch)

    def _finish(self, batch: Batch) -> None:
        """Answer the requests, in an order of the server's own, and write the files."""
        order = sorted(batch.lines, key=lambda line: hashlib.sha256(line["custom_id"].encode()).hexdigest())
        done, undone = order[: round(batch.ending.share * len(order))], order[round(batch.ending.share * len(order)) :]
        output: list[dict[str, Any]] = []
        errors: list[dict[str, Any]] = []
        for line in done:
            self.asked[line["custom_id"]] += 1
            self.bodies.append(line["body"])
            result = self._result(line)
            (output if result["response"] and result["response"]["status_code"] == 200 else errors).append(result)
        if batch.ending.strange:
            output.append({**output[0], "custom_id": "f" * 32})
        counts = {"total": len(order), "completed": len(output), "failed": len(errors)}
        if not batch.ending.silent:
            errors += [_undone(line, batch.ending.status) for line in undone]
        batch.shown["request_counts"] = counts
        for name, rows in (("output_file_id", output), ("error_file_id", errors)):
            if rows:
                content = "".join(json.dumps(row) + "\n" for row in rows).encode()
                batch.shown[name] = self._keep(content, f"{batch.shown['id']}_{name}.jsonl", "batch_output")["id"]

    def _result(self, line: Mapping[str, Any]) -> dict[str, Any]:
        body = line["body"]
        raw = json.dumps(body).encode()
        self._seen[raw] += 1
        behaviour = self._choose(body, self._seen[raw])
        status, said = 500, {"error": {"message": "the request failed", "type": "server_error", "code": None}}
        match behaviour:
            case Answer():
                status, said = 200, json.loads(completion_body(behaviour, body["model"]))
            case Status():
                error = {"message": behaviour.message, "type": behaviour.type, "code": behaviour.code}
                status, said = behaviour.status, {"error": error}
            case _:
                pass
        response = {"status_code": status, "request_id": f"req_{line['custom_id'][:8]}", "body": said}
        return {"id": f"batch_req_{line['custom_id'][:8]}", **_of(line), "response": response, "error": None}


def _of(line: Mapping[str, Any]) -> dict[str, Any]:
    return {"custom_id": line["custom_id"]}


def _undone(line: Mapping[str, Any], status: str) -> dict[str, Any]:
    code = {"expired": "batch_expired", "cancelled": "batch_cancelled"}.get(status, "request_timeout")
    error = {"code": code, "message": "This request could not be executed before the batch ended."}
    return {"id": f"batch_req_{line['custom_id'][:8]}", **_of(line), "response": None, "error": error}


def _errors_in(lines: Sequence[Mapping[str, Any]], endpoint: str) -> list[dict[str, Any]]:
    """What OpenAI finds wrong with a file of requests, the first fault of each kind."""
    found: list[dict[str, Any]] = []
    if len(lines) > MOST_REQUESTS:
        found.append({"code": "too_many_tasks", "message": "too many requests in one file", "line": None})
    seen: set[str] = set()
    models: set[str] = set()
    for number, line in enumerate(lines, 1):
        if line["custom_id"] in seen:
            found.append({"code": "duplicate_custom_id", "message": "this custom_id was used before", "line": number})
        seen.add(line["custom_id"])
        models.add(line["body"]["model"])
        if line["url"] != endpoint or line["method"] != "POST":
            found.append({"code": "mismatched_endpoint", "message": "another endpoint", "line": number})
        if len(models) > 1:
            found.append({"code": "mismatched_model", "message": "another model than in line 1", "line": number})
            break
    return found


async def _drain(request: web.BaseRequest) -> None:
    while await request.content.readany():
        pass
