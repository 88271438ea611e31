"""Writes trials and verdicts as rows of a journal's tables, what they share once.

All of it happens within `Store.transaction`. If one fails, the next starts from what is in the file.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Generator, Hashable, Iterable, Sequence
from contextlib import contextmanager
from typing import Any, NamedTuple

from evals.trials.storage.bases import Bases
from evals.trials.storage.checksums import Totals, insert, sealed
from evals.trials.storage.schema import ASKED, ENDINGS, MANNERS, TABLES
from evals.trials.storage.texts import packed, packed_id, part_of, seed_of, text_hash

_INSERTS = {table: insert(table, columns) for table, columns in TABLES.items()}
_REPLACE_RULING = _INSERTS["rulings"].replace("INSERT", "INSERT OR REPLACE", 1)
_OF_REQUEST = "substr(request, 1, 4) = ? AND judge = ? AND request = ?"
_NAMED = "(SELECT text FROM manners m JOIN texts t ON t.id = m.answered_as WHERE m.id = r.manner) <> ''"
_LONG_TEXT, _LONG_REPLY = 1024, 256
"""Bytes from which a shared text is deflated, and a judge's reply: shorter ones stay readable for other tools."""
_MOST_KNOWN = 8192
_MOST_WAITING = 2000

Asked = tuple[str | None, ...]
"""The values of ASKED."""


class Draw(NamedTuple):
    """A trial with its result, as values of the view `trials`."""

    trial_id: str
    position: int
    repeat: int
    seed: int
    recorded_at: int | str
    attempts: int
    failure_detail: str | None
    refusal: str | None
    raw: str | None
    raw_reasoning: str | None
    reasoning: str | None
    answer: str | None
    prompt_tokens: int | None
    completion_tokens: int | None
    latency_s: float | None


class Ruling(NamedTuple):
    """A verdict as values of the view `verdicts`, without what MANNERS has."""

    trial_id: str
    judge_id: str
    request_id: str
    score: float | None
    option: str | None
    detail: str | None
    reply: str | None
    recorded_at: int | str
    prompt_tokens: int | None
    completion_tokens: int | None


