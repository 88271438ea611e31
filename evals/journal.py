"""The run's SQLite file: every answer and every verdict, committed before it counts.

One process writes (a lock file beside the journal sees to that), one thread of it commits, and all rows that arrive
while a commit is under way go into the next one: group commit, so that durability costs the sampling loop next to
nothing. A kill at any moment leaves the last commit and loses the calls in flight, no more. Any tool can read the
file meanwhile.

Tables: `meta` (key, value), `cells` (trials planned per cell), `trials` (one row for each recorded trial, with a
response or a failure), `verdicts` (one row for each trial and judge).
"""

from __future__ import annotations

import asyncio
import json
import os
import sqlite3
from collections.abc import Generator, Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from types import TracebackType
from typing import Any, NamedTuple

from filelock import FileLock, Timeout

from evals.errors import BadInput, JournalFull
from evals.records import Failure, Message, Messages, Response, Trial, wire_messages
from judges.choice import Options
from judges.verdicts import Chosen, JudgeRefused, Refused, Scored, Unreadable, Verdict

SCHEMA_VERSION = 1
FILE_NAME = "journal.sqlite"
_LOCK_NAME = ".lock"

_SCHEMA = """
CREATE TABLE IF NOT EXISTS meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS cells (
    suite TEXT NOT NULL, format TEXT NOT NULL, model TEXT NOT NULL, condition TEXT NOT NULL, trigger TEXT NOT NULL,
    prompt_id TEXT NOT NULL, planned INTEGER NOT NULL,
    PRIMARY KEY (suite, format, model, condition, trigger, prompt_id)
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS trials (
    arrival INTEGER PRIMARY KEY, trial_id TEXT NOT NULL UNIQUE, position INTEGER NOT NULL, suite TEXT NOT NULL,
    format TEXT NOT NULL, model TEXT NOT NULL, prompt_id TEXT NOT NULL, variant TEXT NOT NULL, condition TEXT NOT NULL,
    trigger TEXT NOT NULL, placement TEXT, repeat INTEGER NOT NULL, seed INTEGER NOT NULL, messages TEXT NOT NULL,
    options TEXT, recorded_at TEXT NOT NULL, attempts INTEGER NOT NULL,
    failure TEXT, failure_detail TEXT,
    raw TEXT, reasoning TEXT, answer TEXT, reasoning_state TEXT, finish_reason TEXT, refusal TEXT, reported_model TEXT,
    prompt_tokens INTEGER, completion_tokens INTEGER, latency_s REAL
);
CREATE TABLE IF NOT EXISTS verdicts (
    trial_id TEXT NOT NULL, judge_id TEXT NOT NULL, judge TEXT NOT NULL, judge_model TEXT NOT NULL, request_id TEXT
    NOT NULL, kind TEXT NOT NULL, score REAL, letter TEXT, option TEXT, mode TEXT, detail TEXT, reply TEXT,
    recorded_at TEXT NOT NULL, prompt_tokens INTEGER, completion_tokens INTEGER,
    PRIMARY KEY (trial_id, judge_id)
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS verdicts_by_request ON verdicts (judge_id, request_id);
"""

_TRIAL_COLUMNS = (
    "trial_id, position, suite, format, model, prompt_id, variant, condition, trigger, placement, repeat, seed, "
    "messages, options, recorded_at, attempts, failure, failure_detail, raw, reasoning, answer, reasoning_state, "
    "finish_reason, refusal, reported_model, prompt_tokens, completion_tokens, latency_s"
)
_TRIAL_PLACES = ", ".join("?" * (_TRIAL_COLUMNS.count(",") + 1))
_INSERT_TRIAL = f"INSERT INTO trials ({_TRIAL_COLUMNS}) VALUES ({_TRIAL_PLACES})"  # noqa: S608
_VERDICT_PLACES = ", ".join("?" * 15)
_INSERT_VERDICT = f"INSERT OR REPLACE INTO verdicts VALUES ({_VERDICT_PLACES})"  # noqa: S608
_READ_BATCH = 200


class Cell(NamedTuple):
    suite: str
    format: str
    model: str
    condition: str
    trigger: str
    prompt_id: str


class JudgeKey(NamedTuple):
    """Which judge gave a verdict: `id` hashes the rubric, the judge model and how it is read; the rest is for
    people."""

    id: str
    judge: str
    model: str


@dataclass(frozen=True, slots=True)
class JudgeFailed:
    """The judge model gave no reply; not a verdict, and never counted as one."""

    kind: str
    detail: str


@dataclass(frozen=True, slots=True)
class Ruling:
    """What one judge did with one trial: the verdict or the failure, with the judge's own words."""

    verdict: Verdict | JudgeFailed
    reply: str
    request_id: str
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


