"""Where long output goes: through the user's pager on a terminal, straight out where there is none."""

from __future__ import annotations

import os
import shlex
import shutil
import signal
import subprocess
import sys
from collections.abc import Generator
from contextlib import contextmanager
from pathlib import Path

from rich.console import Console

from evals.errors import BadInput
from evals.text import one_line

_LESS = "less"
_COLOURS = "-R"
"""Lets colours through, and nothing else of what a terminal acts on: never -r."""
_QUIT_IF_SHORT = "-FX"


@contextmanager
def paged() -> Generator[Console]:
    """A console to print to. It ends quietly when the reader has seen enough: BrokenPipeError stops here.

    Raises BadInput for a PAGER that cannot be run.
    """
    command = _command() if sys.stdout.isatty() else None
    if command is None:
        yield Console(highlight=False, emoji=False, markup=False)
        return
    is_less = Path(command[0]).name == _LESS
    if is_less:
        # What LESS says of raw characters stands below what is said here.
        command = [*command, _COLOURS, *([] if os.environ.get("LESS") else [_QUIT_IF_SHORT])]
    try:
        pager = subprocess.Popen(command, stdin=subprocess.PIPE, text=True, encoding="utf-8")  # noqa: S603
    except OSError as error:
        raise BadInput(f"PAGER: {one_line(command[0], 200)} cannot be run: {error.strerror}") from None
    assert pager.stdin is not None  # noqa: S101
    try:
        with _until_it_ends(pager):
            yield _PagedConsole(file=pager.stdin, force_terminal=is_less, highlight=False, emoji=False, markup=False)
    except BrokenPipeError:
        pass
    finally:
        _close(pager)


@contextmanager
def _until_it_ends(pager: subprocess.Popen[str]) -> Generator[None]:
    """Ctrl-C belongs to the pager while the block lasts, and the pager's end breaks the block off: whoever looks for
    the next one of very few trials would else not notice that nobody waits for it any more."""

    def ended(_signal: int, _frame: object) -> None:
        if pager.poll() is not None:  # not when it is only stopped for a while
            raise BrokenPipeError

    before = {
        signal.SIGINT: signal.signal(signal.SIGINT, signal.SIG_IGN),
        signal.SIGCHLD: signal.signal(signal.SIGCHLD, ended),
    }
    try:
        ended(0, None)
        yield
    finally:
        for sent, handler in before.items():
            signal.signal(sent, handler)


class _PagedConsole(Console):
    def on_broken_pipe(self) -> None:  # rich would end the process
        raise BrokenPipeError


def _close(pager: subprocess.Popen[str]) -> None:
    try:
        if pager.stdin is not None:
            pager.stdin.close()
    except BrokenPipeError:
        pass
    pager.wait()


def _command() -> list[str] | None:
    """The pager that the environment names, else less where there is one; None for `PAGER=` and `PAGER=cat`."""
    named = os.environ.get("PAGER")
    if named is None:
        return [_LESS] if shutil.which(_LESS) and os.environ.get("TERM") != "dumb" else None
    try:
        words = shlex.split(named)
    except ValueError:
        raise BadInput(f"PAGER: {one_line(named, 60)} is no command: a quote is not closed") from None
    return None if not words or words == ["cat"] else words
