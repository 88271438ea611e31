"""Check the zip file of an Inspect log before anything of it is believed: its directory, its sizes, every checksum.

Inspect's reader checks no checksum and decodes an entry whole, however large. So each entry is decoded here first,
piece by piece. What passes has one meaning for every reader of zip files.
"""

from __future__ import annotations

import struct
import zlib
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO, NamedTuple

from evals.errors import BadInput
from evals.io.json_files import checked_values
from evals.io.paths import MIB, open_file
from evals.text import one_line

MOST_ARCHIVE = 2 << 30
MOST_DECODED = 4 << 30
MOST_ENTRY = 64 * MIB
MOST_ENTRIES = 100_000

_MOST_DIRECTORY = 32 * MIB
_PIECE = MIB
_STORED, _DEFLATE, _ZSTD = 0, 8, 93
_END = struct.Struct("<4s4H2LH")
_LOCATOR = struct.Struct("<4sLQL")
_END_64 = struct.Struct("<4sQ2H2L4Q")
_RECORD = struct.Struct("<4s6H3L5H2L")
_LOCAL = struct.Struct("<4s5H3L2H")
_ENCRYPTED = 0x2041
"""The flags of encrypted data and of an encrypted directory."""
_UTF_8 = 0x800
_KNOWN_FLAGS = _ENCRYPTED | _UTF_8 | 0xE
"""These, and those of the compression's level and of sizes that stand behind the data."""


class _Fault(Exception):
    """What is wrong with the archive, or with its entry `name`."""

    def __init__(self, text: str, name: str = "") -> None:
        super().__init__(f"entry {one_line(name, 80)}: {text}" if name else text)


class _Entry(NamedTuple):
    name: str
    flags: int
    method: int
    crc: int
    packed: int
    size: int
    offset: int


def check_archive(path: Path) -> int:
    """The decoded size of the largest entry of a log. Raises BadInput that names the file and the entry."""
    try:
        with open_file(path, MOST_ARCHIVE) as file:
            entries, end = _directory(file)
            for entry, start in list(_data_starts(file, entries, end)):
                _check_entry(file, entry, start)
    except OSError as error:
        raise BadInput(f"{path}: cannot be read: {error.strerror}") from None
    except _Fault as fault:
        raise BadInput(f"{path}: not an Inspect log that can be read: {fault}") from None
    return max((entry.size for entry in entries), default=0)


# --- the directory ----------------------------------------------------------------------------------------------------


def _directory(file: BinaryIO) -> tuple[list[_Entry], int]:
    """The entries of the archive in their order in the file, and where the directory begins. Raises _Fault."""
    count, offset, end = _place(file)
    if count > MOST_ENTRIES:
        raise _Fault(f"it holds {count:,} entries, and at most {MOST_ENTRIES:,} are read")
    if end - offset > _MOST_DIRECTORY:
        raise _Fault(f"its directory is larger than {_MOST_DIRECTORY // MIB} MiB")
    file.seek(offset)
    content = file.read(end - offset)
    entries: list[_Entry] = []
    position = 0
    for _ in range(count):
        entry, position = _record(content, position)
        entries.append(entry)
    if position != len(content):
        raise _Fault("its directory holds more than it says")
    name, most = Counter(entry.name for entry in entries).most_common(1)[0] if entries else ("", 1)
    if most > 1:
        raise _Fault("is there twice", name)
    total = sum(entry.size for entry in entries)
    if total > MOST_DECODED:
        raise _Fault(f"it decodes to {total / (1 << 30):,.1f} GiB, and at most {MOST_DECODED >> 30} GiB are read")
    return sorted(entries, key=lambda entry: entry.offset), offset


def _place(file: BinaryIO) -> tuple[int, int, int]:
    """How many entries the directory has, where it begins and where it ends. Raises _Fault."""
    length = file.seek(0, 2)
    at = length - _END.size
    signature, *disks, here, count, size, offset, comment = _END.unpack(_read(file, at, _END.size))
    if signature != b"PK\x05\x06" or comment:
        raise _Fault("it does not end as a zip file does; it is cut off, or no zip file")
    large = 0xFFFF in (here, count) or 0xFFFFFFFF in (size, offset)
    if large and at >= _LOCATOR.size:
        signature, disk, record_at, _ = _LOCATOR.unpack(_read(file, at - _LOCATOR.size, _LOCATOR.size))
        if signature == b"PK\x06\x07":
            at -= _LOCATOR.size + _END_64.size
            if record_at != at:
                raise _Fault("its directory is not where it says")
            signature, _, _, _, *disks, here, count, size, offset = _END_64.unpack(_read(file, at, _END_64.size))
            disks.append(disk)
            if signature != b"PK\x06\x06":
                raise _Fault("its directory is not where it says")
    if any(disks) or here != count:
        raise _Fault("it is one of several parts")
    if offset + size != at:
        raise _Fault("its directory is not where it says")
    return count, offset, at


def _record(content: bytes, position: int) -> tuple[_Entry, int]:
    """The entry whose record begins at `position`, and where the next one begins. Raises _Fault."""
    if position + _RECORD.size > len(content):
        raise _Fault("its directory holds less than it says")
    fields = _RECORD.unpack_from(content, position)
    signature, flags, method, crc, packed, size = fields[0], fields[3], fields[4], *fields[7:10]
    lengths, offset = fields[10:13], fields[16]
    position += _RECORD.size
    raw = content[position : position + lengths[0]]
    position += sum(lengths)
    if signature != b"PK\x01\x02" or position > len(content):
        raise _Fault("its directory is damaged")
    try:
        name = raw.decode()
    except UnicodeDecodeError:
        raise _Fault("its directory holds a name that is not UTF-8") from None
    extra = content[position - lengths[2] - lengths[1] : position - lengths[2]]
    packed, size, offset = _large_values(extra, packed, size, offset)
    entry = _Entry(name, flags, method, crc, packed, size, offset)
    _check_record(entry)
    return entry, position


