"""Which of several servers a prompt goes to: the same one each time, so that its repeats find their prefix cached.

Rendezvous hashing: each pair of a prompt and a server has a weight, and the server with the greatest gets the prompt. A
server that leaves moves only the prompts that it had, one that joins takes an even share from all.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable

_MASK = (1 << 64) - 1


def digest_of(texts: Iterable[str]) -> int:
    """64 bits that stand for these texts, the same in every process."""
    hashed = "\0".join(texts).encode("utf-8", "surrogatepass")
    return int.from_bytes(hashlib.blake2b(hashed, digest_size=8).digest(), "big")


def seed_of(url: str) -> int:
    """The odd number of 64 bits that a server is known by."""
    return digest_of((url,)) | 1


def weight(prompt: int, server: int) -> int:
    """The weight of a prompt, by its digest, at a server, by its seed: even over 64 bits, and as good as independent of
    that at another server."""
    return prompt * server & _MASK
