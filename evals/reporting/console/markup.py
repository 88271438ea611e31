"""Values as rich markup. Every text that came from outside is escaped here."""

from __future__ import annotations

from rich.markup import escape

from evals.text import one_line


def plain(text: str, limit: int = 300) -> str:
    """Outside text as markup that shows it literally, on one line, without control characters."""
    return escape(one_line(text, limit))
