"""The rows of a table in any format, with the place of each for messages."""

from __future__ import annotations

import hashlib
import json
from collections import Counter
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from io import BytesIO
from pathlib import Path
from typing import NamedTuple, cast

from evals.errors import BadInput
from evals.io.csv_reader import LFS_POINTER, CsvFile
from evals.io.json_files import LineProblem, TextLines, checked_values
from evals.io.parquet import parquet_columns, parquet_rows
from evals.io.paths import MOST_DATA, read_file
from evals.questions.tables.names import LINES
from evals.text import one_line

_MOST_COLUMNS = 10_000
_UTF_16 = (b"\xff\xfe", b"\xfe\xff")


class TableRow(NamedTuple):
    """A row: its line in the file, from 1, and its values; where lines mean nothing (0) its number in words."""

    line: int
    number: str
    values: Mapping[str, object]


@dataclass(frozen=True)
class Table:
    """A file of rows. `rows` yields those values that it is asked for; it raises BadInput with file and line."""

    path: Path
    sha256: str
    columns: tuple[str, ...]
    rows: Callable[[Sequence[str]], Iterator[TableRow]]

    @property
    def head(self) -> str:
        """Where the names of the columns are, for messages."""
        return str(self.path) if _is_parquet(self.path) else f"{self.path}:1"


def read_table(path: Path) -> Table:
    """The table in `path`, by the ending of its name. Raises BadInput."""
    try:
        data = read_file(path, MOST_DATA)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    sha256 = hashlib.sha256(data).hexdigest()
    if not data.strip():
        raise BadInput(f"{path}: is empty")
    if data.startswith(LFS_POINTER.encode()):
        raise BadInput(f"{path}: is a git-lfs pointer, not the data; run `git lfs pull` in that checkout")
    if _is_parquet(path):
        return Table(path, sha256, parquet_columns(path), lambda wanted: _parquet(path, wanted))
    if data.startswith(_UTF_16) or b"\0" in data[:1024]:
        raise BadInput(f"{path}:1: is not UTF-8 text, but looks like UTF-16; save it as UTF-8")
    if path.suffix.lower() == ".csv":
        csv_columns = CsvFile(path, BytesIO(data), (), by_hand=True).columns
        _refuse_repeated(path, csv_columns)
        return Table(path, sha256, csv_columns, lambda _: _csv(path, data))
    is_list = path.suffix.lower() not in LINES and data.removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    objects = _json_list if is_list else _json_lines
    return Table(path, sha256, _fields_of(path, objects(path, data)), lambda _: objects(path, data))


def _is_parquet(path: Path) -> bool:
    return path.suffix.lower() == ".parquet"


def _parquet(path: Path, wanted: Sequence[str]) -> Iterator[TableRow]:
    for number, values in enumerate(parquet_rows(path, wanted), 1):
        yield TableRow(0, f"row {number}", values)


def _csv(path: Path, data: bytes) -> Iterator[TableRow]:
    for line, cells in CsvFile(path, BytesIO(data), (), by_hand=True):
        yield TableRow(line, "", cells)


def _refuse_repeated(path: Path, columns: Sequence[str]) -> None:
    twice = next((name for name in columns if name and columns.count(name) > 1), None)
    if twice is not None:
        raise BadInput(f"{path}:1: has two columns {one_line(twice, 60)}; rename one")


def _fields_of(path: Path, rows: Iterable[TableRow]) -> tuple[str, ...]:
    """The names of the fields of all rows, in the order in which they are met."""
    names: dict[str, None] = {}
    for row in rows:
        names |= dict.fromkeys(row.values)
        if len(names) > _MOST_COLUMNS:
            raise BadInput(f"{path}:{row.line}: by here the rows have more than {_MOST_COLUMNS:,} fields")
    return tuple(names)


def _json_lines(path: Path, data: bytes) -> Iterator[TableRow]:
    try:
        for number, line in TextLines(BytesIO(data)):
            text = line.strip()
            if text:
                row, end = _decoded(path, number, text, 0)
                if end != len(text):
                    raise BadInput(f"{path}:{number}: is not JSON: text after the object")
                yield _json_row(path, number, row)
    except LineProblem as problem:
        raise BadInput(f"{path}:{problem.line}: {problem.problem}") from None


def _json_list(path: Path, data: bytes) -> Iterator[TableRow]:
    """The objects of a list, each with the line that it begins on."""
    try:
        text = b"".join(checked_values([data])).decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = data.count(b"\n", 0, error.start) + 1
        raise BadInput(f"{path}:{line}: is not UTF-8 text; save it as UTF-8") from None
    except ValueError as error:
        raise BadInput(f"{path}: {error}") from None
    at, line, counted = _past_space(text, text.index("[") + 1), 1, 0
    is_open = text[at : at + 1] != "]"
    while is_open:
        line, counted = line + text.count("\n", counted, at), at
        row, at = _decoded(path, line, text, at)
        yield _json_row(path, line, row)
        at = _past_space(text, at)
        is_open = text[at : at + 1] == ","
        at = _past_space(text, at + 1) if is_open else at
    line += text.count("\n", counted, at)
    if text[at : at + 1] != "]":
        raise BadInput(f"{path}:{line}: is not JSON: the list has neither a comma nor its end here")
    if text[at + 1 :].strip():
        raise BadInput(f"{path}:{line}: is not JSON: there is text after the end of the list")


def _past_space(text: str, at: int) -> int:
    while text[at : at + 1] in _SPACE:
        at += 1
    return at


def _decoded(path: Path, line: int, text: str, at: int) -> tuple[object, int]:
    """The JSON value that begins at `at`, on this line of the file, and where it ends."""
    try:
        return _DECODER.raw_decode(text, at)
    except json.JSONDecodeError as error:
        raise BadInput(f"{path}:{max(line, error.lineno)}: is not JSON: {error.msg}") from None
    except ValueError as error:
        raise BadInput(f"{path}:{line}: {one_line(str(error), 120)}") from None
    except RecursionError:
        raise BadInput(f"{path}:{line}: is nested too deep") from None


def _json_row(path: Path, line: int, row: object) -> TableRow:
    if not isinstance(row, dict):
        raise BadInput(f'{path}:{line}: is not a JSON object; a row is one, such as {{"question": "..."}}')
    return TableRow(line, "", cast("dict[str, object]", row))


class JsonNumber(str):
    """A number of a JSON file as it is written: as an id, 007 and 1.50 are what the file says."""

    __slots__ = ()


def _fields(pairs: list[tuple[str, object]]) -> dict[str, object]:
    fields = dict(pairs)
    if len(fields) < len(pairs):
        counts = Counter(name for name, _ in pairs)
        raise ValueError(f"has two fields {one_line(counts.most_common(1)[0][0], 60)}")
    return fields


_SPACE = frozenset(" \t\r\n")
_DECODER = json.JSONDecoder(
    object_pairs_hook=_fields, parse_float=JsonNumber, parse_int=JsonNumber, parse_constant=JsonNumber
)
