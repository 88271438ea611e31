"""JSON Lines of answers: one object a line, its fields as the cells of a row.

A number keeps the digits that the file has, `null` and a missing field are an empty cell. The file is read twice, first
for the names of all fields, so that memory does not grow with it.
"""

from __future__ import annotations

import functools
import json
from collections import Counter
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, cast

from evals.errors import BadInput
from evals.io.csv_reader import LFS_POINTER, CsvRow
from evals.io.json_files import LineProblem, TextLines
from evals.io.paths import open_file
from evals.text import one_line, well_formed

_MOST_FIELDS = 10_000


class JsonLinesFile:
    """An open file of JSON Lines. Iterate once; `sha256` covers the bytes read so far.

    `wanted` are the fields whose values are read; one with dots (`scores.aligned`) may be a field within others. Raises
    BadInput.
    """

    def __init__(self, path: Path, file: BinaryIO, wanted: Iterable[str]) -> None:
        self.path = path
        self._wanted = tuple(dict.fromkeys(wanted))
        self._file = file
        names: dict[str, None] = {}
        within = [name for name in self._wanted if "." in name]
        for number, row in self._rows(TextLines(file)):
            names |= dict.fromkeys(row)
            names |= dict.fromkeys(name for name in within if name not in names and _is_in(row, name))
            if len(names) > _MOST_FIELDS:
                raise BadInput(f"{path}:{number}: by here the rows have more than {_MOST_FIELDS:,} fields")
        if not names:
            raise BadInput(f"{path}: is empty")
        self.columns = tuple(names)
        file.seek(0)
        self._lines = TextLines(file)

    @property
    def sha256(self) -> str:
        return self._lines.sha256

    def __iter__(self) -> Iterator[CsvRow]:
        wanted = [name for name in self.columns if name in self._wanted]
        unread = dict.fromkeys(self.columns, "")
        for number, row in self._rows(self._lines):
            yield CsvRow(number, unread | {name: self._cell(number, row, name) for name in wanted})

    def _rows(self, lines: TextLines) -> Iterator[tuple[int, dict[str, object]]]:
        try:
            for number, line in lines:
                if number == 1 and line.startswith(LFS_POINTER):
                    raise BadInput(f"{self.path}: is a git-lfs pointer, not the data; run `git lfs pull` there")
                if line.strip():
                    yield number, self._row(number, line)
        except LineProblem as error:
            raise BadInput(f"{self.path}:{error.line}: {error.problem}") from None
        except OSError as error:
            raise BadInput(f"{self.path}: cannot be read: {error.strerror}") from None

    def _row(self, number: int, line: str) -> dict[str, object]:
        where = f"{self.path}:{number}"
        try:
            row: object = _DECODER.decode(line)
        except json.JSONDecodeError as error:
            raise BadInput(f"{where}: is not JSON: {error.msg} (character {error.colno})") from None
        except ValueError as error:
            raise BadInput(f"{where}: {error}") from None
        except RecursionError:
            raise BadInput(f"{where}: is nested too deeply") from None
        if not isinstance(row, dict):
            raise BadInput(f"{where}: is no JSON object; each line has to be one, such as {_EXAMPLE}")
        return cast("dict[str, object]", row)

    def _cell(self, number: int, row: dict[str, object], name: str) -> str:
        match _value(row, name):
            case None:
                return ""
            case bool(value):
                return "true" if value else "false"
            case str(text):
                return well_formed(text)
            case _:
                raise BadInput(f"{self.path}:{number}: {one_line(name, 60)}: is a list or an object, not a value")


@contextmanager
def json_lines_file(path: Path, wanted: Iterable[str]) -> Generator[JsonLinesFile]:
    """Open a file of JSON Lines. Raises BadInput, also while it is read."""
    try:
        file = open_file(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    with file:
        yield JsonLinesFile(path, file, wanted)


_EXAMPLE = '{"question": "...", "answer": "..."}'


def _fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise ValueError(f"has two fields {one_line(counts.most_common(1)[0][0], 60)}")
    return fields


_DECODER = json.JSONDecoder(object_pairs_hook=_fields, parse_float=str, parse_int=str, parse_constant=str)


def _value(row: dict[str, object], name: str) -> object:
    """The value of a field, None where the row lacks it."""
    if name in row:
        return row[name]
    return functools.reduce(_field, name.split("."), cast("object", row))


def _field(value: object, name: str) -> object:
    return cast("dict[str, object]", value).get(name) if isinstance(value, dict) else None


def _is_in(row: dict[str, object], name: str) -> bool:
    return name in row or _value(row, name) is not None
