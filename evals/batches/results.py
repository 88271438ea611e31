"""The lines of result files by the ids of their requests: read once to know what is there, and again one by one.

Files come from elsewhere: lines are bounded, and what is in the files twice has to be the same.
"""

from __future__ import annotations

import hashlib
import json
import re
from collections.abc import Callable, Generator, Iterable, Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from pathlib import Path
from tempfile import TemporaryFile
from typing import Any, BinaryIO, NamedTuple, cast

from evals.endpoints.transport.reply_json import check_values
from evals.endpoints.transport.transport import MEGABYTE, TooLarge
from evals.errors import BadInput
from evals.io.paths import open_file
from evals.text import one_line

_ID = re.compile("[0-9a-f]{32}")


class ResultFile(NamedTuple):
    """A file of results, open at its beginning in binary mode and seekable. `name` is for people."""

    name: str
    file: BinaryIO


@contextmanager
def opened(paths: Iterable[Path]) -> Generator[list[ResultFile]]:
    """The files at these paths. Raises BadInput for one that cannot be read."""
    with ExitStack() as stack:
        files: list[ResultFile] = []
        for path in paths:
            try:
                files.append(ResultFile(str(path), stack.enter_context(open_file(path))))
            except OSError as error:
                raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
        yield files


@contextmanager
def spooled(name: str, lines: Iterable[bytes | str]) -> Generator[ResultFile]:
    """Lines that are in no file yet, such as those of a running job; each with or without its line end. The last
    may be cut off, where it has none."""
    with TemporaryFile() as file:
        between = b""
        for line in lines:
            content = line.encode() if isinstance(line, str) else line
            file.write(between + content)
            between = b"" if content.endswith(b"\n") else b"\n"
        file.seek(0)
        yield ResultFile(name, cast("BinaryIO", file))


class _Place(NamedTuple):
    """Where a line is: its file, its number from 1, its first byte and its length; and the digest of its bytes."""

    file: int
    number: int
    offset: int
    length: int
    digest: bytes


class Results:
    """What result files hold, by the ids of the requests. `doubles` are lines that are there more than once.

    A last line that was cut off is said and left out. Raises BadInput, with file and line, for anything else that is no
    result, and for two results of one request.
    """

    def __init__(self, files: Sequence[ResultFile], say: Callable[[str], None], *, max_reply_mb: float) -> None:
        self._files = files
        self._say = say
        self._max_reply_mb = max_reply_mb
        self._places: dict[str, _Place] = {}
        self.doubles = 0
        for index in range(len(files)):
            try:
                self._scan(index)
            except OSError as error:
                raise BadInput(f"{files[index].name}: cannot be read: {error.strerror}") from None

    def __contains__(self, custom_id: str) -> bool:
        return custom_id in self._places

    def __len__(self) -> int:
        return len(self._places)

    def ids(self) -> Iterator[str]:
        return iter(self._places)

    def where(self, custom_id: str) -> str:
        """The file and line of a result."""
        place = self._places[custom_id]
        return f"{self._files[place.file].name}:{place.number}"

    def place_of(self, custom_id: str) -> tuple[int, int]:
        """The number of the file, from 0, and of the line, from 1: results can be sorted by it."""
        place = self._places[custom_id]
        return place.file, place.number

    def read(self, custom_id: str) -> Mapping[str, Any]:
        """The result of a request. Raises BadInput if its file has changed since."""
        place = self._places[custom_id]
        content = self._bytes(place)
        if _digest(content) != place.digest:
            raise BadInput(f"{self.where(custom_id)}: the file changed while it was read; import it again")
        return _parsed(content)

    def _bytes(self, place: _Place) -> bytes:
        file = self._files[place.file].file
        try:
            file.seek(place.offset)
            return file.read(place.length)
        except OSError as error:
            raise BadInput(f"{self._files[place.file].name}: cannot be read: {error.strerror}") from None

    def _is_same(self, place: _Place, found: Mapping[str, Any]) -> bool:
        try:
            return _parsed(self._bytes(place)) == found
        except RecursionError:
            return False

    def _scan(self, index: int) -> None:
        file, most = self._files[index].file, int(self._max_reply_mb * MEGABYTE)
        number = offset = 0
        file.seek(0)
        while line := file.readline(most + 1):
            number += 1
            where = f"{self._files[index].name}:{number}"
            if len(line) > most:
                raise BadInput(f"{where}: the line is larger than {self._max_reply_mb:g} MB (--max-reply-mb)")
            place = _Place(index, number, offset, len(line), _digest(line))
            offset += len(line)
            if line.strip():
                self._note(place, line, where)

    def _note(self, place: _Place, line: bytes, where: str) -> None:
        try:
            found = _parsed(line)
        except TooLarge as error:
            raise BadInput(f"{where}: {error}") from None
        except ValueError as error:
            # A job that is killed leaves half a line, without an end.
            if line.lstrip(b"\xef\xbb\xbf \t").startswith(b"{") and not line.endswith(b"\n"):
                self._say(f"{where}: the last line was cut off, and is left out")
                return
            raise BadInput(f"{where}: is not JSON: {one_line(str(error), 80)}") from None
        custom_id = _custom_id(found, where)
        known = self._places.get(custom_id)
        if known is None:
            self._places[custom_id] = place
        elif known.digest == place.digest or self._is_same(known, found):
            self.doubles += 1
            self._files[place.file].file.seek(place.offset + place.length)  # the other may be in the same file
        else:
            raise BadInput(
                f"{where}: {custom_id} has another result in {self.where(custom_id)}; import only the one that counts"
            )


def _custom_id(found: Mapping[str, Any], where: str) -> str:
    custom_id = found.get("custom_id")
    if not isinstance(custom_id, str):
        raise BadInput(f"{where}: has no custom_id; a result is what a batch returns for a request")
    if not {"response", "result", "error"} & found.keys():
        is_request = bool({"body", "params"} & found.keys())
        what = "is a request, not its result" if is_request else "has neither a response nor a result"
        raise BadInput(f"{where}: {what}; give the files that the batch returned")
    if not _ID.fullmatch(custom_id):
        raise unknown(where, custom_id)
    return custom_id


def unknown(where: str, custom_id: str) -> BadInput:
    """The error for a result that answers nothing of the run."""
    return BadInput(
        f"{where}: {one_line(custom_id, 60)!r} is no request of this run: it belongs to another run, to other options, "
        "or to judges of answers that are missing. Nothing was imported"
    )


def _digest(content: bytes) -> bytes:
    return hashlib.blake2b(content.strip(), digest_size=16).digest()


def _parsed(line: bytes) -> Mapping[str, Any]:
    """The object in a line. Raises ValueError for one that is none, and TooLarge."""
    text = line.decode("utf-8-sig")
    check_values(text)
    try:
        value: object = json.loads(text)
    except RecursionError:
        raise ValueError("it is nested too deeply") from None
    if not isinstance(value, dict):
        raise ValueError("it is no object")
    return cast("dict[str, Any]", value)
