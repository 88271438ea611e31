"""Values as rich markup, with untrusted text escaped."""

from __future__ import annotations

from rich.markup import escape

from evals.text import one_line

LONG = 2000
"""The limit of `plain` for sentences of emeval's own, which are not to be cut."""


def plain(text: str, limit: int = 300) -> str:
    """Untrusted text as literal markup, on one line, without control characters."""
    return escape(one_line(text, limit))
