"""What takes longer than a moment says what it is."""

from __future__ import annotations

import threading
from collections.abc import Callable, Generator
from contextlib import contextmanager

SILENT_S = 1.0
"""How long something may take before it is said what it is."""


@contextmanager
def said_if_long(say: Callable[[str], None], text: str, after_s: float = SILENT_S) -> Generator[None]:
    """Say `text` once, from another thread, if the block is still at work after so many seconds."""
    timer = threading.Timer(after_s, say, (text,))
    timer.daemon = True
    timer.start()
    try:
        yield
    finally:
        timer.cancel()