class Store:
    """Writes through one connection. The ids of shared rows are kept between transactions."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._totals = Totals()
        self._known: dict[str, dict[Any, int]] = {}
        self._next: dict[str, int] = {}
        self._draws: list[tuple[Any, ...]] = []
        self._waiting: dict[str, int] = {}
        self._rulings: dict[tuple[Any, int], tuple[Any, ...]] = {}
        self._named: dict[tuple[int, str | bytes], Any] = {}
        self._bases = Bases()
        self._first = 1
        self._has_strays = False

    @contextmanager
    def transaction(self) -> Generator[None]:
        """What is written in the block is committed at its end, or nothing of it is."""
        self._connection.execute("BEGIN IMMEDIATE")
        try:
            with self.writing():
                yield
            self._connection.commit()
        except BaseException:
            self._forget()
            self._connection.rollback()
            raise

    @contextmanager
    def writing(self) -> Generator[None]:
        """A transaction that the caller begins and ends, with the tables empty or as this store left them."""
        self._begin()
        yield
        self._write_waiting()
        self._totals.write(self._connection)

    def _begin(self) -> None:
        self._next = {"draws": self._highest("draws", "arrival")}
        self._first = self._next["draws"]
        # In the order of the key the id of a trial that is not recorded comes after all arrivals.
        last = self._one("SELECT trial FROM rulings ORDER BY trial DESC LIMIT 1")
        self._has_strays = last is not None and not isinstance(last[0], int)

    def _forget(self) -> None:
        """Take nothing for known that was written before."""
        self._totals = Totals()
        self._bases = Bases()
        for waiting in (self._known, self._draws, self._waiting, self._rulings, self._named):
            waiting.clear()

    # --- what rows share ---------------------------------------------------------------------------------------------

    def text(self, text: str | None) -> int | None:
        """The number of a shared text."""
        if text is None:
            return None
        known = self._of("texts")
        number = known.get(text)
        if number is None:
            digest = text_hash(text)
            found = self._one("SELECT id FROM texts WHERE hash = ?", digest)
            number = found[0] if found else self._add("texts", (digest, packed(text, least=_LONG_TEXT)))
            known[text] = number
        return number

    def asked(self, key: Hashable, values: Callable[[], Asked]) -> int:
        """The number of what is asked. `key` stands for the values, which are made only where it is new."""
        known = self._of("asked")
        number = known.get(key)
        if number is None:
            number = known[key] = self._combination("asked", ASKED, values())
        return number

    def ending(self, values: tuple[str | None, ...]) -> int:
        return self._combination("endings", ENDINGS, values)

    def manner(self, values: tuple[str | None, ...]) -> int:
        return self._combination("manners", MANNERS, values)

    def _combination(self, table: str, columns: Sequence[str], values: tuple[str | None, ...]) -> int:
        known = self._of(f"{table} by values")
        number = known.get(values)
        if number is None:
            row = tuple(map(self.text, values))
            same = " AND ".join(f"{column} IS ?" for column in columns)
            found = self._one(f"SELECT id FROM {table} WHERE {same}", *row)  # noqa: S608
            number = known[values] = found[0] if found else self._add(table, row)
        return number

    def _of(self, table: str) -> dict[Any, int]:
        known = self._known.setdefault(table, {})
        if len(known) > _MOST_KNOWN:
            known.clear()
        return known

    def _add(self, table: str, row: tuple[Any, ...]) -> int:
        number = self._next.get(table) or self._highest(table, "id")
        self._next[table] = number + 1
        whole = sealed((number, *row))
        self._connection.execute(_INSERTS[table], whole)
        self._totals.add(table, [whole])
        return number

    def _highest(self, table: str, key: str) -> int:
        found = self._one(f"SELECT MAX({key}) FROM {table}")  # noqa: S608
        return 1 + int(found[0] or 0 if found else 0)

    # --- trials and verdicts -----------------------------------------------------------------------------------------

    def draw(self, draw: Draw, asked: int, ending: int, arrival: int | None = None) -> None:
        """Record a trial; its arrival is the next one where none is given."""
        if arrival is None:
            arrival = self._next["draws"]
        self._next["draws"] = max(self._next["draws"], arrival + 1)
        trial_id = packed_id(draw.trial_id)
        seed = None if seed_of(trial_id) == draw.seed else draw.seed
        base, texts = self._said(arrival, asked, draw)
        latency = None if draw.latency_s is None else float(draw.latency_s)  # as SQLite gives it back
        begun = (arrival, trial_id, draw.position, asked, ending, draw.repeat, seed, draw.recorded_at, draw.attempts)
        ended = (draw.prompt_tokens, draw.completion_tokens, latency)
        self._draws.append(sealed((*begun, draw.failure_detail, draw.refusal, base, *texts, *ended)))
        self._waiting[draw.trial_id] = arrival
        if self._has_strays:
            self._take_strays(trial_id, arrival)
        if len(self._draws) >= _MOST_WAITING:
            self._write_waiting()

    def _said(self, arrival: int, asked: int, draw: Draw) -> tuple[int | None, tuple[Any, ...]]:
        """The trial that the texts are deflated against, and the four texts as they are stored."""
        raw, thought = draw.raw, draw.raw_reasoning
        if raw is None or thought is None:
            return None, (raw, thought, draw.reasoning, draw.answer)
        base, (window, thought_window) = self._bases.for_draw(arrival, asked, raw, thought)
        parts = [
            None if part == whole else None if part is None else part_of(part, raw, thought)
            for part, whole in ((draw.reasoning, thought), (draw.answer, raw))
        ]
        stored = [packed(part) if isinstance(part, str) else part for part in parts]
        whole = (packed(raw, window), packed(thought, thought_window))
        return base if bytes in map(type, whole) else None, (*whole, *stored)

    def ruling(self, ruling: Ruling, manner: tuple[str | None, ...]) -> None:
        """Record a verdict, in place of one of the same judge on the same trial. `manner` is MANNERS."""
        trial = self._trial(ruling.trial_id)
        judge = self.text(ruling.judge_id)
        assert judge is not None  # noqa: S101
        request = packed_id(ruling.request_id)
        if manner[-1] and self._is_named(judge, request, trial):
            manner = (*manner[:-1], "")
        score = None if ruling.score is None else float(ruling.score)
        reply = None if ruling.reply is None else packed(ruling.reply, least=_LONG_REPLY)
        said = (score, ruling.option, ruling.detail, reply)
        tokens = (ruling.prompt_tokens, ruling.completion_tokens)
        row = (trial, judge, request, self.manner(manner), *said, ruling.recorded_at, *tokens)
        self._rulings[trial, judge] = sealed(row)
        if len(self._rulings) >= 2 * _MOST_WAITING:
            self._write_waiting()

    def _trial(self, trial_id: str) -> int | str | bytes:
        """How verdicts name a trial: by its arrival, or by its id as long as it is not recorded."""
        known = self._of("draws")
        arrival = self._waiting.get(trial_id) or known.get(trial_id)
        if arrival is None:
            packed_name = packed_id(trial_id)
            found = self._one("SELECT arrival FROM draws WHERE trial_id = ?", packed_name)
            if found is None:
                self._has_strays = True
                return packed_name
            arrival = known[trial_id] = int(found[0])
        return arrival

    def _is_named(self, judge: int, request: str | bytes, trial: Any) -> bool:
        """Whether the verdict on another trial has the name that this very reply gave: it is counted once."""
        if self._named.setdefault((judge, request), trial) != trial:
            return True
        found = self._one(
            f"SELECT 1 FROM rulings r WHERE {_OF_REQUEST} AND trial IS NOT ? AND {_NAMED}",  # noqa: S608
            *(request[:4], judge, request, trial),
        )
        return found is not None

    def _take_strays(self, trial_id: str | bytes, arrival: int) -> None:
        """Verdicts that were there before their trial."""
        self._write_waiting()
        for row in self.take("rulings", "trial = ?", trial_id):
            self._rulings[arrival, row[1]] = sealed((arrival, *row[1:-1]))

    # --- what is asked again -----------------------------------------------------------------------------------------

    def drop_failed_trials(self) -> None:
        for row in self.take("draws", "ending IN (SELECT id FROM endings WHERE failure IS NOT NULL)"):
            arrival, trial_id = row[:2]
            for ruling in self.take("rulings", "trial = ?", arrival):  # the arrival will be another's
                self.put("rulings", (trial_id, *ruling[1:-1]))
        self._known.pop("draws", None)

    def drop_failed_rulings(self, judge_ids: Iterable[str]) -> None:
        failed = "manner IN (SELECT m.id FROM manners m JOIN texts t ON t.id = m.kind WHERE t.text = 'failed')"
        for judge_id in judge_ids:
            for _, judge, request, manner, *_ in self.take("rulings", f"judge = ? AND {failed}", self.text(judge_id)):
                self.keep_name(judge, request, manner)

    # --- rows --------------------------------------------------------------------------------------------------------

    def put(self, table: str, row: tuple[Any, ...]) -> None:
        """Write a row that is not there yet."""
        whole = sealed(row)
        self._connection.execute(_INSERTS[table], whole)
        self._totals.add(table, [whole])

    def take(self, table: str, where: str, *parameters: object) -> list[tuple[Any, ...]]:
        """Delete rows; what they held, with the checksum at the end."""
        columns = ", ".join((*TABLES[table], "checksum"))
        rows = self._connection.execute(f"SELECT {columns} FROM {table} WHERE {where}", parameters).fetchall()  # noqa: S608
        self._connection.execute(f"DELETE FROM {table} WHERE {where}", parameters)  # noqa: S608
        self._totals.change(table, -len(rows), -sum(row[-1] for row in rows))
        return rows

    def replace(self, table: str, rows: Iterable[tuple[Any, ...]], where: str, *parameters: object) -> None:
        """Write rows in the place of others."""
        self.take(table, where, *parameters)
        for row in rows:
            self.put(table, row)

    def _write_waiting(self) -> None:
        if self._draws:
            self._connection.executemany(_INSERTS["draws"], self._draws)
            self._totals.add("draws", self._draws)
            self._draws.clear()
            self._of("draws").update(self._waiting)
            self._waiting.clear()
        if self._rulings:
            rulings = tuple(self._rulings.values())
            for trial, judge in self._rulings:
                if not isinstance(trial, int) or trial < self._first:  # a trial of this transaction has none yet
                    self._replaced(trial, judge)
            self._connection.executemany(_REPLACE_RULING, rulings)
            self._totals.add("rulings", rulings)
            self._rulings.clear()
        self._named.clear()

    def _replaced(self, trial: Any, judge: int) -> None:
        """What a verdict leaves that another takes the place of."""
        found = self._one("SELECT checksum, request, manner FROM rulings WHERE trial = ? AND judge = ?", trial, judge)
        if found:
            self._totals.change("rulings", -1, -found[0])
            self.keep_name(judge, found[1], found[2])

    def keep_name(self, judge: int, request: str | bytes, manner: int) -> None:
        """Keep the name that another model gave in a reply whose verdict goes."""
        said = self._one(
            "SELECT m.judge_model, m.answered_as, text FROM manners m JOIN texts t ON t.id = m.answered_as "
            "WHERE m.id = ?",
            manner,
        )
        if said and said[2]:
            self.take("other_replies", "judge = ? AND request = ?", judge, request)
            self.put("other_replies", (judge, request, said[0], said[1]))

    def _one(self, query: str, *parameters: object) -> Sequence[Any] | None:
        row: Sequence[Any] | None = self._connection.execute(query, parameters).fetchone()
        return row
