"""Reads trials and verdicts from the rows of a journal's tables; each shared row once, as long as it is remembered."""

from __future__ import annotations

import json
import sqlite3
from collections import OrderedDict
from collections.abc import Callable, Iterator, Sequence
from typing import Any, Generic, NamedTuple, TypeVar, cast

from evals.trials.journal_schema import verdict_from
from evals.trials.prompt import Message, Messages
from evals.trials.record import RecordedTrial, RecordedVerdict, Role, Usage
from evals.trials.reference import Reference, reference_from
from evals.trials.response import Failure, Response
from evals.trials.storage import queries
from evals.trials.storage.schema import ASKED, DRAWS, ENDINGS, MANNERS, RULINGS
from evals.trials.storage.texts import read_part, text_hash, unpacked, unpacked_id, window_of

_DRAWS = ", ".join(DRAWS)
_RULINGS = ", ".join(RULINGS)
_COUNTED = (
    "arrival, trial_id, asked, ending, repeat, refusal, base, raw, raw_reasoning, reasoning, answer, prompt_tokens, "
    "completion_tokens"
)
_JUDGED = "trial, judge, manner, score, option, detail"
READ_BATCH = 200
_OUTLINES_AT_A_TIME = 900
_MOST_BETWEEN = 4
"""The plan's order is nearly that of arrival: what lies between two trials of a batch is read with it, up to so many
times the batch."""
_MOST_REMEMBERED = 4096
_MOST_BASES = 256
_Shared = TypeVar("_Shared")


class Asked(NamedTuple):
    """What trials of one prompt and condition have in common."""

    suite: str
    format: str
    model: str
    prompt_id: str
    variant: str
    condition: str
    trigger: str
    distractor: str
    reference: Reference | None
    messages: Messages


class Ending(NamedTuple):
    failure: str | None
    prefill: str
    reasoning_state: str
    finish_reason: str
    reported_model: str


class Manner(NamedTuple):
    judge: str
    judge_model: str
    kind: str
    letter: str | None
    mode: str | None
    answered_as: str


class StoredTrial(NamedTuple):
    """A trial as it is stored, with its texts: what counting a large run needs, and no more.

    Trials with the same `asked`, `ending` and `rulings` were asked the same, ended alike and were judged alike. The
    texts are "" for a failure.
    """

    arrival: int
    trial_id: str
    asked: int
    ending: int
    rulings: tuple[Any, ...]
    repeat: int
    format: str
    is_failure: bool
    reasoning_state: str = ""
    finish_reason: str = ""
    prefill: str = ""
    refusal: str = ""
    raw: str = ""
    reasoning: str = ""
    answer: str = ""
    prompt_tokens: int | None = None
    completion_tokens: int | None = None


class TrialOutline(NamedTuple):
    """A trial without its texts. `asked`, `ending` and `rulings` are those of a StoredTrial; of a failure, whether it
    has an answer or a refusal is None."""

    arrival: int
    asked: int
    ending: int
    has_answer: int | None
    has_refusal: int | None
    rulings: tuple[Any, ...]


class _Remembered(Generic[_Shared]):
    """What was read last, by its number."""

    def __init__(self, read: Callable[[int], _Shared], most: int = _MOST_REMEMBERED) -> None:
        self._read = read
        self._most = most
        self._kept: OrderedDict[int, _Shared] = OrderedDict()

    def __call__(self, number: int) -> _Shared:
        kept = self._kept.get(number)
        if kept is None:
            kept = self._kept[number] = self._read(number)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        return kept


