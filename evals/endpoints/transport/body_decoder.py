"""The decoded body of a reply, with a limit that holds while it is read: few compressed bytes can stand for many.

Only what requests ask for is decoded (gzip, deflate), one encoding at most.
"""

from __future__ import annotations

import zlib
from collections.abc import AsyncIterable, AsyncIterator
from typing import Protocol

ACCEPT_ENCODING = "gzip, deflate"
_SLICE = 1 << 16
"""Bytes given to a decompressor at a time: after each member it copies what is left of them."""
_MAX_MEMBERS = 64
_GZIP, _ZLIB, _RAW = 31, 15, -15


class Undecodable(Exception):
    """A body that is not what its Content-Encoding says."""


class _Decoder(Protocol):
    def decode(self, data: bytes, most: int) -> bytes:
        """The next decoded bytes, and no more than `most`, which is at least 1. Raises Undecodable."""
        ...

    def finish(self) -> None:
        """Raises Undecodable for a body that ends too early."""
        ...


async def read_bounded(chunks: AsyncIterable[bytes], content_encoding: str, limit: int) -> bytes | None:
    """The decoded body, None for one of more than `limit` bytes, of which no more are decoded. Raises Undecodable."""
    body, is_whole = await _read(chunks, _decoder(content_encoding), limit)
    return body if is_whole else None


async def read_first_part(chunks: AsyncIterable[bytes], content_encoding: str, limit: int) -> bytes:
    """The first `limit` bytes of a decoded body, or as many as can be decoded."""
    try:
        body, _ = await _read(chunks, _decoder(content_encoding), limit)
    except Undecodable:
        return b""
    return body[:limit]


async def decoded_pieces(chunks: AsyncIterable[bytes], content_encoding: str, limit: int) -> AsyncIterator[bytes]:
    """The decoded body piece by piece, in all one byte above `limit` at most, by which a larger one can be told. Raises
    Undecodable."""
    decoder, decoded = _decoder(content_encoding), 0
    async for chunk in chunks:
        for start in range(0, len(chunk), _SLICE):
            piece = decoder.decode(chunk[start : start + _SLICE], limit - decoded + 1)
            decoded += len(piece)
            yield piece
            if decoded > limit:
                return
    decoder.finish()


async def _read(chunks: AsyncIterable[bytes], decoder: _Decoder, limit: int) -> tuple[bytes, bool]:
    """The decoded bytes, and whether these are all: the first byte above the limit is the last one decoded."""
    pieces: list[bytes] = []
    decoded = encoded = 0
    async for chunk in chunks:
        piece = decoder.decode(chunk, limit - decoded + 1)
        decoded += len(piece)
        encoded += len(chunk)
        pieces.append(piece)
        if decoded > limit or encoded > limit:
            return b"".join(pieces), False
    decoder.finish()
    return b"".join(pieces), True


def _decoder(content_encoding: str) -> _Decoder:
    named = [name.strip().lower() for name in content_encoding.split(",")]
    match [name for name in named if name not in ("", "identity")]:
        case []:
            return _Identity()
        case ["gzip" | "x-gzip"]:
            return _Zlib(_GZIP)
        case ["deflate"]:
            return _Zlib(None)
        case _:
            raise Undecodable(f"Content-Encoding {content_encoding[:60]!r}, which was not asked for")


class _Identity:
    def decode(self, data: bytes, most: int) -> bytes:
        return data[:most] if len(data) > most else data

    def finish(self) -> None:
        pass


class _Zlib:
    """gzip, which may have several members, and deflate (`wbits` None), which servers send with and without a
    header."""

    def __init__(self, wbits: int | None) -> None:
        self._wbits = wbits
        self._stream = None if wbits is None else zlib.decompressobj(wbits)
        self._members = 1
        self._is_empty = True

    def decode(self, data: bytes, most: int) -> bytes:
        pieces: list[bytes] = []
        made = 0
        for start in range(0, len(data), _SLICE):
            left = data[start : start + _SLICE]
            while left:
                piece, left = self._next(left, most - made)
                made += len(piece)
                pieces.append(piece)
                if made >= most:
                    return b"".join(pieces)
        return b"".join(pieces)

    def _next(self, data: bytes, most: int) -> tuple[bytes, bytes]:
        """Some decoded bytes, and what is left of `data`."""
        self._is_empty = False
        if self._stream is None:
            self._wbits = _ZLIB if data[0] & 0x0F == 8 else _RAW  # 8: the method in the header of zlib's format
            self._stream = zlib.decompressobj(self._wbits)
        elif self._stream.eof:
            self._members += 1
            if self._wbits != _GZIP or self._members > _MAX_MEMBERS:
                raise Undecodable("a compressed body with more after its end")
            self._stream = zlib.decompressobj(_GZIP)
        try:
            piece = self._stream.decompress(data, most)
        except zlib.error as error:
            raise Undecodable(f"a compressed body that is damaged: {error}") from None
        return piece, self._stream.unused_data if self._stream.eof else self._stream.unconsumed_tail

    def finish(self) -> None:
        if not self._is_empty and self._stream is not None and not self._stream.eof:
            raise Undecodable("a compressed body that ends too early")
