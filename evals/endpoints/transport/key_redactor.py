"""Take a server's key out of what the server says: one that repeats its request would put the key into run folders.

Found in any case, with spaces, line ends and invisible characters in it, percent-encoded, and in base64 (as a header
of HTTP's basic login, or a dump, has it). A text without the key costs a few scans for a fixed string. This is for
servers that repeat a key, not for those that hide it: they have it, and can write it down in any way they like.
"""

from __future__ import annotations

import re
from base64 import b64encode
from urllib.parse import quote

MARK = "[key]"
_SHORTEST = 8
_SURELY_SECRET = 20
_INVISIBLE = (
    "\u00ad\u034f\u061c\u180e\u200b-\u200f\u202a-\u202e\u2060-\u206f\ufe00-\ufe0f\ufeff\ufff9-\ufffb"
    "\U000e0001\U000e0020-\U000e007f"
)
_GAP = f"[\\s{_INVISIBLE}]*+"  # possessive: it never tries fewer, so that a search takes linear time


def is_secret(key: str) -> bool:
    """Whether a key is one at all: `none`, `EMPTY` and `not-needed` are words, which texts may hold."""
    has_digit = any(map(str.isdigit, key))
    return len(key) >= _SURELY_SECRET or (len(key) >= _SHORTEST and has_digit)


class KeyRedactor:
    """Redacts one key; none if it is no secret."""

    def __init__(self, key: str) -> None:
        forms = _forms(key) if is_secret(key) else []
        self._searched = [form.lower() for form in forms]
        self._pattern = re.compile("|".join(_GAP.join(map(re.escape, form)) for form in forms), re.IGNORECASE)

    def redact(self, text: str) -> str:
        """The text with a mark for each place where the key stands."""
        if not self._searched or not text:
            return text
        dense = _dense(text)
        return self._pattern.sub(MARK, text) if any(form in dense for form in self._searched) else text


def _dense(text: str) -> str:
    """The text in lower case, without what may stand in a gap."""
    joined = "".join(text.split())
    return (joined if joined.isascii() else re.sub(f"[{_INVISIBLE}]", "", joined)).lower()


def _forms(key: str) -> list[str]:
    forms = [key, quote(key, safe=""), *_in_base64(key.encode())]
    return sorted(dict.fromkeys(forms), key=len, reverse=True)


def _in_base64(key: bytes) -> list[str]:
    """What base64 has of the key wherever it stands in what is encoded: the characters that are the key's alone."""
    found: list[str] = []
    for before in range(3):
        encoded = b64encode(b"\0" * before + key).decode()
        first = (before * 8 + 5) // 6
        last = (before + len(key)) * 8 // 6
        found += [encoded[first:last], encoded[first:last].replace("+", "-").replace("/", "_")]
    return found
