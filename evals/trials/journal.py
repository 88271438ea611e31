"""The run's SQLite file: every answer and every verdict, committed before it counts.

One process writes (a lock file beside the journal sees to that), one thread of it commits, and all rows that arrive
while a commit is under way go into the next one: group commit, so that durability costs the sampling loop next to
nothing. A kill at any moment leaves the last commit and loses the calls in flight, no more. Any tool can read the
file meanwhile.

Other tools read `meta` (key, value), `cells` (trials planned per cell) and the views `trials` (one row for each
recorded trial, with a response or a failure) and `verdicts` (one row for each trial and judge). What these are made of
is in `storage/schema.py`.
"""

from __future__ import annotations

import asyncio
import os
import sqlite3
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

from filelock import FileLock

from evals.errors import BadInput
from evals.io.atomic import whole_file
from evals.io.folders.strange_files import refuse_links
from evals.io.hashes import file_sha256
from evals.trials.journal_reading import READ_BATCH, Reading, StoredTrials
from evals.trials.journal_schema import Rulings, now, store_rulings, store_trial
from evals.trials.record import Cell, JudgeFailure, RecordedTrial, RecordedVerdict, Usage
from evals.trials.reference import Criterion
from evals.trials.response import Failure, Response
from evals.trials.storage import queries
from evals.trials.storage.checking import LARGE, Aside, Check, ChildCheck
from evals.trials.storage.journal_file import LOG_ENDS, OWNER_NAME, connect, locked, sqlite_errors
from evals.trials.storage.migrate import copy_paths
from evals.trials.storage.opening import open_to_read, prepare
from evals.trials.storage.store import Store
from evals.trials.storage.texts import packed_id
from evals.trials.trial import Trial

FILE_NAME = "journal.sqlite"
_Found = TypeVar("_Found")
_Ids = Sequence[str]
_LEAST_INTERVAL_S = 0.01
"""Seconds from one commit to the next while rows keep arriving. Each costs two switches of threads, and as much as
recording about ten rows."""


class _Arrived(NamedTuple):
    """What is to be recorded: a trial with its result and rulings, or rulings on a trial that is recorded."""

    trial: Trial | str
    result: Response | Failure | None
    rulings: Rulings
    at: int