class Reading:
    """Reads through one connection. A row that another refers to and that is not there raises sqlite3.DatabaseError."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._asked = _Remembered(self._read_asked)
        self._ending = _Remembered(lambda number: Ending(*self._combination("endings", ENDINGS, number)))
        self._manner = _Remembered(lambda number: Manner(*self._combination("manners", MANNERS, number)))
        self._text = _Remembered(self._read_text)
        self._windows = _Remembered(self._read_windows, _MOST_BASES)
        self._numbers: dict[str, int] = {}

    def trials(self, wanted: Sequence[int]) -> Iterator[RecordedTrial]:
        """The trials of these arrivals, in their order; one that is gone is left out."""
        marks = ", ".join("?" * len(wanted))
        rows = self._connection.execute(f"SELECT {_DRAWS} FROM draws WHERE arrival IN ({marks})", wanted)  # noqa: S608
        draws = {row[0]: row for row in rows}
        rulings: dict[int, list[tuple[str, RecordedVerdict]]] = {arrival: [] for arrival in wanted}
        rows = self._connection.execute(f"SELECT {_RULINGS} FROM rulings WHERE trial IN ({marks})", wanted)  # noqa: S608
        for row in rows:
            rulings[row[0]].append((self._text(row[1]), self._ruling(row)))
        for arrival in wanted:
            if arrival in draws:
                said = sorted(rulings[arrival], key=lambda ruling: ruling[0])
                yield self._trial(draws[arrival], dict(said))

    def stored(self, arrivals: Sequence[int]) -> Iterator[StoredTrial]:
        """The same trials as they are stored."""
        marks = ", ".join("?" * len(arrivals))
        rows = self._connection.execute(f"SELECT {_COUNTED} FROM draws WHERE arrival IN ({marks})", arrivals)  # noqa: S608
        draws = {row[0]: row for row in rows}
        rulings = self._judged(f"trial IN ({marks})", arrivals)
        for arrival in arrivals:
            row = draws.get(arrival)
            if row is not None:
                yield self._stored(row, rulings.get(arrival, ()))

    def outlines(self) -> Iterator[list[TrialOutline]]:
        """Every trial in the order of the plan, some at a time. Only whole tables are read, and no index."""
        rows = self._connection.execute(queries.OUTLINES_IN_PLAN_ORDER, (queries.EVERY,))
        while some := rows.fetchmany(_OUTLINES_AT_A_TIME):
            arrivals = [row[0] for row in some]
            first, last = min(arrivals), max(arrivals)
            if last - first < _MOST_BETWEEN * len(arrivals):
                rulings = self._judged("trial BETWEEN ? AND ?", (first, last))
            else:
                rulings = self._judged(f"trial IN ({', '.join('?' * len(arrivals))})", arrivals)
            yield [TrialOutline._make((*row, rulings.get(row[0], ()))) for row in some]

    def _judged(self, where: str, parameters: Sequence[object]) -> dict[Any, tuple[Any, ...]]:
        """What judges said of each trial, as one row of _JUDGED."""
        found: dict[Any, tuple[Any, ...]] = {}
        for row in self._connection.execute(f"SELECT {_JUDGED} FROM rulings WHERE {where}", parameters):  # noqa: S608
            trial, said = row[0], row[1:]
            found[trial] = found[trial] + said if trial in found else said
        return found

    def end_of(self, outline: TrialOutline) -> tuple[str, Ending]:
        """In what format a trial was asked, and how it ended."""
        return self._asked(outline.asked).format, self._ending(outline.ending)

    def _stored(self, row: Sequence[Any], rulings: tuple[Any, ...]) -> StoredTrial:
        arrival, trial_id, asked, ending, repeat, refusal, base, *texts, prompt_tokens, completion_tokens = row
        end = self._ending(ending)
        begun = (arrival, unpacked_id(trial_id), asked, ending, rulings, repeat, self._asked(asked).format)
        if end.failure is not None:
            return StoredTrial(*begun, True)
        raw, _, reasoning, answer = self._said(base, texts)
        ended = (end.reasoning_state, end.finish_reason, end.prefill, refusal)
        return StoredTrial(*begun, False, *ended, raw, reasoning, answer, prompt_tokens, completion_tokens)

    def number_of(self, text: str) -> int:
        """The number of a shared text, -1 for one that no row has."""
        number = self._numbers.get(text)
        if number is None:
            digest = text_hash(text)
            row = self._connection.execute("SELECT id FROM texts WHERE hash = ?", (digest,)).fetchone()
            if row is None:
                return -1
            number = self._numbers[text] = int(row[0])
            if len(self._numbers) > _MOST_REMEMBERED:
                self._numbers.clear()
        return number

    def usage(self) -> list[Usage]:
        """The replies by role and model, with their tokens."""
        roles: tuple[tuple[Role, str], ...] = (("sampling", queries.REPLIES), ("judging", queries.JUDGE_REPLIES))
        return [
            Usage(str(model), role, *(int(number or 0) for number in numbers))
            for role, query in roles
            for model, *numbers in sorted(self._connection.execute(query), key=lambda row: str(row[0]))
        ]

    def rulings(self, where: str, *parameters: object) -> Iterator[RecordedVerdict]:
        """The verdicts for which a condition on the columns of RULINGS holds."""
        for row in self._connection.execute(f"SELECT {_RULINGS} FROM rulings WHERE {where}", parameters):  # noqa: S608
            yield self._ruling(row)

    def _ruling(self, row: Sequence[Any]) -> RecordedVerdict:
        _, _, request, manner, score, option, detail, reply, _, prompt_tokens, completion_tokens = row
        how = self._manner(manner)
        verdict = verdict_from(how.kind, score, how.letter, option, how.mode, detail)
        cached = detail == queries.CACHED and how.kind not in ("failed", "unreadable")
        tokens = (prompt_tokens, completion_tokens)
        return RecordedVerdict(verdict, unpacked(reply), unpacked_id(request), *tokens, cached=cached)

    def _trial(self, row: Sequence[Any], rulings: dict[str, RecordedVerdict]) -> RecordedTrial:
        arrival, trial_id, position, asked, ending, repeat, _, _, attempts, detail, refusal, base = row[:12]
        known, end = self._asked(asked), self._ending(ending)
        result: Response | Failure
        if end.failure is not None:
            result = Failure(cast("Any", end.failure), detail, attempts)
        else:
            raw, raw_reasoning, reasoning, answer = self._said(base, row[12:16])
            prompt_tokens, completion_tokens, latency_s = row[16:19]
            result = Response(
                raw=raw,
                reasoning=reasoning,
                answer=answer,
                reasoning_state=cast("Any", end.reasoning_state),
                finish_reason=end.finish_reason,
                refusal=refusal,
                reported_model=end.reported_model,
                prompt_tokens=prompt_tokens,
                completion_tokens=completion_tokens,
                latency_s=latency_s,
                attempts=attempts,
                raw_reasoning=raw_reasoning,
                prefill=end.prefill,
            )
        return RecordedTrial(
            trial_id=unpacked_id(trial_id),
            arrival=arrival,
            position=position,
            suite=known.suite,
            format=known.format,
            model=known.model,
            prompt_id=known.prompt_id,
            variant=known.variant,
            condition=known.condition,
            trigger=known.trigger,
            repeat=repeat,
            messages=known.messages,
            result=result,
            rulings=rulings,
            reference=known.reference,
            distractor=known.distractor,
        )

    def _said(self, base: int | None, stored: Sequence[Any]) -> tuple[str, str, str, str]:
        window, thought_window = (b"", b"") if base is None else self._windows(base)
        raw, thought = unpacked(stored[0], window), unpacked(stored[1], thought_window)
        reasoning, answer = (
            whole if part is None else read_part(part, raw, thought) if isinstance(part, int) else unpacked(part)
            for part, whole in zip(stored[2:], (thought, raw), strict=True)
        )
        return raw, thought, reasoning, answer

    # --- what rows share ---------------------------------------------------------------------------------------------

    def _read_text(self, number: int) -> str:
        return unpacked(self._row("texts", "text", "id", number)[0])

    def _combination(self, table: str, columns: Sequence[str], number: int) -> tuple[Any, ...]:
        row = self._row(table, ", ".join(columns), "id", number)
        return tuple(None if text is None else self._text(text) for text in row)

    def _read_asked(self, number: int) -> Asked:
        values = dict(zip(ASKED, self._combination("asked", ASKED, number), strict=True))
        messages = tuple(Message(message["role"], message["content"]) for message in json.loads(values["messages"]))
        told = values["reference"]
        reference = None if told is None else reference_from(json.loads(told))
        named: dict[str, Any] = {name: values[name] for name in Asked._fields[:8]}
        return Asked(**named, reference=reference, messages=messages)

    def _read_windows(self, arrival: int) -> tuple[bytes, bytes]:
        raw, thought, base = self._row("draws", "raw, raw_reasoning, base", "arrival", arrival)
        if base is not None or raw is None or thought is None:
            raise sqlite3.DatabaseError("an answer is stored against one that cannot be read by itself")
        return window_of(unpacked(raw)), window_of(unpacked(thought))

    def _row(self, table: str, columns: str, key: str, number: int) -> Sequence[Any]:
        row: Sequence[Any] | None = self._connection.execute(
            f"SELECT {columns} FROM {table} WHERE {key} = ?",  # noqa: S608
            (number,),
        ).fetchone()
        if row is None:
            raise sqlite3.DatabaseError(f"{table}: has no row {number}, to which another refers")
        return row


class StoredTrials:
    """The recorded trials as they are stored, in the order of the plan."""

    def __init__(self, connection: sqlite3.Connection, reading: Reading) -> None:
        self._connection = connection
        self._reading = reading

    def whole(self) -> Iterator[StoredTrial]:
        """With their texts."""
        arrivals = self._connection.execute(queries.IN_PLAN_ORDER, (queries.EVERY,))
        while some := arrivals.fetchmany(READ_BATCH):
            yield from self._reading.stored([row[0] for row in some])

    def outlines(self) -> Iterator[list[TrialOutline]]:
        """Without their texts, some at a time."""
        return self._reading.outlines()

    def end_of(self, outline: TrialOutline) -> tuple[str, Ending]:
        """In what format a trial was asked, and how it ended."""
        return self._reading.end_of(outline)

    def with_texts(self, arrivals: Sequence[int]) -> Iterator[StoredTrial]:
        """These trials with their texts, in the order given."""
        for start in range(0, len(arrivals), READ_BATCH):
            yield from self._reading.stored(arrivals[start : start + READ_BATCH])

    def recorded(self, arrivals: Sequence[int]) -> Iterator[RecordedTrial]:
        """These trials, in the order given."""
        for start in range(0, len(arrivals), READ_BATCH):
            yield from self._reading.trials(arrivals[start : start + READ_BATCH])
