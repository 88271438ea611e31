"""Batches from their files of requests to the last result in the journal: written, uploaded, created, taken.

What a step needs of the one before stands in the journal first, so that after a kill at any moment the next session
goes on with the same files and batches. Only a batch whose creation was under way has to be looked for at the server.
"""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple, cast

from evals.batches.openai.api import ENDED, OPEN, Batch, BatchApi, CannotList, FileTooLarge, UnknownToServer, tags_of
from evals.batches.openai.files import BatchFiles
from evals.batches.openai.stages import BatchStage, Returned, Taken
from evals.batches.results import Results, opened
from evals.batches.shard import LIMITS
from evals.errors import BadInput, RunStopped
from evals.numbers import counted
from evals.plan.manifest import Manifest
from evals.plan.provenance import now
from evals.runner.by_batch.records import BatchRecord, Records
from evals.text import one_line

_NO_ROOM = (
    "the account's limit of queued tokens has no room even for this; other batches of the account may be in its queue"
)
_QUEUE_IS_FULL = "token_limit_exceeded"
_MOST_BYTES = 8_000_000_000


class Pace(NamedTuple):
    """Seconds between two looks at the batches: the first, the most, and between two lines about how far they are."""

    first_s: float = 0.5
    most_s: float = 60.0
    say_s: float = 60.0


class RoundSettings(NamedTuple):
    """`shard` is the most requests in a file."""

    max_attempts: int
    max_reply_mb: float
    shard: int = LIMITS["openai"].requests
    pace: Pace = Pace()


class _Ended(NamedTuple):
    record: BatchRecord
    batch: Batch


