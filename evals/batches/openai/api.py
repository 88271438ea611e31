"""OpenAI's Batch API, and every server with the same routes, through openai's own client.

What a server says is read with models of emeval's own, all bodies are bounded, and every request is sent again with
growing waits, as long as retries of one request may take in all. Only what cannot pass ends sooner.
"""

from __future__ import annotations

import asyncio
import sys
from collections.abc import Awaitable, Callable, Mapping
from pathlib import Path
from typing import Annotated, Any, Literal, NoReturn, Protocol, TypeVar, cast

import openai
from pydantic import BaseModel, BeforeValidator, ConfigDict, Field, ValidationError

from evals.endpoints.model_spec import ModelSpec
from evals.endpoints.retries import RetryPolicy, Transient, with_retries
from evals.endpoints.server import Server, headers_for, said_in
from evals.endpoints.transport.body_decoder import Undecodable, decoded_pieces
from evals.endpoints.transport.openai_client import open_client, translated
from evals.endpoints.transport.reply_json import Unparsable, parsed_json
from evals.endpoints.transport.transport import (
    Redirected,
    StatusError,
    TimedOut,
    TooLarge,
    TransportError,
    TransportSettings,
)
from evals.errors import BadInput, EndpointDown, RunStopped
from evals.io.atomic import whole_file
from evals.io.web.retry_after import retry_after_s
from evals.plan.manifest import Manifest
from evals.runner.by_batch.records import BatchRecord
from evals.trials.response import Failure

_T = TypeVar("_T")
_MOST_ERRORS = 20
_MOST_PAGES = 50
_PAGE = 100
_LONGEST_TAG = 500
_MAX_BYTES = 16_000_000
"""Of everything but the content of a file: a page of the list of batches is the largest."""

ENDPOINT: Literal["/v1/chat/completions"] = "/v1/chat/completions"
OPEN = frozenset({"validating", "in_progress", "finalizing", "cancelling"})
ENDED = frozenset({"completed", "failed", "expired", "cancelled"})


def _or(kind: type, fallback: Any) -> BeforeValidator:
    """A field that is `fallback` where the server sends something of another type."""
    return BeforeValidator(lambda value: value if type(value) is kind else fallback)


def _errors(value: object) -> object:
    listed = cast("dict[str, object]", value).get("data") if isinstance(value, dict) else None
    found = cast("list[object]", listed) if isinstance(listed, list) else []
    return [cast("object", one) for one in found[:_MOST_ERRORS] if isinstance(one, dict)]


def _fields(value: object) -> object:
    return cast("object", value) if isinstance(value, dict) else {}


class _Wire(BaseModel):
    model_config = ConfigDict(frozen=True, extra="ignore")


_Id = Annotated[str, Field(pattern="^[!-~]{1,2000}$")]


class BatchError(_Wire):
    """What is wrong with a file of requests; `line` counts from 1."""

    code: Annotated[str, _or(str, "")] = ""
    message: Annotated[str, _or(str, "")] = ""
    line: Annotated[int | None, _or(int, None)] = None


class RequestCounts(_Wire):
    total: Annotated[int, _or(int, 0)] = 0
    completed: Annotated[int, _or(int, 0)] = 0
    failed: Annotated[int, _or(int, 0)] = 0


class Batch(_Wire):
    """A batch as its server shows it. `status` may be a word that nobody knows yet."""

    id: _Id
    status: Annotated[str, Field(max_length=200)]
    output_file_id: _Id | None = None
    error_file_id: _Id | None = None
    created_at: Annotated[int, _or(int, 0)] = 0
    errors: Annotated[tuple[BatchError, ...], BeforeValidator(_errors)] = ()
    request_counts: Annotated[RequestCounts, BeforeValidator(_fields)] = RequestCounts()
    metadata: Annotated[dict[str, Any], BeforeValidator(_fields)] = {}


class _File(_Wire):
    id: _Id
    bytes: Annotated[int | None, _or(int, None)] = None


class _Page(_Wire):
    data: tuple[Batch, ...]
    has_more: Annotated[bool, _or(bool, False)] = False


class _Sink(Protocol):
    def write(self, data: bytes, /) -> object: ...


