"""A long wait shows what is going on, and leaves nothing behind; a short one, or one into a file, shows nothing."""

from __future__ import annotations

import threading
from io import StringIO

from rich.console import Console

from evals.reporting.console.live.waits import shown_if_long
from evals.reporting.console.progress import ConsoleView


class Screen(StringIO):
    """A terminal that says when something is written to it."""

    def __init__(self) -> None:
        super().__init__()
        self.written = threading.Event()

    def write(self, text: str, /) -> int:
        if "counting" in text:
            self.written.set()
        return super().write(text)

    def isatty(self) -> bool:
        return True


def test_what_takes_long_is_shown() -> None:
    screen = Screen()
    with shown_if_long(Console(file=screen, force_terminal=True, width=80), "counting", after_s=0.0):
        assert screen.written.wait(60)


def test_what_does_not_shows_nothing() -> None:
    screen = Screen()
    with shown_if_long(Console(file=screen, force_terminal=True, width=80), "counting", after_s=3600):
        pass
    assert "counting" not in screen.getvalue()


def test_a_file_and_a_quiet_command_have_no_line_of_it() -> None:
    before = set(threading.enumerate())
    for view in (ConsoleView(), ConsoleView(quiet=True)):
        with view.busy("counting"):
            begun = set(threading.enumerate()) - before
            assert not [thread for thread in begun if isinstance(thread, threading.Timer)]