class Rounds:
    """The batches of one stage of a run, of one model or several."""

    def __init__(
        self,
        stages: Sequence[tuple[BatchStage, BatchApi]],
        records: Records,
        folder: Path,
        manifest: Manifest,
        settings: RoundSettings,
    ) -> None:
        self._stages = {stage.endpoint.name: (stage, api) for stage, api in stages}
        self._records = records
        self._files = BatchFiles(folder)
        self._manifest = manifest
        self._settings = settings
        self._fresh: set[int] = set()  # uploaded by this session, and never tried to be created
        self._problems: list[str] = []

    @property
    def _stage(self) -> BatchStage:
        return next(iter(self._stages.values()))[0]

    def at_work(self) -> list[BatchRecord]:
        """The batches that are at their server now."""
        return [record for record in self._open() if record.state == "created"]

    async def run(self, *, begin: bool) -> None:
        """Go on with the batches that there are, then ask everything that is pending, until nothing is. Not `begin`:
        no new batch is begun, and a file that no batch was made of is given up. Raises RunStopped."""
        for record in self._records:
            if not record.is_open:
                self._files.remove(record)  # that of a session which was killed
        await self._prune(begin=begin)
        await self._through(self._open())
        while begin and (written := await self._write()):
            await self._through(written)
        self._files.remove_folder()

    def _open(self) -> list[BatchRecord]:
        return self._records.open_ones(self._stage.stage, self._stages)

    # --- files of requests -------------------------------------------------------------------------------------------

    async def _write(self) -> list[BatchRecord]:
        """Everything that is pending, in files. Raises BadInput for what cannot be asked."""
        written: list[BatchRecord] = []
        for stage, _ in self._stages.values():
            await stage.settle()
            lines: list[bytes] = []
            size = 0
            for _, line in stage.lines():
                is_full = size + len(line) + 1 > LIMITS["openai"].size or len(lines) == self._settings.shard
                if lines and is_full:
                    written.append(self._write_shard(stage, lines))
                    lines, size = [], 0
                lines.append(line)
                size += len(line) + 1
            if lines:
                written.append(self._write_shard(stage, lines))
        return written

    def _write_shard(self, stage: BatchStage, lines: Sequence[bytes]) -> BatchRecord:
        """A file of requests, and its entry in the journal."""
        number = self._records.next_number()
        name = f"{number:04}.jsonl"
        record = BatchRecord(
            number=number,
            stage=stage.stage,
            model=stage.endpoint.name,
            base_url=stage.endpoint.server.base_url,
            file=name,
            sha256=self._files.write(name, lines),
            requests=len(lines),
        )
        return self._records.put(record)

    async def _prune(self, *, begin: bool) -> None:
        """Give up files that have changed or are gone before anything was asked, and, not `begin`, all that no batch
        was made of."""
        for record in self._open():
            if record.state == "created":
                self._check_server(record)
            elif record.state == "written" and not (begin and self._files.is_whole(record)):
                self._drop(record)
            elif record.state == "uploaded" and not begin:
                batch = await self._api(record).find(tags_of(self._manifest, record))
                if batch is None:
                    self._drop(record)
                else:
                    self._created(record, batch)

    def _check_server(self, record: BatchRecord) -> None:
        url = self._stages[record.model][0].endpoint.server.base_url
        if record.base_url != url:
            raise BadInput(
                f"{record.model}: batch {record.id} is at {record.base_url}, and this model is asked at {url} now; "
                "give the URL of the batch"
            )

    def _drop(self, record: BatchRecord) -> None:
        self._records.update(record, state="dropped")
        self._files.remove(record)

    # --- at the server -----------------------------------------------------------------------------------------------

    def _api(self, record: BatchRecord) -> BatchApi:
        return self._stages[record.model][1]

    def _say(self, text: str) -> None:
        self._stage.endpoint.server.tell(text)

    async def _through(self, records: Sequence[BatchRecord]) -> None:
        """All of these from where they are to their end. Raises RunStopped for the first that failed or was cancelled,
        once the others have ended."""
        queue, waiting, held = list(records), dict[int, BatchRecord](), list[BatchRecord]()
        pause, alone = _Pause(self._settings.pace), set[int]()
        while queue or waiting or held:
            if len(queue) == 1 and not waiting:
                alone.add(queue[0].number)
            for record in queue:
                try:
                    created = await self._submitted(record)
                except FileTooLarge as error:
                    held += self._halves(record, str(error))
                    continue
                if created is not None:
                    waiting[record.number] = created
            ended = await self._look(waiting, pause)
            full = [one for one in ended if _is_queue_full(one.batch)]
            for one in ended:
                del waiting[one.record.number]
                if one not in full:
                    await self._take(one)
            for one in full:
                # Where none of our requests was in the queue, only a smaller file can find room there.
                record = self._back(one)
                held += self._halves(record, _NO_ROOM) if record.number in alone else [record]
            has_room = not waiting or len(ended) > len(full)
            queue = held[: len(held) if waiting else 1] if has_room else []
            held = held[len(queue) :]
            if waiting or queue:
                await asyncio.sleep(pause.next_s())
        if self._problems:
            raise RunStopped(self._problems[0])

    async def _submitted(self, record: BatchRecord) -> BatchRecord | None:
        """The record of the batch at its server; None for a file that the server has lost before a batch was made."""
        self._check_server(record)
        api = self._api(record)
        if record.state == "written":
            file_id = await api.upload(self._files.requests(record), record.file)
            record = self._records.update(record, state="uploaded", file_id=file_id)
            self._fresh.add(record.number)
        if record.state == "uploaded":
            is_new = record.number in self._fresh
            self._fresh.discard(record.number)
            try:
                batch = await api.create(record.file_id, tags_of(self._manifest, record), is_new=is_new)
            except CannotList:
                raise  # a batch may be there: another one could be paid twice
            except UnknownToServer as error:
                self._drop(record)
                self._problems.append(str(error))
                return None
            record = self._created(record, batch)
            self._say(f"batch {record.id}: {counted(record.requests, 'request')} to {record.model}, within 24 hours")
        return record

    def _created(self, record: BatchRecord, batch: Batch) -> BatchRecord:
        return self._records.update(record, state="created", id=batch.id, status=batch.status, created_at=now())

    async def _look(self, waiting: dict[int, BatchRecord], pause: _Pause) -> list[_Ended]:
        """Look at each batch once; those that have ended. `waiting` is kept up to date."""
        ended: list[_Ended] = []
        counts = [0, 0, 0]
        for record in list(waiting.values()):
            try:
                batch = await self._api(record).retrieve(record.id)
            except UnknownToServer as error:
                raise RunStopped(
                    f"{error}: is the key that of another account? A batch that is gone for good is given up with "
                    "`emeval batch cancel --forget`"
                ) from None
            if batch.status != record.status:
                pause.note_news()
                record = waiting[record.number] = self._records.update(record, status=batch.status)
            if batch.status in ENDED:
                ended.append(_Ended(record, batch))
            elif batch.status not in OPEN:
                api = self._api(record)
                word = api.server.clean(batch.status)[:60]
                api.server.say_once(f"batch {record.id}: has the status {word!r}, which is not known: waiting on")
            for place, count in enumerate((batch.request_counts.completed, batch.request_counts.failed)):
                counts[place] += count
            counts[2] += record.requests
        if len(ended) < len(waiting) and pause.is_time_to_say(counts):
            done, failed, total = counts
            self._say(f"batches: {len(waiting)} at work, {done:,} of {total:,} requests done, {failed:,} failed")
        return ended

    # --- a queue that is full ----------------------------------------------------------------------------------------

    def _back(self, one: _Ended) -> BatchRecord:
        """The file of a batch that found no room in the account's queue, to be tried again."""
        said = next(error.message for error in one.batch.errors if error.code == _QUEUE_IS_FULL)
        server = self._api(one.record).server
        server.say_once(f"{server.base_url}: {server.clean(said)}; waiting for room", about=_QUEUE_IS_FULL)
        return self._records.update(one.record, state="uploaded", id="", status="")

    def _halves(self, record: BatchRecord, why: str) -> list[BatchRecord]:
        """The requests of a file that is too large as two files. Raises RunStopped, which says why, for a single
        request."""
        stage = self._stages[record.model][0]
        lines = self._files.lines(record)
        if len(lines) == 1:
            raise RunStopped(f"{stage.endpoint.server.base_url}: one request to {record.model}: {why}")
        middle = (len(lines) + 1) // 2
        halves = [self._write_shard(stage, part) for part in (lines[:middle], lines[middle:]) if part]
        self._drop(record)
        return halves

    # --- results -----------------------------------------------------------------------------------------------------

    async def _take(self, one: _Ended) -> None:
        record, batch = one
        if batch.status == "failed":
            self._records.update(record, state="failed")
            self._files.remove(record)
            self._problems.append(_failure_words(self._api(record), record, batch))
            return
        stage, api = self._stages[record.model]
        paths = await self._download(record, batch)
        most = self._settings.max_reply_mb
        try:
            with opened(paths) as files:
                results = Results(files, api.server.tell, max_reply_mb=most)
                ids = self._files.ids(record) or frozenset(results.ids())
                strange = sum(custom_id not in ids for custom_id in results.ids())
                if strange:
                    self._say(f"batch {record.id}: results of no request in it, which are left out: {strange:,}")
                before = self._records.attempts(record.stage)
                is_cancelled = batch.status == "cancelled"
                returned = Returned(ids, results, before, self._settings.max_attempts, is_cancelled)
                taken = await stage.take(returned)
                tokens = _tokens(results)
        except BadInput as error:
            raise RunStopped(f"batch {record.id}: {error}") from None
        unanswered = () if is_cancelled else tuple(taken.again)
        self._records.update(
            record, state="collected", unanswered=unanswered, prompt_tokens=tokens[0], completion_tokens=tokens[1]
        )
        self._files.remove(record)
        self._say(_taken_words(record, batch, taken))
        if is_cancelled:
            self._problems.append(f"batch {record.id} was cancelled; what was done by then is recorded")

    async def _download(self, record: BatchRecord, batch: Batch) -> list[Path]:
        """The files of results, as far as there are any, one of which may be that of errors."""
        found: list[Path] = []
        most = min(int(record.requests * self._settings.max_reply_mb * 1e6), _MOST_BYTES)
        claims = (batch.request_counts.completed, batch.request_counts.failed)
        file_ids = (batch.output_file_id, batch.error_file_id)
        for file_id, path, claim in zip(file_ids, self._files.results(record), claims, strict=True):
            if file_id is not None:
                least = claim if batch.status == "completed" else 0
                with self._files.writing():
                    await self._api(record).download(file_id, path, max_bytes=most, least_lines=least)
                found.append(path)
        return found