class UnknownToServer(RunStopped):
    """The server does not know the batch or file of that id: of another account, or deleted."""


def tags_of(manifest: Manifest, record: BatchRecord) -> dict[str, str]:
    """What the batch of a record is tagged with at its server, by which it is found again there: the run, begun when it
    was, the number in the run and the requests."""
    return {
        "emeval_run": manifest.run_id[:_LONGEST_TAG],
        "emeval_begun": manifest.created_at,
        "emeval_stage": record.stage,
        "emeval_batch": str(record.number),
        "emeval_shard": record.sha256,
    }


class FileTooLarge(RunStopped):
    """The server, or a proxy before it, takes no file of that size."""


class CannotList(UnknownToServer):
    """The server shows no list of its batches, so that one whose creation was interrupted cannot be found."""


class BatchApi:
    """The batches of one account at one server. Close it when done. Methods raise RunStopped, in one line."""

    def __init__(self, server: Server, spec: ModelSpec, *, max_total_s: float) -> None:
        self.server = server
        self._policy = RetryPolicy(max_attempts=sys.maxsize, max_total_s=max_total_s)
        settings = TransportSettings(
            server.base_url, headers_for(server.base_url, spec.key()), server.timeout_s, _MAX_BYTES
        )
        self._client = open_client(settings, streams=lambda path: path.endswith("/content"))

    async def close(self) -> None:
        await self._client.close()

    async def check(self) -> None:
        """Raises BadInput for a server that has no batches, or does not let this account see them."""
        try:
            await self._retried("the list of batches", lambda _number: self._page(1, openai.omit))
        except CannotList as error:
            raise BadInput(f"{error}; batches need a server with /files and /batches, else ask online") from None
        except RunStopped as error:
            raise BadInput(str(error)) from None

    async def upload(self, path: Path, name: str) -> str:
        """The id of a file of requests, as the server has it from now on under that name."""

        async def send(_number: int) -> str:
            with path.open("rb") as file:
                made = await translated(
                    self._client.files.with_raw_response.create(file=(name, file, "application/jsonl"), purpose="batch")
                )
            return _read(_File, made.text).id

        return await self._retried("a file of requests", send)

    async def create(self, file_id: str, metadata: Mapping[str, str], *, is_new: bool) -> Batch:
        """Have the requests of a file answered: the batch that there is with this metadata, else a new one.

        `is_new`: no earlier attempt can have made it. The reply to one may be lost, so that from the second attempt on
        the list of batches is looked through first.
        """

        async def send(number: int) -> Batch:
            found = None if is_new and number == 1 else await self._find(metadata)
            if found is not None:
                return found
            asked = self._client.batches.with_raw_response.create(
                completion_window="24h", endpoint=ENDPOINT, input_file_id=file_id, metadata=dict(metadata)
            )
            return _read(Batch, (await translated(asked)).text)

        return await self._retried("a batch", send)

    async def find(self, metadata: Mapping[str, str]) -> Batch | None:
        """The newest batch with this metadata that has not failed."""
        return await self._retried("the list of batches", lambda _number: self._find(metadata))

    async def _find(self, metadata: Mapping[str, str]) -> Batch | None:
        after: str | openai.Omit = openai.omit
        for _ in range(_MOST_PAGES):
            page = await self._page(_PAGE, after)
            for batch in page.data:
                if batch.status != "failed" and metadata.items() <= batch.metadata.items():
                    return batch
            if not page.has_more or not page.data:
                return None
            after = page.data[-1].id
        return None

    async def _page(self, limit: int, after: str | openai.Omit) -> _Page:
        """A page of the list of batches, the newest first. Raises CannotList."""
        try:
            listed = await translated(self._client.batches.with_raw_response.list(limit=limit, after=after))
        except StatusError as error:
            if error.status in (404, 405, 501):
                detail = f"{error.status}, so a batch whose creation was interrupted could not be found"
                raise CannotList(self._line("no list of batches", detail)) from None
            raise
        return _read(_Page, listed.text)

    async def retrieve(self, batch_id: str) -> Batch:
        async def send(_number: int) -> Batch:
            return _read(Batch, (await translated(self._client.batches.with_raw_response.retrieve(batch_id))).text)

        return await self._retried(f"batch {batch_id}", send)

    async def cancel(self, batch_id: str) -> Batch:
        """Cancel a batch; one that has ended by now stays as it is."""

        async def send(_number: int) -> Batch:
            try:
                said = await translated(self._client.batches.with_raw_response.cancel(batch_id))
            except StatusError as error:
                if error.status in (400, 409):
                    known = await translated(self._client.batches.with_raw_response.retrieve(batch_id))
                    batch = _read(Batch, known.text)
                    if batch.status in ENDED:
                        return batch
                raise
            return _read(Batch, said.text)

        return await self._retried(f"batch {batch_id}", send)

    async def download(self, file_id: str, path: Path, *, max_bytes: int, least_lines: int) -> None:
        """Write the content of a file to `path`, whole. Asked for again while it is shorter than the server says it is,
        or has fewer than `least_lines` lines."""

        async def send(number: int) -> None:
            shown = _read(_File, (await translated(self._client.files.with_raw_response.retrieve(file_id))).text)
            with whole_file(path) as file:
                size, lines = await translated(self._copy(file_id, file.buffer, max_bytes))
                if size != (size if shown.bytes is None else shown.bytes) or lines < least_lines:
                    detail = f"its content ends after {size:,} bytes and {lines:,} lines, which is not all of it"
                    raise Transient(Failure("broken_off", detail, number))

        await self._retried(f"file {file_id}", send)

    async def _copy(self, file_id: str, file: _Sink, max_bytes: int) -> tuple[int, int]:
        """Bytes and lines of a content that was copied. Raises TooLarge."""
        size = lines = 0
        async with self._client.files.with_streaming_response.content(file_id) as reply:
            encoding = reply.headers.get("Content-Encoding", "")
            async for piece in decoded_pieces(reply.http_response.aiter_raw(), encoding, max_bytes):
                size, lines = size + len(piece), lines + piece.count(b"\n")
                if size > max_bytes:
                    raise TooLarge(f"{max_bytes:,} bytes")
                file.write(piece)
        return size, lines

    async def _retried(self, what: str, send: Callable[[int], Awaitable[_T]]) -> _T:
        async def attempt(number: int, _place: None) -> _T:
            try:
                return await send(number)
            except (Unparsable, ValidationError):
                raise Transient(Failure("unparsable", "the reply has another shape", number)) from None
            except Redirected as error:
                self._stop(what, f"{error.status}: {error.advice}")
            except StatusError as error:
                self._failed(what, error, number)
            except TooLarge as error:
                self._stop(what, str(error))
            except TimedOut:
                detail = f"no complete reply within {self.server.timeout_s:g} s"
                raise Transient(Failure("timeout", detail, number)) from None
            except (TransportError, Undecodable) as error:
                raise Transient(Failure("connection", f"the connection failed: {error}", number)) from None

        async def no_queue() -> None:
            await asyncio.sleep(0)

        try:
            return await with_retries(attempt, self._policy, no_queue)
        except Transient as error:
            self._stop(what, error.failure.detail)

    def _failed(self, what: str, error: StatusError, number: int) -> NoReturn:
        """Raises Transient for a status that may pass, else RunStopped."""
        said = said_in(error)
        detail = f"{error.status}: {said.message}"
        if said.unpaid is not None:
            raise EndpointDown(self._line(what, f"the account cannot pay ({said.unpaid}): {detail}"))
        if error.status == 404:
            raise UnknownToServer(self._line(what, detail))
        if error.status == 413:
            raise FileTooLarge(self._line(what, detail))
        if not said.is_transient:
            self._stop(what, detail)
        raise Transient(Failure(said.kind, detail, number), retry_after_s(error.headers)) from None

    def _stop(self, what: str, detail: str) -> NoReturn:
        raise RunStopped(self._line(what, detail)) from None

    def _line(self, what: str, detail: str) -> str:
        return f"{self.server.base_url}: {self.server.clean(what)}: {self.server.clean(detail)}"


_Read = TypeVar("_Read", bound=_Wire)


def _read(kind: type[_Read], body: str) -> _Read:
    """Raises Unparsable, ValidationError and TooLarge."""
    return kind.model_validate(parsed_json(body))