def _large_values(extra: bytes, packed: int, size: int, offset: int) -> tuple[int, int, int]:
    """The values with those that stand in the zip64 field because they take more than 32 bits."""
    position = 0
    while position + 4 <= len(extra):
        kind, length = struct.unpack_from("<HH", extra, position)
        position += 4
        if kind == 1:
            found = [value for (value,) in struct.iter_unpack("<Q", extra[position:][: length // 8 * 8])]
            values = (size, packed, offset)
            size, packed, offset = (found.pop(0) if value == 0xFFFFFFFF and found else value for value in values)
            break
        position += length
    return packed, size, offset


def _check_record(entry: _Entry) -> None:
    name = entry.name
    if not name or name.startswith(("/", "\\")) or ".." in name.replace("\\", "/").split("/") or "\0" in name:
        raise _Fault("has a name that leads out of the archive", name or "without a name")
    if not name.isascii() and not entry.flags & _UTF_8:
        raise _Fault("has a name that is not ASCII and not said to be UTF-8", name)
    if entry.flags & _ENCRYPTED:
        raise _Fault("is encrypted", name)
    if entry.flags & ~_KNOWN_FLAGS:
        raise _Fault("has flags that are not known", name)
    if entry.method not in (_STORED, _DEFLATE, _ZSTD):
        raise _Fault(f"is compressed in a way that is not known (method {entry.method})", name)
    if entry.size > MOST_ENTRY:
        raise _Fault(f"decodes to {entry.size / MIB:,.0f} MiB, and at most {MOST_ENTRY // MIB} MiB are read", name)


# --- the entries ------------------------------------------------------------------------------------------------------


def _data_starts(file: BinaryIO, entries: list[_Entry], end: int) -> Iterator[tuple[_Entry, int]]:
    """Each entry with the place where its data begins. `end` is that of all data.

    Raises _Fault for entries that overlap or are not where the directory says.
    """
    free = 0
    for entry in entries:
        if entry.offset < free:
            raise _Fault("overlaps with another", entry.name)
        header = _LOCAL.unpack(_read(file, entry.offset, _LOCAL.size))
        flags, method, name_length, extra_length = header[2], header[3], *header[9:]
        name = _read(file, entry.offset + _LOCAL.size, name_length)
        same = (header[0], name, method) == (b"PK\x03\x04", entry.name.encode(), entry.method)
        if not same or flags & _ENCRYPTED:
            raise _Fault("is not where the directory says, or another one", entry.name)
        start = entry.offset + _LOCAL.size + name_length + extra_length
        free = start + entry.packed
        if free > end:
            raise _Fault("reaches into the directory", entry.name)
        yield entry, start


def _check_entry(file: BinaryIO, entry: _Entry, start: int) -> None:
    """Decode an entry and compare it with its checksum. Raises _Fault."""
    import zstandard

    crc = size = 0
    try:
        for piece in checked_values(_decoded(file, entry, start)):
            crc = zlib.crc32(piece, crc)
            size += len(piece)
            if size > entry.size:
                raise _Fault("decodes to more than it says", entry.name)
    except (zlib.error, zstandard.ZstdError):
        raise _Fault("is damaged: it cannot be decoded", entry.name) from None
    except ValueError as error:
        raise _Fault(str(error), entry.name) from None
    if size != entry.size or crc != entry.crc:
        raise _Fault("is damaged: its checksum is another one", entry.name)


def _decoded(file: BinaryIO, entry: _Entry, start: int) -> Iterator[bytes]:
    packed = _packed(file, start, entry.packed)
    if entry.method == _STORED:
        yield from packed
    elif entry.method == _DEFLATE:
        yield from _inflated(packed)
    else:
        yield from _unpacked_frames(packed)


def _packed(file: BinaryIO, start: int, length: int) -> Iterator[bytes]:
    for at in range(start, start + length, _PIECE):
        yield _read(file, at, min(_PIECE, start + length - at))


def _inflated(packed: Iterator[bytes]) -> Iterator[bytes]:
    stream = zlib.decompressobj(-15)
    for piece in packed:
        if stream.eof:
            raise zlib.error("there is more behind its end")
        found = stream.decompress(piece, _PIECE)
        yield found
        while stream.unconsumed_tail or len(found) == _PIECE:
            found = stream.decompress(stream.unconsumed_tail, _PIECE)
            yield found
    if not stream.eof or stream.unused_data:
        raise zlib.error("its end is missing, or not where the entry ends")


def _unpacked_frames(packed: Iterator[bytes]) -> Iterator[bytes]:
    """The content of zstd frames one after the other."""
    import zstandard

    class _Pieces:
        def read(self, _size: int = -1) -> bytes:
            return next(packed, b"")

    with zstandard.ZstdDecompressor().stream_reader(_Pieces(), read_across_frames=True) as stream:  # pyright: ignore[reportArgumentType]
        while piece := stream.read(_PIECE):
            yield piece


def _read(file: BinaryIO, at: int, length: int) -> bytes:
    """`length` bytes at a place of the file. Raises _Fault where it ends before."""
    if at >= 0:
        file.seek(at)
        content = file.read(length)
        if len(content) == length:
            return content
    raise _Fault("it is cut off, or no zip file")
