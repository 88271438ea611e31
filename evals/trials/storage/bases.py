"""Which trial the answer of another is deflated against.

Answers to one prompt are alike, and small each: against one that is stored already, a text takes a fraction of what it
takes alone. The base is an earlier answer to the same prompt, or the last base of any where a prompt comes for the
first time. After some trials another takes its place, so that damage to one row makes no more than these unreadable.
"""

from __future__ import annotations

from dataclasses import dataclass

from evals.trials.storage.texts import window_of

_MOST_USES = 31
_MOST_KEPT = 128
_MOST_SEEN = 100_000
_LEAST = 64
"""Characters of an answer and its thoughts that others are deflated against."""

Windows = tuple[bytes, bytes]
"""Of the answer as received, and of the reasoning field."""


@dataclass
class _Base:
    arrival: int
    windows: Windows
    uses: int = 0


class Bases:
    """The bases of the trials that are being written."""

    def __init__(self) -> None:
        self._by_prompt: dict[int, _Base] = {}
        self._last: _Base | None = None
        self._seen: set[int] = set()

    def for_draw(self, arrival: int, asked: int, raw: str, thought: str) -> tuple[int | None, Windows]:
        """The arrival and the windows of the base for an answer; None where it has none, and may be one itself."""
        base = self._by_prompt.get(asked)
        if base is None and asked not in self._seen:
            base = self._last
            self._note(asked)
        if base is not None and base.uses < _MOST_USES:
            base.uses += 1
            return base.arrival, base.windows
        if len(raw) + len(thought) >= _LEAST:
            if len(self._by_prompt) >= _MOST_KEPT:
                self._by_prompt.clear()
            made = _Base(arrival, (window_of(raw), window_of(thought)))
            self._by_prompt[asked] = self._last = made
        return None, (b"", b"")

    def _note(self, asked: int) -> None:
        if len(self._seen) >= _MOST_SEEN:
            self._seen.clear()
        self._seen.add(asked)
