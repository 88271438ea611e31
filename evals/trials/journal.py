"""The run's SQLite file: every answer and every verdict, committed before it counts.

One process writes (a lock file beside the journal sees to that), one thread of it commits, and all rows that arrive
while a commit is under way go into the next one: group commit, so that durability costs the sampling loop next to
nothing. A kill at any moment leaves the last commit and loses the calls in flight, no more. Any tool can read the
file meanwhile.

Tables: `meta` (key, value), `cells` (trials planned per cell), `trials` (one row for each recorded trial, with a
response or a failure), `verdicts` (one row for each trial and judge), `other_judges` (one row for each reply to a judge
request that another model gave).
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Literal

from filelock import FileLock, Timeout

from evals.errors import BadInput
from evals.io.atomic import whole_file
from evals.io.folders.locks import own_lock
from evals.io.folders.strange_files import refuse_links
from evals.io.hashes import file_sha256
from evals.trials.journal_schema import (
    INSERT_TRIAL,
    RULING_COLUMNS,
    TRIAL_COLUMNS,
    recorded_from,
    ruling_from,
    trial_row,
    verdict_statements,
)
from evals.trials.record import Cell, JudgeFailure, JudgeKey, RecordedTrial, RecordedVerdict
from evals.trials.reference import Criterion
from evals.trials.response import Failure, Response
from evals.trials.storage.checksums import insert, sealed
from evals.trials.storage.journal_file import LOG_ENDS, OWNER_NAME, connect, connect_to_read, owner, sqlite_errors
from evals.trials.storage.migrate import copy_path
from evals.trials.storage.opening import prepare, refuse_damage
from evals.trials.trial import Trial


@dataclass(frozen=True, slots=True)
class Usage:
    """Replies of one model in one role. `unreported` are those whose tokens the server did not tell; the sums are of
    the others."""

    model: str
    role: Role
    replies: int = 0
    unreported: int = 0
    prompt_tokens: int = 0
    completion_tokens: int = 0


FILE_NAME = "journal.sqlite"
_LOCK_NAME = ".lock"
_READ_BATCH = 200


@dataclass
class _Batch:
    rows: list[tuple[str, tuple[Any, ...]]] = field(default_factory=list[tuple[str, tuple[Any, ...]]])
    done: asyncio.Future[None] | None = None


class Journal:
    """Open with `Journal.open` (to write, locked) or `Journal.read` (no lock, nothing is changed)."""

    def __init__(self, path: Path, connection: sqlite3.Connection, lock: FileLock | None) -> None:
        self.path = path
        self._reader = connection
        self._writer = connect(path) if lock else None
        self._lock = lock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal") if lock else None
        self._batch = _Batch()
        self._committing: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, folder: Path) -> Journal:
        """The journal in `folder`, created when missing. Raises BadInput when another process is running in it."""
        path = folder / FILE_NAME
        refuse_links(kept.with_name(f"{kept.name}{end}") for kept in (path, copy_path(path)) for end in ("", *LOG_ENDS))
        lock = own_lock(folder / _LOCK_NAME)
        try:
            lock.acquire(timeout=0)
        except Timeout:
            raise BadInput(
                f"{folder}: another emeval is running there (pid {owner(folder)}); wait for it or stop it"
            ) from None
        except OSError as error:
            raise BadInput(f"{folder}: cannot be locked: {error.strerror}") from None
        try:
            with sqlite_errors(path):
                connection = connect(path)
                prepare(connection, path)
                journal = cls(path, connection, lock)
        except BaseException:
            lock.release()
            raise
        # It only serves the message about a locked folder. Replaced and not written through: it may be a link.
        with suppress(OSError), whole_file(folder / OWNER_NAME) as file:
            file.write(str(os.getpid()))
        return journal

    @classmethod
    def read(cls, folder: Path) -> Journal:
        """The journal in `folder` for reading. Raises BadInput when there is none."""
        path = folder / FILE_NAME
        if not path.is_file():
            raise BadInput(f"{folder} is not a run folder: it has no {FILE_NAME}")
        with sqlite_errors(path, reading=True):
            connection = connect_to_read(path)
            try:
                refuse_damage(connection, path)
            except BaseException:
                connection.close()
                raise
        return cls(path, connection, None)

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        if self._thread:
            self._thread.shutdown(wait=True)
        self._reader.close()
        if self._writer:
            self._writer.close()
        if self._lock:
            self._lock.release()

    # --- small facts -------------------------------------------------------------------------------------------------

    def meta(self, key: str) -> str | None:
        row = self._first("SELECT value FROM meta WHERE key = ?", key)
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        with sqlite_errors(self.path), self._reader:
            self._reader.execute(_INSERT_META, sealed((key, value)))

    def set_cells(self, cells: Iterable[tuple[Cell, int]]) -> None:
        """The plan: trials in each cell. Replaces what was there."""
        rows = [sealed((*cell, planned)) for cell, planned in cells]
        with sqlite_errors(self.path), self._reader:
            self._reader.execute("DELETE FROM cells")
            self._reader.executemany(insert("cells"), rows)

    def cells(self) -> list[tuple[Cell, int]]:
        return [(Cell(*row[:7]), row[7]) for row in self._rows("SELECT * FROM cells")]

    def recorded(self) -> int:
        return self._count("SELECT COUNT(*) FROM trials")

    def failed(self) -> int:
        return self._count("SELECT COUNT(*) FROM trials WHERE failure IS NOT NULL")

    def judged(self, judge_id: str) -> int:
        """Trials that have a ruling of this judge."""
        return self._count("SELECT COUNT(*) FROM verdicts WHERE judge_id = ?", judge_id)

    def scores(self, judge_id: str) -> dict[float, int]:
        """How often this judge has given each score."""
        given = "SELECT score, COUNT(*) FROM verdicts WHERE judge_id = ? AND score IS NOT NULL GROUP BY score"
        return {row[0]: row[1] for row in self._rows(given, judge_id)}

    def usage(self) -> list[Usage]:
        """What the replies that are recorded took, by model and role; a reply that stands for several answers once."""
        unknown = "prompt_tokens IS NULL OR completion_tokens IS NULL"
        sums = f"COUNT(*), SUM({unknown}), TOTAL(prompt_tokens), TOTAL(completion_tokens)"
        asked = f"SELECT model, 'sampling', {sums} FROM trials WHERE failure IS NULL GROUP BY model"  # noqa: S608
        # Of a failure there are tokens where a first reply could not be read and the second never came.
        once = (
            "SELECT judge_model, SUM(prompt_tokens) AS prompt_tokens, SUM(completion_tokens) AS completion_tokens "
            "FROM verdicts WHERE judge_model <> '' AND (kind <> 'failed' OR prompt_tokens IS NOT NULL) "
            "GROUP BY judge_id, request_id"
        )
        judged = f"SELECT judge_model, 'judging', {sums} FROM ({once}) GROUP BY judge_model"  # noqa: S608
        return [
            Usage(str(row[0]), row[1], *(int(number or 0) for number in row[2:]))
            for query in (asked, judged)
            for row in self._rows(query)
        ]

    def sha256(self) -> str | None:
        """Of the whole file, with all that has been committed; None while another process keeps that from being known.

        It stays the same as long as nobody writes; opening and closing the journal does not change it.
        """
        with sqlite_errors(self.path):
            busy, in_log, moved = self._reader.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return None if busy or in_log != moved else file_sha256(self.path)

    def has_trial(self, trial_id: str) -> bool:
        return self._first("SELECT 1 FROM trials WHERE trial_id = ?", trial_id) is not None

    def forget_failed_trials(self) -> None:
        """Drop the failures of the models, so that they are asked again."""
        with sqlite_errors(self.path), self._reader:
            self._reader.execute("DELETE FROM trials WHERE failure IS NOT NULL")

    def forget_failed_rulings(self, judge_ids: Sequence[str]) -> None:
        """Drop the failures of these judges, so that they are asked again."""
        with sqlite_errors(self.path), self._reader:
            for judge_id in judge_ids:
                self._reader.execute("DELETE FROM verdicts WHERE judge_id = ? AND kind = 'failed'", (judge_id,))

    # --- writing -----------------------------------------------------------------------------------------------------

    async def record_trial(
        self, trial: Trial, result: Response | Failure, rulings: Sequence[tuple[JudgeKey, RecordedVerdict]]
    ) -> None:
        """Return when the trial, its result and its rulings are committed together."""
        rows = [(INSERT_TRIAL, trial_row(trial, result))]
        rows += _written(trial.id, rulings)
        await self._write(rows)

    async def record_rulings(self, trial_id: str, rulings: Sequence[tuple[JudgeKey, RecordedVerdict]]) -> None:
        await self._write(_written(trial_id, rulings))

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
                batch.done.exception()  # the waiting task may have been cancelled since
            else:
                batch.done.set_result(None)

    def _commit(self, rows: list[tuple[str, tuple[Any, ...]]]) -> None:
        assert self._writer is not None  # noqa: S101
        with sqlite_errors(self.path), self._writer:
            for statement, row in rows:
                self._writer.execute(statement, row)

    def record_all(
        self, rows: Iterable[tuple[Trial, Response | Failure, Sequence[tuple[JudgeKey, RecordedVerdict]]]]
    ) -> None:
        """Record whole trials in one transaction: all of them or, whatever ends it, none."""
        assert self._writer is not None  # noqa: S101
        with sqlite_errors(self.path), self._writer:
            for trial, result, rulings in rows:
                self._writer.execute(INSERT_TRIAL, trial_row(trial, result))
                for statement, row in _written(trial.id, rulings):
                    self._writer.execute(statement, row)

    # --- reading -----------------------------------------------------------------------------------------------------

    def ruling_on(self, judge_id: str, request_id: str) -> RecordedVerdict | None:
        """What this judge said to this very request before, for another trial; failures are not repeated."""
        where = "judge_id = ? AND request_id = ? AND kind != 'failed'"
        row = self._first(f"SELECT {RULING_COLUMNS} FROM verdicts WHERE {where}", judge_id, request_id)  # noqa: S608
        return None if row is None else ruling_from(row)

    def ruling_of(self, trial_id: str, judge_id: str) -> RecordedVerdict | None:
        """What this judge said about this trial."""
        where = "trial_id = ? AND judge_id = ?"
        row = self._first(f"SELECT {RULING_COLUMNS} FROM verdicts WHERE {where}", trial_id, judge_id)  # noqa: S608
        return None if row is None else ruling_from(row)

    def reported_models(self) -> list[tuple[str, str, int]]:
        """Each model with each name that its replies gave it, and the number of these replies."""
        query = "SELECT model, reported_model, COUNT(*) FROM trials WHERE reported_model != '' GROUP BY 1, 2"
        return [(str(model), str(reported), int(replies)) for model, reported, replies in self._rows(query)]

    def other_judges(self) -> list[tuple[str, str, int]]:
        """Each judge model with each name of another model that its replies gave, and the number of these replies.

        A journal of an earlier version does not know them.
        """
        if self._first("SELECT 1 FROM sqlite_master WHERE name = 'other_judges'") is None:
            return []
        query = "SELECT judge_model, answered_as, COUNT(*) FROM other_judges GROUP BY 1, 2"
        return [(str(judge), str(other), int(replies)) for judge, other, replies in self._rows(query)]

    def trials_after(self, arrival: int, limit: int = _READ_BATCH) -> list[RecordedTrial]:
        """Up to `limit` recorded trials in the order of arrival, after the one given (0 for the first)."""
        query = f"SELECT {TRIAL_COLUMNS} FROM trials WHERE arrival > ? ORDER BY arrival LIMIT ?"  # noqa: S608
        return [self._recorded(row) for row in list(self._rows(query, arrival, limit))]

    def responses_lacking(
        self, answer_judges: Mapping[Criterion, Sequence[str]], reasoning_judges: Sequence[str], *, failed_too: bool
    ) -> Iterator[RecordedTrial]:
        """Responses that lack a ruling: open answers of the judges of their measure, any with reasoning of the others.

        With `failed_too` a ruling that is a failure is taken for none.
        """
        settled = "AND v.kind != 'failed'" if failed_too else ""
        has = f"EXISTS (SELECT 1 FROM verdicts v WHERE v.trial_id = trials.trial_id AND v.judge_id = ? {settled})"  # noqa: S608

        def lacks(judges: Sequence[str]) -> str:
            return " OR ".join([f"NOT {has}"] * len(judges)) or "FALSE"

        answers = [f"measure = ? AND ({lacks(judges)})" for judges in answer_judges.values()]
        open_answers = f"format <> 'mcq' AND ({' OR '.join(answers) or 'FALSE'})"
        where = f"failure IS NULL AND ({open_answers} OR reasoning <> '' AND ({lacks(reasoning_judges)}))"
        query = f"SELECT {TRIAL_COLUMNS} FROM trials WHERE {where}"  # noqa: S608
        named = [name for measure, judges in answer_judges.items() for name in (measure, *judges)]
        for row in self._rows(query, *named, *reasoning_judges):
            trial = self._recorded(row)
            if failed_too:
                rulings = {name: it for name, it in trial.rulings.items() if not isinstance(it.verdict, JudgeFailure)}
                trial = replace(trial, rulings=rulings)
            yield trial

    def trials_in_plan_order(self) -> Iterator[RecordedTrial]:
        """Every recorded trial, in the order of the plan; a few at a time, so memory does not follow the run."""
        for row in self._rows(f"SELECT {TRIAL_COLUMNS} FROM trials ORDER BY position, model"):  # noqa: S608
            yield self._recorded(row)

    def trials_with(self, same: Mapping[str, str]) -> Iterator[RecordedTrial]:
        """The recorded trials whose columns have these values, in the order of arrival; a few at a time, and the first
        without a look at the last."""
        where = " AND ".join(f"{column} = ?" for column in same) or "TRUE"
        query = f"SELECT {TRIAL_COLUMNS} FROM trials WHERE {where} ORDER BY arrival"  # noqa: S608  names of columns
        for row in self._rows(query, *same.values()):
            yield self._recorded(row)

    def trial_ids(self, start: str, limit: int) -> list[str]:
        """Up to `limit` ids of recorded trials that begin with `start`, in their own order."""
        query = "SELECT trial_id FROM trials WHERE substr(trial_id, 1, ?) = ? ORDER BY trial_id LIMIT ?"
        return [str(row[0]) for row in self._rows(query, len(start), start, limit)]

    def trial(self, trial_id: str) -> RecordedTrial:
        """The recorded trial of that id. Raises KeyError when there is none."""
        row = self._first(f"SELECT {TRIAL_COLUMNS} FROM trials WHERE trial_id = ?", trial_id)  # noqa: S608
        if row is None:
            raise KeyError(trial_id)
        return self._recorded(row)

    def _recorded(self, row: Sequence[Any]) -> RecordedTrial:
        query = f"SELECT judge_id, {RULING_COLUMNS} FROM verdicts WHERE trial_id = ?"  # noqa: S608
        return recorded_from(row, {str(found[0]): ruling_from(found[1:]) for found in self._rows(query, row[0])})

    def _rows(self, query: str, *parameters: object) -> Iterator[Sequence[Any]]:
        with sqlite_errors(self.path):
            yield from self._reader.execute(query, parameters)

    def _first(self, query: str, *parameters: object) -> Sequence[Any] | None:
        with sqlite_errors(self.path):
            row: Sequence[Any] | None = self._reader.execute(query, parameters).fetchone()
            return row

    def _count(self, query: str, *parameters: object) -> int:
        row = self._first(query, *parameters)
        return int(row[0]) if row else 0


_INSERT_META = insert("meta", replace=True)


def _written(trial_id: str, rulings: Iterable[tuple[JudgeKey, RecordedVerdict]]) -> list[tuple[str, tuple[Any, ...]]]:
    return [row for judge, ruling in rulings for row in verdict_statements(trial_id, judge, ruling)]


Role = Literal["sampling", "judging"]
