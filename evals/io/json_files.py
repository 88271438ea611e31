"""Read JSON: emeval's own files as their pydantic models, and JSON lines of anyone in bounded memory."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import BinaryIO, TypeVar

from pydantic import BaseModel, ValidationError

from evals.errors import BadInput
from evals.io.paths import MIB, MOST_JSON, read_file

MOST_VALUES = 4_000_000
"""JSON values in one text, by its commas and brackets: each takes some hundred bytes of memory."""
_LONGEST_LINE = 4 * MIB
_Model = TypeVar("_Model", bound=BaseModel)


def read_stored(path: Path, model: type[_Model], what: str) -> _Model | None:
    """The model in the file, None if there is no file. Raises BadInput; `what` is its noun, such as "a manifest"."""
    try:
        return model.model_validate_json(read_file(path, MOST_JSON))
    except FileNotFoundError:
        return None
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    except ValidationError as error:
        field = ".".join(str(part) for part in error.errors()[0]["loc"]) or "file"
        raise BadInput(f"{path}: {field}: not {what} of this version of emeval") from None


class LineProblem(Exception):
    """Why a line (from 1) of a file is not read."""

    def __init__(self, line: int, problem: str) -> None:
        super().__init__(problem)
        self.line, self.problem = line, problem


class TextLines:
    """The numbered lines of an open file in UTF-8. Iterate once; `sha256` covers the bytes read so far.

    Lines end at a line feed only: other separators are valid inside a JSON string. Raises LineProblem, and OSError.
    """

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._hash = hashlib.sha256()

    @property
    def sha256(self) -> str:
        return self._hash.hexdigest()

    def __iter__(self) -> Iterator[tuple[int, str]]:
        number = 0
        while line := self._file.readline(_LONGEST_LINE + 1):
            number += 1
            if len(line) > _LONGEST_LINE:
                raise LineProblem(number, f"the line does not end within {_LONGEST_LINE // MIB} MiB")
            self._hash.update(line)
            try:
                yield number, line.decode("utf-8-sig" if number == 1 else "utf-8")
            except UnicodeDecodeError:
                raise LineProblem(number, "is not UTF-8 text; save it as UTF-8") from None


def checked_values(pieces: Iterable[bytes]) -> Iterator[bytes]:
    """The pieces of a JSON text as they are. Raises ValueError for one that holds too many values."""
    values = 0
    for piece in pieces:
        values += sum(piece.count(sign) for sign in (b",", b"[", b"{"))
        if values > MOST_VALUES:
            raise ValueError(f"holds more than {MOST_VALUES:,} values")
        yield piece
