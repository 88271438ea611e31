"""What takes longer than a moment shows on a terminal what it is, for as long as it lasts."""

from __future__ import annotations

import threading
from collections.abc import Generator
from contextlib import contextmanager

from rich.console import Console

SILENT_S = 1.0
"""How long something may take before it is shown what it is."""


@contextmanager
def shown_if_long(console: Console, text: str, after_s: float = SILENT_S) -> Generator[None]:
    """Show `text` beside a spinner from so many seconds on, and take it away when the block ends. Rich markup."""
    status = console.status(text)
    lock = threading.Lock()
    has_ended = False

    def show() -> None:
        with lock:
            if not has_ended:
                status.start()

    timer = threading.Timer(after_s, show)
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
        with lock:
            has_ended = True
            status.stop()