class Journal:
    """Open with `Journal.open` (to write, locked) or `Journal.read` (no lock, nothing is changed)."""

    def __init__(
        self, path: Path, file: sqlite3.Connection, copy: sqlite3.Connection | None, lock: FileLock | None
    ) -> None:
        self.path = path
        self._file = file
        self._reader = copy or file
        self._reading = Reading(self._reader)
        self._writer = connect(path) if lock else None
        self._store = Store(self._writer) if self._writer else None
        self._lock = lock
        self._thread = ThreadPoolExecutor(max_workers=1, thread_name_prefix="journal") if lock else None
        self._waiting: list[tuple[_Arrived, asyncio.Future[None]]] = []
        self._next_commit = 0.0
        self._check: Check | ChildCheck | None = None
        self._aside: list[Aside[Any] | ChildCheck] = []
        self._committing: asyncio.Task[None] | None = None

    @classmethod
    def open(cls, folder: Path, large: int = LARGE) -> Journal:
        """The journal in `folder`, created when missing; one of `large` trials or more is verified while it is used.

        Raises BadInput when another process is running in it.
        """
        path = folder / FILE_NAME
        files = (path, *copy_paths(path))
        refuse_links(file.with_name(f"{file.name}{end}") for file in files for end in ("", *LOG_ENDS))
        lock = locked(folder)
        try:
            with sqlite_errors(path):
                connection = connect(path)
                is_large = prepare(connection, path, large)
                journal = cls(path, connection, None, lock)
                if is_large:
                    journal._verified_by(Check(path))
        except BaseException:
            lock.release()
            raise
        # It only serves the message about a locked folder. Replaced and not written through: it may be a link.
        with suppress(OSError), whole_file(folder / OWNER_NAME) as file:
            file.write(str(os.getpid()))
        return journal

    @classmethod
    def read(cls, folder: Path, large: int | None = None) -> Journal:
        """The journal in `folder` for reading; one of `large` trials or more is verified while `counting` goes on.
        Raises BadInput when there is none."""
        path = folder / FILE_NAME
        if not path.is_file():
            raise BadInput(f"{folder} is not a run folder: it has no {FILE_NAME}")
        with sqlite_errors(path, reading=True):
            connection, copy, is_large = open_to_read(path, large)
        journal = cls(path, connection, copy, None)
        return journal._verified_by(ChildCheck(path)) if is_large else journal

    def _verified_by(self, check: Check | ChildCheck) -> Journal:
        self._check = check
        self._aside.append(check)
        return self

    def __enter__(self) -> Journal:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        for aside in self._aside:
            aside.stop()
        if self._thread:
            self._thread.shutdown(wait=True)
        self._reader.close()
        self._file.close()
        if self._writer:
            self._writer.close()
        if self._lock:
            self._lock.release()

    # --- small facts -------------------------------------------------------------------------------------------------

    def meta(self, key: str) -> str | None:
        row = self._first("SELECT value FROM meta WHERE key = ?", key)
        return None if row is None else str(row[0])

    def set_meta(self, key: str, value: str) -> None:
        self._change(lambda store: store.replace("meta", [(key, value)], "key = ?", key))

    def set_cells(self, cells: Iterable[tuple[Cell, int]]) -> None:
        """The plan: trials in each cell. Replaces what was there."""
        self._change(lambda store: store.replace("cells", [(*cell, planned) for cell, planned in cells], "TRUE"))

    def cells(self) -> list[tuple[Cell, int]]:
        return [(Cell(*row[:7]), row[7]) for row in self._rows("SELECT * FROM cells")]

    def recorded(self) -> int:
        return self._count("SELECT COUNT(*) FROM draws")

    def last_arrival(self) -> int:
        return self._count("SELECT COALESCE(MAX(arrival), 0) FROM draws")

    def failed(self) -> int:
        return self._count(queries.FAILED)

    def judged(self, judge_id: str) -> int:
        """Trials that have a ruling of this judge."""
        return self._count(queries.JUDGED, self._reading.number_of(judge_id))

    def has_rulings(self) -> bool:
        return self._first("SELECT 1 FROM verdicts LIMIT 1") is not None

    def scores(self, judge_id: str) -> dict[float, int]:
        """How often this judge has given each score."""
        return {row[0]: row[1] for row in self._rows(queries.SCORES, self._reading.number_of(judge_id))}

    def usage(self) -> list[Usage]:
        """What the replies that are recorded took, by model and role; a reply that stands for several answers once."""
        with sqlite_errors(self.path):
            return self._reading.usage()

    def cached(self) -> tuple[int, int, int]:
        """The answers from the answer cache, the verdicts from there, and all verdicts of judge models."""
        answers, verdicts, asked = self._first(queries.CACHED_REPLIES) or (0, 0, 0)
        return int(answers), int(verdicts), int(asked)

    def sha256(self) -> str | None:
        """Of the whole file, with all that has been committed; None while another process keeps that from being known.
        It stays the same as long as nobody writes; opening and closing the journal does not change it."""
        with sqlite_errors(self.path):
            busy, in_log, moved = self._file.execute("PRAGMA wal_checkpoint(PASSIVE)").fetchone()
        return None if busy or in_log != moved else file_sha256(self.path)

    def has_trial(self, trial_id: str) -> bool:
        return self._first("SELECT 1 FROM draws WHERE trial_id = ?", packed_id(trial_id)) is not None

    def draws_of(self, model: str) -> dict[tuple[str, ...], int]:
        """How many trials of a model are recorded, by suite, format, prompt id, variant and condition."""
        rows = self._rows(queries.DRAWN, self._reading.number_of(model))
        return {(suite, form, prompt, variant, name): drawn for suite, form, prompt, variant, name, drawn in rows}

    def repeats_of(self, model: str, draws: Sequence[str]) -> frozenset[int]:
        """The repeats that are recorded of what `draws_of` has the number of."""
        return frozenset(row[0] for row in self._rows(queries.REPEATS, *map(self._reading.number_of, (model, *draws))))

    def forget_failed_trials(self) -> None:
        """Drop the failures of the models, so that they are asked again."""
        self._change(Store.drop_failed_trials)

    def forget_failed_rulings(self, judge_ids: Sequence[str]) -> None:
        """Drop the failures of these judges, so that they are asked again."""
        self._change(lambda store: store.drop_failed_rulings(judge_ids))

    # --- writing -----------------------------------------------------------------------------------------------------

    async def record_trial(self, trial: Trial, result: Response | Failure, rulings: Rulings) -> None:
        """Return when the trial, its result and its rulings are committed together."""
        await self._write(_Arrived(trial, result, rulings, now()))

    async def record_rulings(self, trial_id: str, rulings: Rulings) -> None:
        await self._write(_Arrived(trial_id, None, rulings, now()))

    async def _write(self, arrived: _Arrived) -> None:
        self._refuse_damage(wait=False)
        recorded = asyncio.get_running_loop().create_future()
        self._waiting.append((arrived, recorded))
        if self._committing is None or self._committing.done():
            self._committing = asyncio.create_task(self._commit_batches())
        await recorded

    def _refuse_damage(self, *, wait: bool) -> None:
        """Raises BadInput if the verification beside the run has found damage."""
        if self._check:
            with sqlite_errors(self.path):
                self._check.refuse_damage(wait=wait)

    async def flush(self) -> None:
        """Return when everything handed in is committed or has failed; call it before `close`."""
        if self._committing is not None and not self._committing.done():  # one that is done may be of an earlier loop
            await asyncio.wait([self._committing])

    async def _commit_batches(self) -> None:
        loop = asyncio.get_running_loop()
        while self._waiting:
            await asyncio.sleep(self._next_commit - loop.time())
            self._next_commit = loop.time() + _LEAST_INTERVAL_S
            batch, self._waiting = self._waiting, []
            failed: Exception | None = None
            try:
                await loop.run_in_executor(self._thread, self._commit, [arrived for arrived, _ in batch])
            except Exception as error:
                failed = error
            for _, recorded in batch:
                if recorded.done():  # the waiting task has been cancelled since
                    continue
                if failed is None:
                    recorded.set_result(None)
                else:
                    recorded.set_exception(failed)

    def _commit(self, rows: Iterable[_Arrived]) -> None:
        assert self._store is not None  # noqa: S101
        with sqlite_errors(self.path), self._store.transaction():
            for trial, result, rulings, at in rows:
                if isinstance(trial, Trial):
                    assert result is not None  # noqa: S101
                    store_trial(self._store, trial, result, at)
                store_rulings(self._store, trial.id if isinstance(trial, Trial) else trial, rulings, at)

    def _change(self, change: Callable[[Store], None]) -> None:
        """Change the file at once, on the thread that commits."""
        assert self._thread is not None  # noqa: S101

        def committed() -> None:
            assert self._store is not None  # noqa: S101
            with sqlite_errors(self.path), self._store.transaction():
                change(self._store)

        self._thread.submit(committed).result()

    def record_all(self, rows: Iterable[tuple[Trial, Response | Failure, Rulings]]) -> None:
        """Record whole trials in one transaction: all of them or, whatever ends it, none."""
        self._commit(_Arrived(*row, now()) for row in rows)

    def record_all_rulings(self, rows: Iterable[tuple[str, Rulings]]) -> None:
        """Record the rulings on several trials, by their ids, in one transaction."""
        self._commit(_Arrived(trial_id, None, rulings, now()) for trial_id, rulings in rows)

    # --- reading -----------------------------------------------------------------------------------------------------

    def aside(self, read: Callable[[Journal], _Found]) -> Future[_Found]:
        """What `read` finds in the journal as it is committed now, in a thread; `close` ends it."""
        with sqlite_errors(self.path):
            aside = Aside(self.path, lambda connection: read(Journal(self.path, connection, None, None)))
        self._aside.append(aside)
        return aside.found

    def ruling_on(self, judge_id: str, request_id: str) -> RecordedVerdict | None:
        """What this judge said to this very request before, for another trial; failures are not repeated."""
        request = packed_id(request_id)
        return self._ruling(queries.REPEATABLE, request[:4], self._reading.number_of(judge_id), request)

    def ruling_of(self, trial_id: str, judge_id: str) -> RecordedVerdict | None:
        """What this judge said about this trial."""
        name = packed_id(trial_id)
        found = self._first("SELECT arrival FROM draws WHERE trial_id = ?", name)
        trial = found[0] if found else name
        return self._ruling("trial = ? AND judge = ?", trial, self._reading.number_of(judge_id))

    def _ruling(self, where: str, *parameters: object) -> RecordedVerdict | None:
        with sqlite_errors(self.path):
            return next(self._reading.rulings(where, *parameters), None)

    def reported_models(self) -> list[tuple[str, str, int]]:
        """Each model with each name that its replies gave it, and the number of these replies."""
        return sorted((str(model), str(told), int(replies)) for model, told, replies in self._rows(queries.REPORTED))

    def other_judges(self) -> list[tuple[str, str, int]]:
        """Each judge model with each name of another model that its replies gave, and the number of these replies."""
        return sorted((str(judge), str(other), int(count)) for judge, other, count in self._rows(queries.OTHER_JUDGES))

    def trials_after(self, arrival: int, limit: int = READ_BATCH) -> list[RecordedTrial]:
        """Up to `limit` recorded trials in the order of arrival, after the one given (0 for the first)."""
        query = "SELECT arrival FROM draws WHERE arrival > ? ORDER BY arrival LIMIT ?"
        return list(self._trials(query, arrival, limit))

    def responses_lacking(
        self, answers_of: Mapping[Criterion, _Ids], reasoning_of: _Ids, monitors_of: _Ids, *, failed_too: bool
    ) -> Iterator[RecordedTrial]:
        """Responses, by arrival, that lack a ruling: open ones of their measure's judges, with reasoning of its judges,
        any of the monitors. With `failed_too` a ruling that is a failure is none."""
        number_of = self._reading.number_of
        answers = {number_of(measure): [*map(number_of, judges)] for measure, judges in answers_of.items()}
        reasoning, monitors = ([*map(number_of, judges)] for judges in (reasoning_of, monitors_of))
        query = queries.lacking(answers, reasoning, monitors, failed_too=failed_too)
        named = [number for measure, judges in answers.items() for number in (measure, *judges)]
        for trial in self._trials(query, number_of("mcq"), *named, *reasoning, *monitors):
            if failed_too:
                rulings = {name: it for name, it in trial.rulings.items() if not isinstance(it.verdict, JudgeFailure)}
                yield replace(trial, rulings=rulings)
            else:
                yield trial

    def trials_in_plan_order(self, share: float = 1.0) -> Iterator[RecordedTrial]:
        """Every recorded trial, or a share of them that is spread evenly, in the order of the plan; a few at a time."""
        self._refuse_damage(wait=True)
        yield from self._trials(queries.IN_PLAN_ORDER, int(share * queries.EVERY))

    @contextmanager
    def counting(self) -> Generator[StoredTrials]:
        """The same trials as they are stored, for a block of which nothing may be used before it has ended: if the
        journal turns out to be damaged, that raises BadInput, whatever else has come of it."""
        try:
            with sqlite_errors(self.path):
                yield StoredTrials(self._reader, self._reading)
        except Exception:
            self._refuse_damage(wait=True)
            raise
        self._refuse_damage(wait=True)

    def trials_with(self, same: Mapping[str, str]) -> Iterator[RecordedTrial]:
        """The recorded trials whose columns have these values, in the order of arrival; a few at a time, and the first
        without a look at the last."""
        yield from self._trials(queries.with_values(list(same)), *map(self._reading.number_of, same.values()))

    def trial_ids(self, start: str, limit: int) -> list[str]:
        """Up to `limit` ids of recorded trials that begin with `start`, in their own order."""
        return [str(row[0]) for row in self._rows(queries.IDS, len(start), start, limit)]

    def trial(self, trial_id: str) -> RecordedTrial:
        """The recorded trial of that id. Raises KeyError when there is none."""
        for trial in self._trials("SELECT arrival FROM draws WHERE trial_id = ?", packed_id(trial_id)):
            return trial
        raise KeyError(trial_id)

    def _trials(self, query: str, *parameters: object) -> Iterator[RecordedTrial]:
        """The trials whose arrivals a query gives, a few at a time."""
        return self._read(query, self._reading.trials, *parameters)

    def _read(
        self, query: str, read: Callable[[Sequence[int]], Iterator[_Found]], *parameters: object
    ) -> Iterator[_Found]:
        with sqlite_errors(self.path):
            arrivals = self._reader.execute(query, parameters)
            while some := arrivals.fetchmany(READ_BATCH):
                yield from read([row[0] for row in some])

    def _rows(self, query: str, *parameters: object) -> Iterator[Sequence[Any]]:
        with sqlite_errors(self.path):
            yield from self._reader.execute(query, parameters)

    def _first(self, query: str, *parameters: object) -> Sequence[Any] | None:
        with sqlite_errors(self.path):
            row: Sequence[Any] | None = self._reader.execute(query, parameters).fetchone()
            return row

    def _count(self, query: str, *parameters: object) -> int:
        return int((self._first(query, *parameters) or (0,))[0])
