"""Read CSV files from any source: strictly, row by row in bounded memory, with file and line in every error.

The files are untrusted, so an endless cell or line is an error and does not fill the memory.
"""

from __future__ import annotations

import csv
import hashlib
from collections.abc import Generator, Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO, NamedTuple

from evals.errors import BadInput
from evals.io.paths import open_file
from evals.text import one_line

LFS_POINTER = "version https://git-lfs.github.com/spec/"

_HEADER_BYTES = 2**16
_LONGEST = 16 * 2**20  # of a line and of a row in bytes, of a cell in characters


class CsvRow(NamedTuple):
    """The cells of a row by column, and the line at which it begins, from 1."""

    line: int
    cells: dict[str, str]


class CsvFile:
    """An open CSV file in UTF-8, with a header. Iterate once; `sha256` covers the bytes read so far.

    One written `by_hand` may have semicolons in place of commas, as spreadsheets write it in locales with decimal
    commas; it has to be seekable.
    """

    def __init__(self, path: Path, file: BinaryIO, known: Iterable[str], *, by_hand: bool = False) -> None:
        self.path = path
        self._file = file
        self._hash = hashlib.sha256()
        self._row_bytes = 0
        self._reader = csv.reader(self._lines(), strict=True, delimiter=_delimiter(file) if by_hand else ",")
        first = next(self.records(), None)
        if first is None:
            raise BadInput(f"{path}: is empty")
        self.columns = tuple(name.strip() for name in first[1])
        for name in known:
            if self.columns.count(name) > 1:
                raise BadInput(f"{path}:{first[0]}: has two columns {name}")

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def require(self, *names: str) -> None:
        """Raise BadInput if the file lacks one of these columns."""
        for name in names:
            if name not in self.columns:
                found = one_line(", ".join(self.columns), 200)
                raise BadInput(f"{self.path}:1: has no column {name}; it has: {found}")

    def __iter__(self) -> Iterator[CsvRow]:
        for line, cells in self.records():
            if len(cells) != len(self.columns):
                raise BadInput(f"{self.path}:{line}: has {len(cells)} cells, and the header {len(self.columns)}")
            yield CsvRow(line, dict(zip(self.columns, cells, strict=True)))

    def records(self) -> Iterator[tuple[int, list[str]]]:
        """Each record with the line at which it begins; blank lines are skipped."""
        while True:
            line = self._reader.line_num + 1
            self._row_bytes = 0
            try:
                with _cells_up_to(_LONGEST):
                    cells = next(self._reader, None)
            except csv.Error as error:
                raise BadInput(f"{self.path}:{line}: is not CSV: {one_line(str(error), 120)}") from None
            if cells is None:
                return
            if cells:
                yield line, cells

    def _lines(self) -> Iterator[str]:
        number = 0
        while True:
            try:
                line = self._file.readline(_LONGEST + 1)
            except OSError as error:
                raise BadInput(f"{self.path}: cannot be read: {error.strerror}") from None
            if not line:
                return
            number += 1
            if len(line) > _LONGEST:
                raise BadInput(f"{self.path}:{number}: the line does not end within {_LONGEST >> 20} MiB")
            self._row_bytes += len(line)
            if self._row_bytes > _LONGEST:
                raise BadInput(f"{self.path}:{number}: the row does not end within {_LONGEST >> 20} MiB")
            self._hash.update(line)
            try:
                text = line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise BadInput(f"{self.path}:{number}: is not UTF-8 text; save it as UTF-8") from None
            if number == 1 and text.startswith(LFS_POINTER):
                raise BadInput(f"{self.path}: is a git-lfs pointer, not the data; run `git lfs pull` in that checkout")
            yield text


@contextmanager
def csv_file(path: Path, known: Iterable[str] = (), *, by_hand: bool = False) -> Generator[CsvFile]:
    """Open a CSV file, in which `known` columns may not repeat, as a CsvFile. Raises BadInput, also while it is
    read."""
    try:
        file = open_file(path)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    with file:
        yield CsvFile(path, file, known, by_hand=by_hand)


def _delimiter(file: BinaryIO) -> str:
    header = file.readline(_HEADER_BYTES)
    file.seek(0)
    return ";" if b";" in header and b"," not in header else ","


@contextmanager
def _cells_up_to(characters: int) -> Generator[None]:
    """Limit the length of a cell, which is a global setting of Python's csv module."""
    before = csv.field_size_limit(characters)
    try:
        yield
    finally:
        csv.field_size_limit(before)