@dataclass(frozen=True, slots=True)
class RecordedTrial:
    """A row of the journal: what was asked, what came back, and (judge id -> ruling) what judges said."""

    trial_id: str
    arrival: int
    position: int
    suite: str
    format: str
    model: str
    prompt_id: str
    condition: str
    trigger: str
    repeat: int
    messages: Messages
    result: Response | Failure
    rulings: dict[str, Ruling]


def question_of(trial: RecordedTrial) -> str:
    """The prompt as the judge is shown it: the messages as sent, the only user message bare, others with their role."""
    if len(trial.messages) == 1:
        return trial.messages[0].content
    return "\n\n".join(f"[{message.role}]\n{message.content}" for message in trial.messages)


@dataclass
class _Batch:
    rows: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list[tuple[str, tuple[Any, ...]]])
    done: asyncio.Future[None] | None = None


class Journal:
    """Open with `Journal.open` (to write, locked) or `Journal.read` (no lock, nothing is changed)."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: FileLock | None) -> None:
        self.path = path
        self._reader = connection
        self._writer = _connect(path) if lock else None
        self._lock = lock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal") if lock else None
        self._batch = _Batch()
        self._committing: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, folder: Path) -> Journal:
        """The journal in `folder`, created when missing. Raises BadInput when another process is running in it."""
        path = folder / FILE_NAME
        lock = FileLock(folder / _LOCK_NAME)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BadInput(
                f"{folder}: another emeval is running there (pid {_owner(path)}); wait for it or stop it"
            ) from None
        except OSError as error:
            raise BadInput(f"{folder}: cannot be locked: {error.strerror}") from None
        try:
            with _sqlite_errors(path):
                connection = _connect(path)
                connection.executescript(_SCHEMA)
                journal = cls(path, connection, lock)
                journal._check_schema()
                journal.set_meta("pid", str(os.getpid()))
        except BaseException:
            lock.release()
            raise
        return journal

    @classmethod
    def read(cls, folder: Path) -> Journal:
        """The journal in `folder` for reading. Raises BadInput when there is none."""
        path = folder / FILE_NAME
        if not path.is_file():
            raise BadInput(f"{folder} is not a run folder: it has no {FILE_NAME}")
        with _sqlite_errors(path):
            journal = cls(path, _connect(path), None)
            journal._check_schema()
        return journal

    def __enter__(self) -> Journal:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.close()

    def close(self) -> None:
        if self._thread:
            self._thread.shutdown(wait=True)
        self._reader.close()
        if self._writer:
            self._writer.close()
        if self._lock:
            self._lock.release()

    def _check_schema(self) -> None:
        version = self.meta("schema_version")
        if version is None:
            self.set_meta("schema_version", str(SCHEMA_VERSION))
        elif version != str(SCHEMA_VERSION):
            raise BadInput(
                f"{self.path}: written by another version of emeval (schema {version}, this one has {SCHEMA_VERSION})"
            )

    # --- small facts -------------------------------------------------------------------------------------------------

    def meta(self, key: str) -> str | None:
        row = self._reader.execute("SELECT value FROM meta WHERE key = ?", (key,)).fetchone()
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        with _sqlite_errors(self.path), self._reader:
            self._reader.execute("INSERT OR REPLACE INTO meta VALUES (?, ?)", (key, value))

    def set_cells(self, cells: Iterable[tuple[Cell, int]]) -> None:
        """The plan: trials in each cell. Replaces what was there."""
        rows = ((*cell, planned) for cell, planned in cells)
        with _sqlite_errors(self.path), self._reader:
            self._reader.execute("DELETE FROM cells")
            self._reader.executemany("INSERT INTO cells VALUES (?, ?, ?, ?, ?, ?, ?)", rows)

    def cells(self) -> list[tuple[Cell, int]]:
        return [(Cell(*row[:6]), row[6]) for row in self._reader.execute("SELECT * FROM cells")]

    def planned(self) -> int:
        return int(self._reader.execute("SELECT COALESCE(SUM(planned), 0) FROM cells").fetchone()[0])

    def recorded(self) -> int:
        return int(self._reader.execute("SELECT COUNT(*) FROM trials").fetchone()[0])

    def failed(self) -> int:
        return int(self._reader.execute("SELECT COUNT(*) FROM trials WHERE failure IS NOT NULL").fetchone()[0])

    def judged(self, judge_ids: Sequence[str]) -> int:
        """Trials that have a ruling of the first of these judges: they are asked together."""
        query = "SELECT COUNT(*) FROM verdicts WHERE judge_id = ?"
        return int(self._reader.execute(query, (judge_ids[0],)).fetchone()[0]) if judge_ids else 0

    def has_trial(self, trial_id: str) -> bool:
        return self._reader.execute("SELECT 1 FROM trials WHERE trial_id = ?", (trial_id,)).fetchone() is not None

    def forget_failures(self, judge_ids: Sequence[str], *, trials: bool) -> None:
        """Drop the failures of these judges, and with `trials` those of the models, so that they are asked again."""
        with _sqlite_errors(self.path), self._reader:
            if trials:
                self._reader.execute("DELETE FROM trials WHERE failure IS NOT NULL")
            for judge_id in judge_ids:
                self._reader.execute("DELETE FROM verdicts WHERE judge_id = ? AND kind = 'failed'", (judge_id,))

    # --- writing -----------------------------------------------------------------------------------------------------

    async def record_trial(
        self, trial: Trial, result: Response | Failure, rulings: Sequence[tuple[JudgeKey, Ruling]]
    ) -> None:
        """Return when the trial, its result and its rulings are committed together."""
        rows = [(_INSERT_TRIAL, _trial_row(trial, result))]
        rows += [(_INSERT_VERDICT, _verdict_row(trial.id, judge, ruling)) for judge, ruling in rulings]
        await self._write(rows)

    async def record_rulings(self, trial_id: str, rulings: Sequence[tuple[JudgeKey, Ruling]]) -> None:
        await self._write([(_INSERT_VERDICT, _verdict_row(trial_id, judge, ruling)) for judge, ruling in rulings])

    async def _write(self, rows: list[tuple[str, tuple[Any, ...]]]) -> None:
        batch = self._batch
        batch.rows += rows
        if batch.done is None:
            batch.done = asyncio.get_running_loop().create_future()
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_batches())
        await asyncio.shield(batch.done)

    async def flush(self) -> None:
        """Return when everything handed in is committed or has failed; call it before `close`."""
        if self._committing is not None:
            await asyncio.wait([self._committing])

    async def _commit_batches(self) -> None:
        loop = asyncio.get_running_loop()
        while self._batch.rows:
            batch, self._batch = self._batch, _Batch()
            assert batch.done is not None  # noqa: S101
            try:
                await loop.run_in_executor(self._thread, self._commit, batch.rows)
            except Exception as error:
                batch.done.set_exception(error)
                batch.done.exception()  # whoever waited may have been cancelled since
            else:
                batch.done.set_result(None)

    def _commit(self, rows: list[tuple[str, tuple[Any, ...]]]) -> None:
        assert self._writer is not None  # noqa: S101
        with _sqlite_errors(self.path), self._writer:
            for statement, row in rows:
                self._writer.execute(statement, row)

    # --- reading -----------------------------------------------------------------------------------------------------

    def ruling_on(self, judge_id: str, request_id: str) -> Ruling | None:
        """What this judge said to this very request before, for another trial; failures are not repeated."""
        row = self._reader.execute(
            f"SELECT {_RULING_COLUMNS} FROM verdicts WHERE judge_id = ? AND request_id = ? AND kind != 'failed'",  # noqa: S608
            (judge_id, request_id),
        ).fetchone()
        return None if row is None else _ruling(row)

    def trials_after(self, arrival: int, limit: int = _READ_BATCH) -> list[RecordedTrial]:
        """Up to `limit` recorded trials in the order of arrival, after the one given (0 for the first)."""
        query = f"SELECT {_READ_COLUMNS} FROM trials WHERE arrival > ? ORDER BY arrival LIMIT ?"  # noqa: S608
        return [self._recorded(row) for row in self._reader.execute(query, (arrival, limit)).fetchall()]

    def freeform_lacking(self, judge_ids: Sequence[str]) -> Iterator[RecordedTrial]:
        """Freeform responses without a ruling of one of these judges; most runs that are done have none to read."""
        lacks = "NOT EXISTS (SELECT 1 FROM verdicts v WHERE v.trial_id = trials.trial_id AND v.judge_id = ?)"
        any_lacks = " OR ".join([lacks] * len(judge_ids)) or "FALSE"
        where = f"format = 'freeform' AND failure IS NULL AND ({any_lacks})"
        for row in self._reader.execute(f"SELECT {_READ_COLUMNS} FROM trials WHERE {where}", tuple(judge_ids)):  # noqa: S608
            yield self._recorded(row)

    def trials_in_plan_order(self) -> Iterator[RecordedTrial]:
        """Every recorded trial, in the order of the plan; a few at a time, so memory does not follow the run."""
        query = f"SELECT {_READ_COLUMNS} FROM trials ORDER BY position, model"  # noqa: S608
        for row in self._reader.execute(query):
            yield self._recorded(row)

    def _recorded(self, row: tuple[Any, ...]) -> RecordedTrial:
        found = self._reader.execute(f"SELECT judge_id, {_RULING_COLUMNS} FROM verdicts WHERE trial_id = ?", (row[0],))  # noqa: S608
        rulings = {str(ruling[0]): _ruling(ruling[1:]) for ruling in found}
        result = Failure(row[11], row[12], row[13]) if row[11] is not None else Response(*row[14:25], attempts=row[13])
        messages = tuple(Message(m["role"], m["content"]) for m in json.loads(row[10]))
        return RecordedTrial(*row[:10], messages=messages, result=result, rulings=rulings)


_READ_COLUMNS = (
    "trial_id, arrival, position, suite, format, model, prompt_id, condition, trigger, repeat, messages, failure, "
    "failure_detail, attempts, raw, reasoning, answer, reasoning_state, finish_reason, refusal, reported_model, "
    "prompt_tokens, completion_tokens, latency_s"
)
_RULING_COLUMNS = "kind, score, letter, option, mode, detail, reply, request_id, prompt_tokens, completion_tokens"


def _connect(path: Path) -> sqlite3.Connection:
    connection = sqlite3.connect(path, timeout=30.0, check_same_thread=False)
    connection.execute("PRAGMA journal_mode = WAL")
    # A commit survives the death of the process; the last few may go with the machine's power, and are asked again.
    connection.execute("PRAGMA synchronous = NORMAL")
    return connection


@contextmanager
def _sqlite_errors(path: Path) -> Generator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if "full" in str(error) or "disk I/O" in str(error):
            raise JournalFull(
                f"{path}: the disk took no more ({error}); free some space and resume, nothing recorded is lost"
            ) from None
        raise BadInput(f"{path}: {error}") from None
    except sqlite3.DatabaseError as error:
        raise BadInput(f"{path}: not a journal that can be read: {error}") from None


def _owner(path: Path) -> str:
    try:
        connection = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        try:
            row = connection.execute("SELECT value FROM meta WHERE key = 'pid'").fetchone()
        finally:
            connection.close()
    except sqlite3.Error:
        return "unknown"
    return str(row[0]) if row else "unknown"


def _now() -> str:
    return datetime.now(UTC).isoformat(timespec="milliseconds")


def _trial_row(trial: Trial, result: Response | Failure) -> tuple[Any, ...]:
    options = trial.options
    asked = (
        trial.id,
        trial.position,
        trial.suite,
        trial.format,
        trial.model,
        trial.prompt_id,
        trial.variant,
        trial.condition,
        trial.trigger,
        trial.placement,
        trial.repeat,
        trial.seed,
        json.dumps(wire_messages(trial.messages), ensure_ascii=False),
        None if options is None else json.dumps(_options_row(options), ensure_ascii=False),
        _now(),
        result.attempts,
    )
    match result:
        case Failure():
            return (*asked, result.kind, result.detail, *(None,) * 10)
        case Response():
            return (
                *asked,
                None,
                None,
                result.raw,
                result.reasoning,
                result.answer,
                result.reasoning_state,
                result.finish_reason,
                result.refusal,
                result.reported_model,
                result.prompt_tokens,
                result.completion_tokens,
                result.latency_s,
            )


def _options_row(options: Options) -> dict[str, str]:
    return {"A": options.a, "B": options.b, "misaligned": options.misaligned_letter}


def _verdict_row(trial_id: str, judge: JudgeKey, ruling: Ruling) -> tuple[Any, ...]:
    kind, score, letter, option, mode, detail = _verdict_fields(ruling.verdict)
    return (
        trial_id,
        *judge,
        ruling.request_id,
        kind,
        score,
        letter,
        option,
        mode,
        detail,
        ruling.reply,
        _now(),
        ruling.prompt_tokens,
        ruling.completion_tokens,
    )


def _verdict_fields(
    verdict: Verdict | JudgeFailed,
) -> tuple[str, float | None, str | None, str | None, str | None, str | None]:
    match verdict:
        case Scored(score, mode):
            return ("scored", score, None, None, mode, None)
        case Chosen(letter, option):
            return ("chosen", None, letter, option, None, None)
        case Refused():
            return ("refused", None, None, None, None, None)
        case JudgeRefused():
            return ("judge_refused", None, None, None, None, None)
        case Unreadable(reason):
            return ("unreadable", None, None, None, None, reason)
        case JudgeFailed(kind, detail):
            return ("failed", None, None, None, None, f"{kind}: {detail}")


def _ruling(row: Sequence[Any]) -> Ruling:
    kind, score, letter, option, mode, detail, reply, request_id, prompt_tokens, completion_tokens = row
    verdict: Verdict | JudgeFailed
    match kind:
        case "scored":
            verdict = Scored(score, mode)
        case "chosen":
            verdict = Chosen(letter, option)
        case "refused":
            verdict = Refused()
        case "judge_refused":
            verdict = JudgeRefused()
        case "unreadable":
            verdict = Unreadable(detail)
        case _:
            failure, _, said = str(detail).partition(": ")
            verdict = JudgeFailed(failure, said)
    return Ruling(verdict, reply, request_id, prompt_tokens, completion_tokens)