class _Pause:
    """How long to wait before the next look: longer while nothing happens."""

    def __init__(self, pace: Pace) -> None:
        self._pace = pace
        self._next_s = pace.first_s
        self._said_at = asyncio.get_running_loop().time()
        self._counts: list[int] = []

    def note_news(self) -> None:
        self._next_s = self._pace.first_s

    def next_s(self) -> float:
        pause_s, self._next_s = self._next_s, min(1.5 * self._next_s, self._pace.most_s)
        return pause_s

    def is_time_to_say(self, counts: list[int]) -> bool:
        at = asyncio.get_running_loop().time()
        if counts == self._counts or at - self._said_at < self._pace.say_s:
            return False
        self._said_at, self._counts = at, list(counts)
        return True


def _is_queue_full(batch: Batch) -> bool:
    return batch.status == "failed" and any(error.code == _QUEUE_IS_FULL for error in batch.errors)


def _failure_words(api: BatchApi, record: BatchRecord, batch: Batch) -> str:
    first = next(iter(batch.errors), None)
    if first is None:
        return f"batch {record.id} failed, and {api.server.base_url} does not say why"
    where = "" if first.line is None else f"line {first.line}: "
    said = api.server.clean(first.message or first.code)
    more = f" (and {len(batch.errors) - 1} more)" if len(batch.errors) > 1 else ""
    return f"batch {record.id} failed: {record.file}: {where}{said}{more}"


def _taken_words(record: BatchRecord, batch: Batch, taken: Taken) -> str:
    again = f", {len(taken.again):,} to be asked again" if taken.again else ""
    failed = f" ({taken.failed:,} as failed)" if taken.failed else ""
    return f"batch {one_line(record.id, 80)} {batch.status}: {taken.recorded:,} recorded{failed}{again}"


def _tokens(results: Results) -> tuple[int, int]:
    """The tokens of the prompts and of the replies in results, as far as the server told them."""
    prompt = completion = 0
    for custom_id in results.ids():
        usage = _fields(_fields(_fields(results.read(custom_id).get("response")).get("body")).get("usage"))
        prompt += _count(usage.get("prompt_tokens"))
        completion += _count(usage.get("completion_tokens"))
    return prompt, completion


def _fields(value: object) -> Mapping[str, Any]:
    return cast("dict[str, Any]", value) if isinstance(value, dict) else {}


def _count(value: object) -> int:
    return value if type(value) is int and value >= 0 else 0
