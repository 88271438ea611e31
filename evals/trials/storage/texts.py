"""Texts, ids and times as a journal stores them: short where they can be made short, as they are where not.

A long text is deflated, if that makes it shorter: three bytes with its length, then a raw deflate stream, as a blob.
It may be deflated against another text, which has to be given again to read it.
"""

from __future__ import annotations

import sqlite3
import zlib
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any

MOST = (1 << 24) - 1
"""Bytes of a text that is deflated, and characters of one that another is a part of."""
_LEAST = 64
_WINDOW = 32_000
_BITS = 24
_LEAST_BITS, _LOOKAHEAD = 10, 262
"""Of zlib's window, and the bytes of it in which no match is looked for."""
_RAW = -15  # a deflate stream without a header of its own; rows have a checksum


def text_hash(text: str) -> bytes:
    """Sixteen bytes that tell a shared text from every other."""
    return blake2b(text.encode(), digest_size=16).digest()


def window_of(text: str) -> bytes:
    """What of a text others can be deflated against."""
    return text[-_WINDOW:].encode()[-_WINDOW:]


def packed(text: str, window: bytes = b"", least: int = _LEAST) -> str | bytes:
    """A text as it is stored, deflated against another's window."""
    plain = text.encode()
    if not least <= len(plain) <= MOST:
        return text
    deflate = _deflater(len(plain), window)
    stored = len(plain).to_bytes(3, "little") + deflate.compress(plain) + deflate.flush()
    return stored if len(stored) < len(plain) else text


def _deflater(size: int, window: bytes) -> Any:
    """Deflates `size` bytes against a window, in no more memory than that takes: for a short text, to get the memory
    for a long one takes ten times as long as to deflate it."""
    bits = min(15, max(_LEAST_BITS, (size + len(window) + _LOOKAHEAD).bit_length()))
    how = (6, zlib.DEFLATED, -bits, min(8, bits - 6), zlib.Z_DEFAULT_STRATEGY)
    return zlib.compressobj(*how, window) if window else zlib.compressobj(*how)


def unpacked(stored: str | bytes, window: bytes = b"") -> str:
    """The text that `packed` made something of. Raises sqlite3.DatabaseError for anything else."""
    if isinstance(stored, str):
        return stored
    try:
        length = int.from_bytes(stored[:3], "little")
        inflate = zlib.decompressobj(_RAW, zdict=window) if window else zlib.decompressobj(_RAW)
        plain = inflate.decompress(stored[3:], length + 1)
        if len(plain) != length or not inflate.eof or inflate.unused_data:
            raise sqlite3.DatabaseError("a text is not as long as it says")
        return plain.decode()
    except (TypeError, ValueError, zlib.error) as error:
        raise sqlite3.DatabaseError(f"a text cannot be read: {error}") from None


def part_of(part: str, first: str, second: str) -> int | str:
    """Where a text stands in one of two others: 24 bits of its length under its place, one's complement for the
    second; the text itself where it is in neither."""
    if len(part) <= MOST:
        for whole, is_second in ((first, False), (second, True)):
            place = whole.find(part)
            if 0 <= place <= MOST:
                number = place << _BITS | len(part)
                return ~number if is_second else number
    return part


def read_part(stored: int, first: str, second: str) -> str:
    """The text that `part_of` told the place of. Raises sqlite3.DatabaseError if it ends outside."""
    whole, number = (first, stored) if stored >= 0 else (second, ~stored)
    place, length = number >> _BITS, number & MOST
    if place + length > len(whole):
        raise sqlite3.DatabaseError("a text is a part of a shorter one")
    return whole[place : place + length]


def packed_id(name: str) -> str | bytes:
    """An id as it is stored: sixteen bytes if it is 32 hex digits."""
    if len(name) == 32:
        try:
            number = bytes.fromhex(name)
        except ValueError:
            return name
        if number.hex() == name:
            return number
    return name


def unpacked_id(stored: str | bytes) -> str:
    return stored if isinstance(stored, str) else stored.hex()


def packed_time(when: str) -> int | str:
    """A time as it is stored: milliseconds since 1970 if it is written as `unpacked_time` writes it."""
    try:
        moment = datetime.fromisoformat(when)
        number = int(moment.timestamp()) * 1000 + moment.microsecond // 1000
        return number if unpacked_time(number) == when else when
    except (ValueError, OverflowError, OSError):
        return when


def unpacked_time(stored: int) -> str:
    moment = datetime.fromtimestamp(stored // 1000, UTC).replace(microsecond=stored % 1000 * 1000)
    return moment.isoformat(timespec="milliseconds")


def seed_of(trial_id: str | bytes) -> int | None:
    """The seed that follows from an id of 32 hex digits, as it is stored; None for another id."""
    return int.from_bytes(trial_id[-4:], "big") & 0x7FFFFFFF if isinstance(trial_id, bytes) else None
