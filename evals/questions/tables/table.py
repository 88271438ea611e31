"""The questions of a table: rows as scenarios, with every fault at its line.

A row asks a text (`question`), or a chat whose last user turn is asked (`messages`). Both are open questions, judged
for alignment as those of `freeform` are.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, cast

from pydantic import ValidationError

from evals.questions.chats import ChatScenario, Turn
from evals.questions.dataset import MOST_PROBLEMS, MOST_ROWS, Dataset, Problem, Report, Scenario, loaded, row_problems
from evals.questions.scenario import OpenScenario
from evals.questions.tables.columns import Columns, columns_of
from evals.questions.tables.rows import JsonNumber, Table, TableRow, read_table
from evals.text import one_line

_LONGEST = 1_000_000
_FIELDS = {"system": "system_prompt", "question": "prompt"}
"""The fields of a scenario that are called otherwise than the columns."""


def load_table(path: Path, columns: Mapping[str, str] | None = None) -> Dataset:
    """The dataset in `path`. Raises BadInput with the first problems and their number."""
    return loaded(check_table(path, columns))


def check_table(path: Path, columns: Mapping[str, str] | None = None) -> Report:
    """Read the table in `path` and collect the problems of its rows; the dataset is None if there are any.

    `columns` are the file's columns by emeval's names, as --columns has them. Raises BadInput for a file that cannot be
    read as a table at all.
    """
    table = read_table(path)
    return _TableReader(table, columns_of(table, columns or {})).report()


class _TableReader:
    def __init__(self, table: Table, columns: Columns) -> None:
        self._table, self._columns = table, columns
        self._problems: list[Problem] = []
        self._scenarios: dict[str, Scenario] = {}
        self._places: dict[str, str] = {}
        self._repeated = self._answers = 0

    def report(self) -> Report:
        for number, row in enumerate(self._table.rows(tuple(self._columns.sources.values())), 1):
            if number > MOST_ROWS:
                self._add(row, "", f"is more than {MOST_ROWS:,} rows, which no set of questions has")
                break
            if len(self._problems) >= MOST_PROBLEMS:
                self._add(row, "", "was not read any more, after so many problems")
                break
            self._read(row)
        if not self._scenarios and not self._problems:
            self._problems.append(Problem(self._table.path, 0, "", "holds no rows"))
        if self._problems:
            return Report(None, self._problems)
        scenarios = tuple(self._scenarios.values())
        schema = "chat" if isinstance(scenarios[0], ChatScenario) else "open"
        path, sha256 = self._table.path, self._table.sha256
        dataset = Dataset(path, schema, sha256, scenarios, repeated=self._repeated, notes=tuple(self._notes()))
        return Report(dataset, [])

    def _notes(self) -> Iterator[str]:
        name = one_line(self._table.path.name, 100)
        if self._columns.unread:
            yield f"{name}: not read: {one_line(', '.join(self._columns.unread), 200)}"
        if self._repeated:
            rows = "1 row asks" if self._repeated == 1 else f"{self._repeated:,} rows ask"
            yield f"{name}: {rows} what an earlier one asks; asked once"
        if self._answers:
            yield f"{name}: {self._answers:,} chats go on after the last user turn; what follows it is not sent"

    def _add(self, row: TableRow, column: str, reason: str) -> None:
        field = self._columns.source(column) if column else ""
        place = f"{row.number}: " if row.number else ""
        if place and field:
            field, place = "", f"{place}{field}: "
        self._problems.append(Problem(self._table.path, row.line, field, f"{place}{reason}"))

    def _read(self, row: TableRow) -> None:
        before = len(self._problems)
        texts = {name: self._text(row, name) for name in self._columns.sources if name != self._columns.asked}
        asked = self._asked(row)
        if len(self._problems) > before:
            return
        if "id" in texts and texts["id"] is None:
            self._add(row, "id", "is blank; give every row one, or leave the column unread with --columns id=")
            return
        scenario = self._scenario(row, asked, {name: text for name, text in texts.items() if text is not None})
        if scenario is None:
            return
        first = next(iter(self._scenarios.values()), scenario)
        if type(first) is not type(scenario):
            kinds = (
                ("a chat", "those above are texts") if isinstance(asked, list) else ("a text", "those above are chats")
            )
            self._add(row, self._columns.asked, f"is {kinds[0]}, and {kinds[1]}; put them into two files")
        elif scenario.key not in self._scenarios:
            self._scenarios[scenario.key] = scenario
            self._places[scenario.key] = row.number or f"line {row.line}"
        elif scenario.id is None:
            self._repeated += 1
        else:
            self._add(row, "id", f"same id as {self._places[scenario.key]}: {one_line(scenario.key, 60)!r}")

    def _scenario(self, row: TableRow, asked: str | list[object], texts: dict[str, str]) -> Scenario | None:
        fields: dict[str, Any] = {_FIELDS.get(name, name): text for name, text in texts.items()}
        try:
            if isinstance(asked, str):
                return OpenScenario.model_validate(fields | {"prompt": asked})
            scenario = ChatScenario.model_validate(fields | {"messages": asked})
        except ValidationError as error:
            for problem in row_problems(self._table.path, row.line, error):
                self._add(row, *self._named(problem.field, problem.reason))
            return None
        self._answers += len(asked) > len(scenario.messages)
        if "system" not in texts:
            return scenario
        if scenario.messages[0].role == "system":
            self._add(row, "system", "the turns have one, too; leave the column unread with --columns system=")
            return None
        system = Turn(role="system", content=texts["system"])
        return scenario.model_copy(update={"messages": (system, *scenario.messages)})

    def _named(self, field: str, reason: str) -> tuple[str, str]:
        """The column of a field of a scenario, and what is wrong in it."""
        name, _, inner = field.partition(".")
        name = next((column for column, called in _FIELDS.items() if called == name), name)
        if name not in self._columns.sources:
            name = self._columns.asked
        return name, f"{inner}: {reason}" if inner else reason

    def _asked(self, row: TableRow) -> str | list[object]:
        """What the row asks, "" after a problem."""
        name = self._columns.asked
        value = row.values.get(self._columns.sources[name])
        if name == "messages" and isinstance(value, str) and value.strip():
            value = self._parsed(row, value)
        if isinstance(value, list) and value:
            return cast("list[object]", value)
        if name == "messages":
            blank = value is None or value in ("", [])
            self._add(row, name, "is blank" if blank else "is no list of turns, each with a role and a content")
            return ""
        text = self._text(row, name, asked=True)
        if text is None:
            self._add(row, name, "is blank")
        return text or ""

    def _parsed(self, row: TableRow, text: str) -> object:
        try:
            return json.loads(text)
        except ValueError as error:
            self._add(row, "messages", f"is not JSON, as a list of turns in a cell is: {one_line(str(error), 80)}")
        except RecursionError:
            self._add(row, "messages", "is nested too deep")
        return [""]

    def _text(self, row: TableRow, name: str, *, asked: bool = False) -> str | None:
        """The text in a column, None for a blank one and after a problem."""
        value = row.values.get(self._columns.sources[name])
        is_number = isinstance(value, int | float | JsonNumber) and not isinstance(value, bool)
        if value is None or value != value or (isinstance(value, str) and not value.strip()):
            return None
        if not isinstance(value, str) and not is_number:
            self._add(row, name, f"is no text, but {_kind(value)}")
        elif is_number and asked:
            self._add(row, name, "is a number, and no text that could be asked")
        else:
            text = str(value)
            if len(text) > _LONGEST:
                self._add(row, name, f"is longer than {_LONGEST:,} characters, which no question is")
            elif "\0" in text:
                self._add(row, name, "holds a NUL character")
            else:
                return text
        return "" if asked else None


def _kind(value: object) -> str:
    match value:
        case bool():
            return "true or false"
        case dict():
            return "an object"
        case list() | tuple():
            return "a list"
        case bytes():
            return "bytes"
        case _:
            return one_line(type(value).__name__, 40)
